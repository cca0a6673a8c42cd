"""The trials of a search and their jobs: which is next, and what one that has ended tells the study."""

import itertools
import math
import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, final

from aiexp.errors import DivergedError
from aiexp.rundir.state import State
from aiexp.sweep.search.sampler import make_sampler, without_experimental_warnings
from aiexp.sweep.search.seed_comparison import is_worse
from aiexp.sweep.search.settings import Settings
from aiexp.sweep.search.space import Space

if TYPE_CHECKING:
    from optuna import Study, Trial

STOPPED = (130, 143)  # exit codes of jobs that a resumed search continues


class Ended(Protocol):
    """What a search needs to know of an ended job."""

    @property
    def exit_code(self) -> int:
        """0 when it is complete or pruned."""
        ...

    @property
    def state(self) -> str:
        """That of status.json."""
        ...

    @property
    def metrics(self) -> dict[str, float]:
        """Final ones."""
        ...


@final
@dataclass(kw_only=True)
class Running:
    """A trial under way.

    Args:
        trial: Optuna's.
        overrides: What its jobs share beside the fixed words.
        jobs: Position of the seed to job index, of the jobs started.
        values: Position of the seed to the objectives, of the jobs that are complete.
    """

    trial: "Trial"
    overrides: list[str]
    jobs: dict[int, int] = field(default_factory=lambda: {})
    values: dict[int, list[float]] = field(default_factory=lambda: {})

    @property
    def number(self) -> int:
        """Optuna's, from 0."""
        return self.trial.number

    @property
    def is_waiting(self) -> bool:
        """Whether a job of it runs."""
        return len(self.values) < len(self.jobs)


