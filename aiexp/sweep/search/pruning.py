"""Pruning from within a run: the study gets each evaluation, and its pruner says whether to go on."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, final

from aiexp.session.job import Pruning
from aiexp.sweep.search.settings import SEARCH

if TYPE_CHECKING:
    from optuna import Study

WITHIN_A_RUN = ("median", "hyperband")


@final
class StudyPruning:
    """The pruner of a search, in the process of one of its jobs.

    Optuna counts the evaluations of a run, not its steps: so that trials with different batch sizes are
    compared at the same share of their training.

    Args:
        directory: The sweep's, which holds the study.
        index: Of the job, which is the trial's number.
        objective: Name of the metric to report.
    """

    def __init__(self, directory: Path, index: int, objective: str) -> None:
        self.directory, self.index, self.objective = directory, index, objective
        self._study: Study | None = None

    def report(self, step: int, metrics: dict[str, float]) -> bool:
        """Whether the study's pruner ends the run; never without the objective in `metrics`.

        Raises:
            CheckpointError: the study is damaged.
            StorageError: it cannot be written.
        """
        value = metrics.get(self.objective)
        if value is None or math.isnan(value):
            return False
        from aiexp.storage.files import storage_errors
        from aiexp.sweep.search.study import JOURNAL, load_study

        self._study = self._study or load_study(self.directory)
        trial = self._study.get_trials(deepcopy=False)[self.index]
        if trial.state.is_finished():
            return False  # the run is resumed by itself, after its search
        # A resumed run repeats the evaluations after its checkpoint.
        steps = [s for s in trial.user_attrs.get("evaluated_at", []) if s < step] + [step]
        storage, trial_id = self._study._storage, trial._trial_id  # pyright: ignore[reportPrivateUsage]
        with storage_errors("reporting to the study", self.directory / JOURNAL):
            storage.set_trial_user_attr(trial_id, "evaluated_at", steps)
            storage.set_trial_intermediate_value(trial_id, len(steps), value)
        return self._study.pruner.prune(self._study, storage.get_trial(trial_id))


def job_pruning(directory: Path, index: int) -> Pruning | None:
    """The pruning of a job of a sweep; None unless the sweep is a search whose pruner looks into runs.

    Args:
        directory: The sweep's.
        index: Of the job.
    """
    try:
        record = json.loads((directory / SEARCH).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if record.get("pruner") not in WITHIN_A_RUN:
        return None
    return StudyPruning(directory, index, record["objectives"][0])
