"""What aiexp's launchers share: jobs start as places get free, and each is heard to its end."""

import signal
from abc import abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from aiexp.errors import AiexpError
from aiexp.rundir.state import State
from aiexp.sweep.job import Interrupted, SweepJob
from aiexp.sweep.place.hydra_job import run_hydra_job
from aiexp.sweep.place.pool import Ended
from aiexp.sweep.result import Result
from aiexp.sweep.table import Objective, Table

NextJob = Callable[[], tuple[int, Sequence[str]] | None]
TellEnded = Callable[[int, JobReturn], None]
REFRESH_SECONDS = 0.5


class Places(Protocol):
    """Where jobs run: `pool` on this machine, `submitit_places` and `ray_places` on a cluster."""

    @property
    def has_free_slot(self) -> bool:
        """Whether `start` may be called."""
        ...

    @property
    def num_running(self) -> int:
        """How many jobs have not ended."""
        ...

    def start(self, index: int, call: Callable[[], Any], log: Path) -> None:
        """Starts a call whose output goes to a log."""
        ...

    def wait(self, seconds: float) -> list[Ended]:
        """The jobs that have ended, after at most so many seconds."""
        ...

    def stop(self) -> bool:
        """Asks every job, once, to stop with a checkpoint; whether any had not been asked before."""
        ...

    def kill(self) -> None:
        """Kills every job."""
        ...


