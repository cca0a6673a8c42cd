"""`hydra/launcher=local`: the jobs of a sweep on this machine, every one in a process of its own.

Hydra finds it as `hydra_plugins.aiexp.LocalLauncher` (see aiexp.config.loader).
"""

import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast, final

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from aiexp.errors import AiexpError, ConfigError
from aiexp.sweep.foreign import run_foreign
from aiexp.sweep.job import Interrupted, SweepJob
from aiexp.sweep.pool import Ended, Pool
from aiexp.sweep.result import Result
from aiexp.sweep.slot import Slot, make_slots
from aiexp.sweep.table import Objective, Table

NextJob = Callable[[], tuple[int, Sequence[str]] | None]
TellEnded = Callable[[int, JobReturn], None]
REFRESH_SECONDS = 0.5
UNKNOWN = 1_000_000  # jobs, where a sweeper thinks of them one after the other


@final
class LocalLauncher(Launcher):
    """Runs jobs side by side; a job that fails, crashes or hangs never touches another.

    Args:
        n_jobs: Jobs at once; None for one a core, or one a GPU where they use GPUs.
        gpus: GPUs to use, counted as CUDA counts them; None for all of them where jobs use any.
        max_failures: No new job starts after so many have failed; None for any number.
        timeout: Seconds a job may take before it is stopped, which counts as failed; None for any time.
        grace: Seconds a job gets to save a checkpoint when it is stopped.

    Raises:
        ConfigError: A value is out of range.
    """

    def __init__(
        self,
        *,
        n_jobs: int | None,
        gpus: list[int] | None,
        max_failures: int | None,
        timeout: float | None,
        grace: float,
    ) -> None:
        for name, value in {"n_jobs": n_jobs, "max_failures": max_failures, "timeout": timeout}.items():
            is_number = isinstance(value, int if name != "timeout" else int | float)  # what Hydra was given
            if value is not None and (not is_number or value <= 0):
                what, where = f"{name} is {value!r}", f"hydra.launcher.{name}"
                raise ConfigError(what, where=where, fix="a number above 0, or null")
        self.n_jobs, self.gpus = n_jobs, None if gpus is None else list(gpus)
        self.max_failures, self.timeout, self.grace = max_failures, timeout, grace

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what Hydra gives every launcher."""
        self.context, self.task, self.config = hydra_context, task_function, config
        self.slots(1)  # a GPU that is not there is found before anything is made

    def slots(self, num_jobs: int) -> list[Slot]:
        """The shares of this machine that so many jobs would be run in."""
        device = OmegaConf.select(self.config, "hardware.device")
        return make_slots(
            n_jobs=self.n_jobs, gpus=self.gpus, use_gpus=device in ("auto", "gpu"), num_jobs=num_jobs
        )

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
        slots = self.slots(num_jobs or UNKNOWN)
        pool = Pool(slots, preload=job.preload() if job else [], timeout=self.timeout, grace=self.grace)
        overrides: dict[int, list[str]] = {}
        failures, is_open = 0, True
        table = Table(directory, num_jobs=num_jobs, num_slots=len(slots), objective=self._objective())
        with table, signals() as received:
            table.refresh()  # importing torch for the first jobs takes seconds
            while is_open or pool.running:
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
                for end in pool.wait(REFRESH_SECONDS) if pool.running else []:
                    outcome = self._outcome(table, job, end, overrides[end.index])
                    failures += is_failure(outcome)
                    ended(end.index, outcome)
        if received:
            raise Interrupted(Result(index=-1, exit_code=128 + received[0], overrides=[], state="stopped"))

    def _objective(self) -> Objective:
        """What the jobs' trainers monitor."""
        name = OmegaConf.select(self.config, "trainer.selection.monitor")
        return Objective(name=name, mode=str(OmegaConf.select(self.config, "trainer.selection.mode")))

    def _start(
        self, pool: Pool, table: Table, job: SweepJob | None, index: int, overrides: list[str]
    ) -> JobReturn | None:
        """Starts a job, or returns what is known without running it."""
        own = overrides
        if job is None:
            state = Singleton.get_state()
            call = partial(run_foreign, state, self.context, self.task, self.config, index, overrides)
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
        message: tuple[bool, Any] = end.message or (False, end.why)
        has_returned, value = message
        if job is None:
            table.ended(Result(index=end.index, exit_code=0, overrides=overrides, seconds=end.seconds))
            if has_returned:
                return value
            failed = JobReturn(overrides=overrides, status=JobStatus.FAILED)
            failed.return_value = RuntimeError(f"job {end.index} failed: {value}")
            return failed
        if has_returned and not (end.is_timeout and value.state == "stopped"):
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


def stop(pool: Pool, table: Table, received: list[int]) -> None:
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
    return isinstance(value, Result) and value.state == "failed"


def as_return(result: Result, overrides: Sequence[str]) -> JobReturn:
    """A result as Hydra's sweepers want it."""
    completed = JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED)
    completed.return_value = result
    return completed
