"""`hydra/sweeper=optuna`: the jobs of a sweep are trials of an Optuna study.

Hydra finds it as `hydra_plugins.aiexp.OptunaSweeper` (see aiexp.sweep.plugins).
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast, final

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, ListConfig, OmegaConf

from aiexp.errors import ConfigError
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import ENVIRONMENT, STATUS
from aiexp.storage.files import write_text
from aiexp.sweep.result import Result
from aiexp.sweep.search.objective import COSTS, as_list
from aiexp.sweep.search.search import Search
from aiexp.sweep.search.settings import Settings
from aiexp.sweep.search.space import read_space
from aiexp.sweep.search.study import open_study
from aiexp.text.secrets import redact


@final
class OptunaSweeper(Sweeper):
    """Draws jobs from a study until it has `n_trials`; one that an earlier process began is continued.

    Args:
        n_trials: Trials in all.
        n_jobs: Jobs at once on a launcher that runs batches; None for as many as it runs at once.
        sampler: See aiexp.sweep.search.settings, as for the others.
        seed: Of the sampler.
        startup_trials: Complete trials before the sampler models and the pruner prunes.
        objective: One metric or several.
        direction: One for each of them.
        pruner: Who ends bad trials early.
        warmup_evaluations: Evaluations of a run that never prune it.
        study_name: Shown by optuna-dashboard; None for the sweep directory's name.

    Raises:
        ConfigError: a value is none of those allowed, or two of them exclude each other.
    """

    def __init__(
        self,
        *,
        n_trials: int,
        n_jobs: int | None,
        sampler: str,
        seed: int,
        startup_trials: int,
        objective: str | ListConfig | None,
        direction: str | ListConfig | None,
        pruner: str,
        warmup_evaluations: int,
        study_name: str | None,
    ) -> None:
        self.settings = Settings(
            n_trials=n_trials, sampler=sampler, seed=seed, startup_trials=startup_trials,
            objectives=as_list(objective), directions=as_list(direction), pruner=pruner,
            warmup_evaluations=warmup_evaluations,
        )  # fmt: skip
        if n_jobs is not None and n_jobs < 1:
            raise ConfigError(f"n_jobs is {n_jobs}", where="hydra.sweeper.n_jobs", fix="at least 1, or null")
        self.n_jobs, self.study_name = n_jobs, study_name

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what Hydra gives every sweeper."""
        from hydra.core.plugins import Plugins

        self._hydra, self._config = hydra_context, config
        self._launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[list[JobReturn]]:
        """Runs the search; returns the jobs' returns in batches as they were launched."""
        parser = OverridesParser.create(config_loader=self._hydra.config_loader)
        space = read_space(parser.parse_overrides(arguments))
        self.settings.check(space)
        directory = Path(str(self._config.hydra.sweep.dir))
        directory.mkdir(parents=True, exist_ok=True)
        plain = cast(dict[str, Any], OmegaConf.to_container(self._config))
        write_text(directory / "multirun.yaml", yaml.safe_dump(redact(plain), sort_keys=False))
        study = open_study(directory, self.settings, self.study_name)
        search = Search(study, space, self.settings)
        stream = getattr(self._launcher, "launch_stream", None)
        if stream is None:
            return self._in_batches(search, directory)
        return [_streamed(search, directory, stream)]

    def _in_batches(self, search: Search, directory: Path) -> list[list[JobReturn]]:
        """For launchers that only take batches: nothing is learned before all jobs of a batch have ended."""
        size = self.n_jobs or self._config.hydra.launcher.get("n_jobs") or 1
        batches: list[list[JobReturn]] = []
        while batch := next_batch(search, max(1, int(size))):
            first = batch[0][0]
            returns = self._launcher.launch([words for _, words in batch], initial_job_idx=first)
            for (index, _), job_return in zip(batch, returns, strict=True):
                search.ended(index, result_of(job_return, directory))
            batches.append(list(returns))
        return batches


def next_batch(search: Search, size: int) -> list[tuple[int, list[str]]]:
    """The next jobs, at most `size`, whose indices follow each other: a launcher counts from the first."""
    batch: list[tuple[int, list[str]]] = []
    while len(batch) < size and (job := search.next_job()) is not None:
        if batch and job[0] != batch[-1][0] + 1:
            search.put_back(job[0])
            break
        batch.append(job)
    return batch


def _streamed(search: Search, directory: Path, stream: Any) -> list[JobReturn]:
    """For launchers that ask for a job whenever one has ended."""
    returns: dict[int, JobReturn] = {}

    def ended(index: int, job_return: JobReturn) -> None:
        search.ended(index, result_of(job_return, directory))
        returns[index] = job_return

    stream(search.next_job, ended)
    return [returns[index] for index in sorted(returns)]


def result_of(job_return: JobReturn, directory: Path) -> Result | None:
    """What aiexp's jobs return, with what the run has cost among its metrics; None for what is no result."""
    value = job_return.return_value if job_return.status == JobStatus.COMPLETED else None
    if not isinstance(value, Result):
        return None
    run = RunDirectory(directory / value.directory)
    known = run.read_json(STATUS) | run.read_json(ENVIRONMENT)
    costs = {name: float(known[name]) for name in COSTS if isinstance(known.get(name), int | float)}
    return replace(value, metrics=value.metrics | costs)
