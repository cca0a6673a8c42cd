"""Jobs of a sweep on a cluster, by submitit."""

import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, final

from aiexp.errors import HardwareError, reason_of
from aiexp.rundir.state import State
from aiexp.session.node import Node
from aiexp.session.stop import StopSignal
from aiexp.sweep.place.cluster_places import ClusterPlaces
from aiexp.sweep.place.pool import Ended

POLL_SECONDS = 0.5


@final
class ClusterCall:
    """A job as it travels to the cluster: preempted, it saves a checkpoint and asks for another turn.

    Args:
        call: The job; it finds its run directory in the ledger, so called again it goes on. With several
            nodes it is called on each, and told which one that is.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call, self.name = call, secrets.token_hex(16)

    def __call__(self) -> Any:
        """Runs the job; what submitit's signal for preemption and timeouts does first is save."""
        import submitit

        environment: Any = submitit.JobEnvironment()
        number: int = environment._usr_sig()
        requeue, asked = signal.getsignal(number), list[int]()

        def save_first(number: int, frame: FrameType | None) -> None:
            asked.append(number)
            stop = signal.getsignal(signal.SIGTERM)
            if isinstance(getattr(stop, "__self__", None), StopSignal):
                os.kill(os.getpid(), signal.SIGTERM)  # the run saves and returns as stopped
            elif callable(requeue):
                leave_by(requeue, number, frame)  # nothing to save yet, or any more

        signal.signal(number, save_first)
        result = self.call(**self.node(environment))
        if asked and getattr(result, "state", "") == State.STOPPED and callable(requeue):
            leave_by(requeue, number, None)
        return result

    def checkpoint(self) -> Any:
        """What submitit is to run in the next turn."""
        import submitit

        return submitit.helpers.DelayedSubmission(ClusterCall(self.call))  # whose nodes meet at another file

    def node(self, environment: Any) -> dict[str, Node]:
        """Which of several nodes this is, each of which has one task."""
        if environment.num_tasks == 1:
            return {}
        turn = os.environ.get("SLURM_RESTART_COUNT", "0")  # which Slurm raises, also when a node has failed
        meeting = environment.paths.folder / f"{self.name}-{turn}.json"
        return {"node": Node(number=environment.global_rank, count=environment.num_tasks, meeting=meeting)}


def leave_by(requeue: Callable[[int, FrameType | None], Any], number: int, frame: FrameType | None) -> None:
    """Ends this process once submitit has asked for another turn; no `except` of the job is to stop it."""
    try:
        requeue(number, frame)
    except SystemExit as error:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(error.code & 0xFF if isinstance(error.code, int) else 1)


@dataclass
class Submitted:
    """A job that was submitted, at a `time.monotonic`; `why` once we have cancelled it."""

    job: Any
    started: float
    why: str = ""


@final
class SubmititPlaces(ClusterPlaces):
    """Places on a cluster, as many at once as we ask for.

    Args:
        folder: For submitit's own files: the call, the output, the result of each job.
        cluster: slurm, or local to try it on this machine.
        n_jobs: Jobs at once, waiting ones too.
        parameters: Of `submitit.AutoExecutor.update_parameters`; max_num_timeout counts requeues.

    Raises:
        HardwareError: submitit is not installed, or there is no such cluster here.
    """

    def __init__(self, folder: Path, *, cluster: str, n_jobs: int, parameters: dict[str, Any]) -> None:
        super().__init__(n_jobs)
        try:
            import submitit
        except ImportError as error:
            raise HardwareError(
                "jobs on a cluster need submitit", where="hydra/launcher", fix="pip install 'aiexp[slurm]'"
            ) from error
        given = {k: v for k, v in parameters.items() if v is not None}
        nodes = given.get("nodes", 1)  # with a task each, which starts its ranks itself
        given |= {"nodes": 1, "tasks_per_node": nodes} if cluster == "local" else {"tasks_per_node": 1}
        requeues = {f"{cluster}_max_num_timeout": given.pop("max_num_timeout", 0)}
        try:
            self._executor = submitit.AutoExecutor(
                folder=folder, cluster=cluster, **(requeues if cluster == "slurm" else {})
            )
            self._executor.update_parameters(**given)
        except (RuntimeError, ValueError, TypeError, NameError) as error:
            raise HardwareError(
                f"submitit refuses: {reason_of(error)}",
                where=f"hydra/launcher=submitit_{cluster}",
                fix="type it where sbatch and srun are, or use hydra/launcher=local",
            ) from error  # fmt: skip
        self._running: dict[int, Submitted]

    def start(self, index: int, call: Callable[[], Any], log: Path) -> None:
        """Submits a call; the log becomes a link to what submitit writes."""
        job = self._executor.submit(ClusterCall(call))
        self._running[index] = Submitted(job, time.monotonic())
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        log.symlink_to(os.path.relpath(job.task(0).paths.stdout, log.parent))

    def wait(self, seconds: float) -> list[Ended]:
        """The jobs that have ended, after at most so many seconds."""
        deadline = time.monotonic() + seconds
        while not (ended := [i for i, s in self._running.items() if s.job.done()]):
            if time.monotonic() >= deadline:
                break
            time.sleep(min(POLL_SECONDS, seconds))
        return [self._end(index) for index in ended]

    def _end(self, index: int) -> Ended:
        """What is known of a job that has ended."""
        submitted = self._running.pop(index)
        seconds = time.monotonic() - submitted.started
        try:
            message, why = (True, submitted.job.task(0).result()), ""
        except Exception as error:  # it raised, or died, or was cancelled: submitit tells them by text
            lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            message, why = None, submitted.why or f"{submitted.job.state}: {lines[-1].strip()}"
        return Ended(
            index=index, message=message, why=why, exit_code=143 if submitted.why else 1, seconds=seconds
        )

    def stop(self) -> bool:
        """Asks every job, once, to stop with a checkpoint."""
        unasked = [s for s in self._running.values() if not s.why]
        for submitted in unasked:
            submitted.why = "stopped"
            process = getattr(submitted.job, "_process", None)
            if process is None:
                submitted.job.cancel(check=False)  # scancel sends SIGTERM first
            else:
                process.send_signal(signal.SIGTERM)  # cancelled, a local job gets one second
        return bool(unasked)

    def kill(self) -> None:
        """Cancels every job once more."""
        for submitted in self._running.values():
            submitted.job.cancel(check=False)
