"""A sweep put together by Hydra: its config, its launcher, and its sweeper unless it is a plain grid."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast, final

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from aiexp.config.composed import Composed
from aiexp.config.explain import explain
from aiexp.config.folders import PRIMARY, conf_dirs
from aiexp.config.hydra_settings import check_node, is_hydra_setting
from aiexp.config.loader import make_loader
from aiexp.config.problem import raise_all
from aiexp.sweep.grid import PlannedJob, devices_of, grid, plan, targets_of
from aiexp.sweep.job import SweepJob
from aiexp.sweep.place.cluster_launcher import ClusterLauncher
from aiexp.sweep.place.launcher import LocalLauncher
from aiexp.sweep.place.slot import Slot
from aiexp.sweep.plugins import register
from aiexp.sweep.result import Result


@final
class HydraSweep:
    """Everything made and checked, nothing started.

    Args:
        overrides: As typed, completed by aiexp.
        job: What every job does.
        first: Config of the first one.

    Raises:
        AiexpError: a setting of the launcher or sweeper, or a job's config, is wrong.
    """

    def __init__(self, overrides: list[str], job: SweepJob, first: Composed) -> None:
        dirs = conf_dirs(job.config_dir)
        hydra = Hydra(task_name="aiexp", config_loader=make_loader(dirs))
        try:
            self.config = hydra.compose_config(
                PRIMARY, overrides, run_mode=RunMode.MULTIRUN, with_log_configuration=False
            )
            raise_all([p.error("hydra") for p in check_node(self.config.hydra)])
            with open_dict(self.config):
                self.config.hydra.sweep.dir = str(job.sweep)
            self.planned: list[PlannedJob] = []
            if is_grid(self.config):
                jobs = grid([o for o in overrides if not is_hydra_setting(o)], hydra.config_loader)
                self.planned = list(plan(jobs, config_dir=job.config_dir, merged=job.merged))
            devices = max([job.devices, *(devices_of(p.composed) for p in self.planned)])
            targets = targets_of(first).union(*(targets_of(p.composed) for p in self.planned))
            register(self.config)
            given: dict[str, Any] = {
                "config": self.config,
                "hydra_context": HydraContext(
                    config_loader=hydra.config_loader, callbacks=Callbacks(self.config)
                ),
                "task_function": replace(job, targets=frozenset(targets), devices=devices),
            }
            self._launcher = Plugins.instance().instantiate_launcher(**given)
            if not self.planned:  # a sweeper makes a launcher of its own
                self._sweeper = Plugins.instance().instantiate_sweeper(**given)
        except Exception as error:
            raise explain(error, dirs) from error

    def choice(self, name: str) -> str:
        """The option of `hydra/launcher` or `hydra/sweeper`."""
        return str(self.config.hydra.runtime.choices[f"hydra/{name}"])

    def slots(self, num_jobs: int) -> list[Slot]:
        """The shares of this machine that jobs run in; one, of all cores, with a launcher not ours."""
        if isinstance(self._launcher, LocalLauncher):
            return self._launcher.slots(num_jobs)
        return [Slot(cores=())]

    @property
    def nodes(self) -> int:
        """Machines that train a job together."""
        return self._launcher.nodes if isinstance(self._launcher, ClusterLauncher) else 1

    def run(self) -> list[Result]:
        """Runs every job that is not complete; returns the results of all that were run at any time."""
        if self.planned:
            return results_of(self._launcher.launch([p.overrides for p in self.planned], 0))
        arguments = OmegaConf.to_container(self.config.hydra.overrides.task)
        return results_of(self._sweeper.sweep(arguments=cast(list[str], arguments)))


def is_grid(config: DictConfig) -> bool:
    """Whether the sweeper is Hydra's basic one as it comes, so that all jobs are known beforehand."""
    sweeper = config.hydra.sweeper
    return str(sweeper._target_).endswith(".BasicSweeper") and not (sweeper.params or sweeper.max_batch_size)


def results_of(batches: Any) -> list[Result]:
    """What the jobs returned, out of Hydra's nested lists."""
    if isinstance(batches, Iterable) and not isinstance(batches, str):
        return [r for batch in batches for r in results_of(batch)]
    value = getattr(batches, "return_value", None)
    return [value] if isinstance(value, Result) else []