class StreamLauncher(Launcher):
    """The loop of a launcher; a subclass says where jobs run."""

    max_failures: int | None

    @abstractmethod
    def num_slots(self, num_jobs: int | None) -> int:
        """How many of so many jobs run at once; None for nobody knows how many."""

    @abstractmethod
    def make_places(self, num_jobs: int | None, job: SweepJob | None) -> Places:
        """Where they run."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what Hydra gives every launcher."""
        self.context, self.task, self.config = hydra_context, task_function, config
        self.check()

    @property
    def num_devices(self) -> int:
        """How many devices the job takes that takes most."""
        return self.task.devices if isinstance(self.task, SweepJob) else 1

    def check(self) -> None:
        """Raises what is wrong with where jobs would run, before anything is made."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs a batch.

        Args:
            job_overrides: For each job its overrides.
            initial_job_idx: Number of the first.

        Returns:
            What the jobs returned, in order; those that never started for `max_failures` are left out.
        """
        returns: dict[int, JobReturn] = {}
        queue = iter(enumerate(job_overrides, initial_job_idx))
        self._run(lambda: next(queue, None), returns.__setitem__, len(job_overrides))
        return [returns[index] for index in sorted(returns)]

    def launch_stream(self, next_job: NextJob, ended: TellEnded) -> None:
        """Runs jobs as they are thought of.

        Args:
            next_job: Asked whenever a slot is free: number and overrides of the next job; None for no more.
            ended: Told the number and the return of each job that has ended.
        """
        self._run(next_job, ended, None)

    def _run(self, next_job: NextJob, ended: TellEnded, num_jobs: int | None) -> None:
        """The loop: start what fits, hear what ended, until there is neither.

        Raises:
            Interrupted: Ctrl-C or SIGTERM, after the running jobs have stopped.
        """
        directory = Path(str(self.config.hydra.sweep.dir))
        job = self.task if isinstance(self.task, SweepJob) else None
        pool = self.make_places(num_jobs, job)
        overrides: dict[int, list[str]] = {}
        failures, is_open = 0, True
        slots = self.num_slots(num_jobs)
        table = Table(directory, num_jobs=num_jobs, num_slots=slots, objective=self._objective())
        with table, signals() as received:
            table.refresh()  # importing torch for the first jobs takes seconds
            while is_open or pool.num_running:
                stop(pool, table, received)
                while is_open and pool.has_free_slot:
                    is_open = not received and failures < (self.max_failures or failures + 1)
                    wanted = next_job() if is_open else None
                    if wanted is None:
                        is_open = False
                        break
                    index, overrides[index] = wanted[0], [str(o) for o in wanted[1]]
                    known = self._start(pool, table, job, index, overrides[index])
                    if known is not None:
                        failures += is_failure(known)
                        ended(index, known)
                table.refresh()
                for end in pool.wait(REFRESH_SECONDS) if pool.num_running else []:
                    outcome = self._outcome(table, job, end, overrides[end.index])
                    failures += is_failure(outcome)
                    ended(end.index, outcome)
        if received:
            raise Interrupted(
                Result(index=-1, exit_code=128 + received[0], overrides=[], state=State.STOPPED)
            )

    def _objective(self) -> Objective:
        """What a search is for, or else what the jobs' trainers monitor."""
        sweeper = self.config.hydra.sweeper
        if sweeper.get("objective") and sweeper.get("direction"):
            return Objective(name=str(sweeper.objective[0]), mode=str(sweeper.direction[0]))
        name = OmegaConf.select(self.config, "trainer.selection.monitor")
        return Objective(name=name, mode=str(OmegaConf.select(self.config, "trainer.selection.mode")))

    def _start(
        self, pool: Places, table: Table, job: SweepJob | None, index: int, overrides: list[str]
    ) -> JobReturn | None:
        """Starts a job, or returns what is known without running it."""
        own = overrides
        if job is None:
            state = Singleton.get_state()
            call = partial(run_hydra_job, state, self.context, self.task, self.config, index, overrides)
        else:
            own = job.own(overrides)
            try:
                result = job.completed(index)
                call = job.bind(index, overrides) if result is None else None
            except AiexpError as error:
                result, call = job.failed(index, overrides, error), None
            if result is not None:
                table.ended(result)
                return as_return(result, overrides)
        log = table.directory / "logs" / f"{index:03d}.log"
        pool.start(index, cast(Callable[[], Any], call), log)
        table.started(index, own, log)
        return None

    def _outcome(self, table: Table, job: SweepJob | None, end: Ended, overrides: list[str]) -> JobReturn:
        """What Hydra, or an optimizer, gets to know of a job that has ended."""
        has_returned, value = cast(tuple[bool, Any], end.message or (False, end.why))
        if job is None:
            table.ended(Result(index=end.index, exit_code=0, overrides=overrides, seconds=end.seconds))
            if has_returned:
                return value
            failed = JobReturn(overrides=overrides, status=JobStatus.FAILED)
            failed.return_value = RuntimeError(f"job {end.index} failed: {value}")
            return failed
        if has_returned and not (end.is_timeout and value.state == State.STOPPED):
            result: Result = value
        else:
            why = end.why if has_returned else str(value)
            result = job.died(end.index, overrides, why, end.exit_code, end.seconds)
        table.ended(result)
        return as_return(result, overrides)


@contextmanager
def signals() -> Generator[list[int]]:
    """A body in which Ctrl-C and SIGTERM are only noted.

    Yields:
        Numbers of those received so far.
    """
    received: list[int] = []
    previous = {n: signal.signal(n, lambda n, _: received.append(n)) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def stop(pool: Places, table: Table, received: list[int]) -> None:
    """Does what the signals received so far ask for: a checkpoint of every job, then their end."""
    if len(received) > 1:
        pool.kill()
    elif received and pool.stop():
        table.say("stopping: every running job saves a checkpoint; Ctrl-C again kills them")


def is_failure(job_return: JobReturn) -> bool:
    """Whether a job has failed; one that was stopped has not."""
    if job_return.status == JobStatus.FAILED:
        return True
    value = job_return.return_value
    return isinstance(value, Result) and value.state == State.FAILED


def as_return(result: Result, overrides: Sequence[str]) -> JobReturn:
    """A result as Hydra's sweepers want it."""
    completed = JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED)
    completed.return_value = result
    return completed