@final
class Search:
    """Asks the study for trials and tells it how they ended.

    A trial is one job, whose index is the trial's number; with several seeds it is one job a seed.

    Args:
        study: Opened; trials that an earlier process left running are continued.
        space: What is searched.
        settings: Of the search.
    """

    def __init__(self, study: "Study", space: Space, settings: Settings) -> None:
        self.study, self.space, self.settings = study, space, settings
        self.num_seeds = max(1, len(space.seeds))
        self.running: dict[int, Running] = {}
        self.owner: dict[int, tuple[int, int]] = {}  # job index to trial number and position of the seed
        self.interrupted: deque[int] = deque()  # indices of jobs to start again
        points = space.num_points if settings.sampler == "grid" else None
        self.num_trials = settings.n_trials if points is None else points
        self._restore()

    def _restore(self) -> None:
        """Takes up the trials of an earlier process; enqueues the grid of a new study."""
        trials = self.study.get_trials(deepcopy=False)
        if self.settings.sampler == "grid":
            self._enqueue_grid(len(trials))
        for frozen in trials:
            if frozen.state.name == "WAITING":
                continue
            jobs = {int(k): int(v) for k, v in frozen.user_attrs.get("jobs", {}).items()}
            self.owner |= {index: (frozen.number, position) for position, index in jobs.items()}
            if not frozen.state.is_finished():
                running = self._continued(frozen.number, jobs)
                self.interrupted += [jobs[p] for p in sorted(jobs) if p not in running.values]
        self.num_started = sum(t.state.name != "WAITING" for t in trials)

    def _continued(self, number: int, jobs: dict[int, int]) -> Running:
        """A trial that was running; what had not been drawn yet is drawn."""
        import optuna

        self.study.sampler = make_sampler(self.settings, number)
        frozen = self.study.get_trials(deepcopy=False)[number]
        with without_experimental_warnings():
            trial = optuna.Trial(self.study, frozen._trial_id)  # pyright: ignore[reportPrivateUsage]
            running = self._drawn(trial)
        running.jobs = jobs
        running.values = {int(k): v for k, v in frozen.user_attrs.get("values", {}).items()}
        return running

    def _drawn(self, trial: "Trial") -> Running:
        """A trial with a value for every dimension, and its words recorded."""
        values = {d.name: trial._suggest(d.name, d.distribution) for d in self.space.dimensions}  # pyright: ignore[reportPrivateUsage]
        overrides = [d.override(values[d.name]) for d in self.space.dimensions]
        trial.set_user_attr("overrides", overrides)
        self.running[trial.number] = Running(trial=trial, overrides=overrides)
        return self.running[trial.number]

    def _enqueue_grid(self, known: int) -> None:
        """Every combination, the first dimension slowest, as Hydra's own sweeper orders them."""
        names = [d.name for d in self.space.dimensions]
        points = itertools.product(*(d.values() or [] for d in self.space.dimensions))
        for point in itertools.islice(points, known, None):
            self.study.enqueue_trial(dict(zip(names, point, strict=True)))

    def next_job(self) -> tuple[int, list[str]] | None:
        """Index and words of the job to start now, or None when there is none left."""
        if self.interrupted:
            index = self.interrupted.popleft()
            number, position = self.owner[index]
            return index, self._words(self.running[number], position)
        is_sequential = self.settings.pruner == "wilcoxon"
        unfinished = [r for r in self.running.values() if len(r.jobs) < self.num_seeds]
        ready = [r for r in unfinished if not (is_sequential and r.is_waiting)]
        if not ready and self.num_started < self.num_trials:
            ready = [self._ask()]
        # Rather a seed that a pruner might have saved than an idle slot.
        ready = ready or unfinished
        return self._start(ready[0]) if ready else None

    def put_back(self, index: int) -> None:
        """A job that `next_job` gave is not started yet after all: it will be the next."""
        self.interrupted.appendleft(index)

    def _ask(self) -> Running:
        """A new trial."""
        self.study.sampler = make_sampler(self.settings, self.num_started)
        with without_experimental_warnings():
            running = self._drawn(self.study.ask())
        self.num_started += 1
        return running

    def _start(self, running: Running) -> tuple[int, list[str]]:
        """The next job of a trial."""
        position = len(running.jobs)
        index = len(self.owner)
        running.jobs[position], self.owner[index] = index, (running.number, position)
        running.trial.set_user_attr("jobs", running.jobs)
        return index, self._words(running, position)

    def _words(self, running: Running, position: int) -> list[str]:
        return [*self.space.fixed, *running.overrides, *self.space.seeds[position : position + 1]]

    def ended(self, index: int, job: Ended | None) -> str:
        """Tells the study how a job ended.

        Args:
            index: Of the job.
            job: How it ended; None when it died without a word.

        Returns:
            Why the job counts as failed although it ended well: it lacks an objective. Else "".
        """
        number, position = self.owner[index]
        running = self.running.get(number)
        if running is None or (job is not None and job.exit_code in STOPPED):
            return ""
        if job is None or job.exit_code:
            # A diverged trial is bad, not unknown: as pruned ones are, samplers that can learn from it do.
            is_bad = job is not None and job.exit_code == DivergedError.exit_code
            self._tell(running, "PRUNED" if is_bad else "FAIL")
        elif job.state == State.PRUNED:
            self._tell(running, "PRUNED")
        else:
            values = [job.metrics.get(name, math.nan) for name in self.settings.objectives]
            if not all(math.isfinite(v) for v in values):
                self._tell(running, "FAIL")
                return _lacking(self.settings.objectives, job.metrics)
            self._complete(running, position, values)
        return ""

    def _complete(self, running: Running, position: int, values: list[float]) -> None:
        """A seed is complete: the trial is, or is pruned, or goes on."""
        running.values[position] = values
        running.trial.set_user_attr("values", running.values)
        if self.settings.pruner == "wilcoxon":
            self._report_seeds(running)
        if len(running.values) == self.num_seeds:
            self._tell(running, None)
        elif self.settings.pruner == "wilcoxon" and self._is_worse(running):
            self._tell(running, "PRUNED")

    def _is_worse(self, running: Running) -> bool:
        """Whether a trial is worse than the best one on the seeds it has run."""
        from optuna.trial import TrialState

        trials = self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        if not trials:
            return False
        direction = self.settings.directions[0]
        best = (min if direction == "min" else max)(trials, key=lambda t: t.value or 0.0)
        known = {int(k): v[0] for k, v in best.user_attrs["values"].items()}
        return is_worse({k: v[0] for k, v in running.values.items()}, known, direction)

    def _report_seeds(self, running: Running) -> None:
        """Writes the seeds into the study, for its readers; their positions are Optuna's steps."""
        known = self.study.get_trials(deepcopy=False)[running.number].intermediate_values
        for position, values in running.values.items():
            if position not in known:
                running.trial.report(values[0], position)

    def _tell(self, running: Running, state: str | None) -> None:
        """The trial has ended: None for complete, with the means over its seeds."""
        from optuna.trial import TrialState

        del self.running[running.number]
        means = [statistics.fmean(v) for v in zip(*running.values.values(), strict=True)]
        self.study.sampler = make_sampler(self.settings, running.number)
        with without_experimental_warnings():
            if state is None:
                self.study.tell(running.trial, means)
            else:
                self.study.tell(running.trial, state=TrialState[state])


def _lacking(objectives: list[str], metrics: dict[str, Any]) -> str:
    """One line on the objectives that a run did not return."""
    missing = [name for name in objectives if name not in metrics]
    if missing:
        return f"no metric '{missing[0]}' among {', '.join(sorted(metrics)) or 'none'}"
    return f"'{next(n for n in objectives if not math.isfinite(metrics[n]))}' is not a finite number"
