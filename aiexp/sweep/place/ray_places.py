"""Jobs of a sweep on a Ray cluster."""

import os
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, final

from aiexp.errors import HardwareError, reason_of
from aiexp.sweep.place.cluster_places import ClusterPlaces
from aiexp.sweep.place.pool import Ended


@final
class RayPlaces(ClusterPlaces):
    """Places on a Ray cluster, as many at once as we ask for; Ray itself waits for free cores.

    Args:
        address: Of the cluster; "local" starts one on this machine.
        n_jobs: Jobs at once, waiting ones too.
        cpus: Cores a job.
        gpus: GPUs a job.
        restarts: How often Ray runs a job again whose process or machine has died.

    Raises:
        HardwareError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, *, address: str, n_jobs: int, cpus: float, gpus: float, restarts: int) -> None:
        super().__init__(n_jobs)
        try:
            import ray
        except ImportError as error:
            raise HardwareError(
                "jobs on Ray need ray", where="hydra/launcher=ray", fix="pip install 'aiexp[ray]'"
            ) from error
        self._ray: Any = ray
        try:
            ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise HardwareError(
                f"no Ray cluster: {reason_of(error)}", where="hydra.launcher.address",
                fix="ray start --head, or hydra.launcher.address=local",
            ) from error  # fmt: skip
        # max_calls=1: a process of its own for every job, so that none inherits what another has left.
        settings = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": restarts, "max_calls": 1}
        self._remote: Any = ray.remote(**settings)(call_into)
        self._running: dict[Any, tuple[int, float]]
        self._is_stopped = False

    def start(self, index: int, call: Callable[[], Any], log: Path) -> None:
        """Hands a call to Ray."""
        log.parent.mkdir(parents=True, exist_ok=True)
        self._running[self._remote.remote(call, str(log.absolute()), os.getcwd())] = (index, time.monotonic())

    def wait(self, seconds: float) -> list[Ended]:
        """The jobs that have ended, after at most so many seconds."""
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        return [self._end(reference) for reference in ready]

    def _end(self, reference: Any) -> Ended:
        """What is known of a job that has ended."""
        index, started = self._running.pop(reference)
        try:
            message, why = (True, self._ray.get(reference)), ""
        except Exception as error:  # it raised, or its process died, or we have cancelled it
            lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            message, why = None, f"{type(error).__name__}: {lines[0].strip()}"
            why = "stopped" if self._is_stopped else why
        code = 143 if self._is_stopped else 1
        return Ended(
            index=index, message=message, why=why, exit_code=code, seconds=time.monotonic() - started
        )

    def stop(self) -> bool:
        """Interrupts every job, once, as Ctrl-C would: each saves a checkpoint."""
        was_stopped, self._is_stopped = self._is_stopped, True
        if not was_stopped:
            for reference in self._running:
                self._ray.cancel(reference)
        return not was_stopped

    def kill(self) -> None:
        """Kills every job."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)


def call_into(call: Callable[[], Any], log: str, folder: str) -> Any:
    """Calls a job in a process of Ray's, in the sweep's working directory; its output goes to a log."""
    os.chdir(folder)
    with open(log, "a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        return call()
