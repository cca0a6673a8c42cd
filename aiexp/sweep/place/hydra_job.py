"""A job of any other Hydra program, run as Hydra's own launchers do: only so can Hydra's own tests test ours.

aiexp's sweeps never come here.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


def run_hydra_job(
    singletons: dict[Any, Any],
    context: HydraContext,
    task: TaskFunction,
    config: DictConfig,
    index: int,
    overrides: Sequence[str],
) -> JobReturn:
    """Composes and runs one job in this process.

    Args:
        singletons: Hydra's state in the process of the sweep.
        context: Hydra's.
        task: What the program does.
        config: Composed without what varies.
        index: Number of the job.
        overrides: Its own.
    """
    setup_globals()
    Singleton.set_state(singletons)
    job_config = context.config_loader.load_sweep_config(config, list(overrides))
    with open_dict(job_config):
        job_config.hydra.job.id = str(index)
        job_config.hydra.job.num = index
    return run_job(
        hydra_context=context,
        task_function=task,
        config=job_config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
