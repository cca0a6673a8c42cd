"""Jobs of a sweep on a Ray cluster."""

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

from aiexp.errors import HardwareError, reason_of
from aiexp.session.node import Node
from aiexp.sweep.place.cluster_places import ClusterPlaces
from aiexp.sweep.place.pool import Ended
from aiexp.sweep.place.worker import print_to

LEAVE_SECONDS = 10.0  # that the other machines of a job have when the first has ended


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a job needs of each of its `count` machines, and the folder through which they find each other."""

    cpus: float
    gpus: float
    count: int
    meetings: Path


@dataclass
class Task:
    """A job that was handed to Ray at a `time.monotonic`: a call on each machine, the first one's first."""

    index: int
    call: Callable[..., Any]
    log: Path
    started: float
    references: list[Any]
    group: Any = None
    num_starts: int = 1


@final
class RayPlaces(ClusterPlaces):
    """Places on a Ray cluster, as many at once as we ask for; Ray itself waits for free cores.

    Args:
        address: Of the cluster; "local" starts one on this machine.
        n_jobs: Jobs at once, waiting ones too.
        machine: What a job needs.
        restarts: How often a job is run again whose process or machine has died.

    Raises:
        HardwareError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, *, address: str, n_jobs: int, machine: Machine, restarts: int) -> None:
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
        self._machine, self._restarts = machine, restarts
        # Ray starts a call again by itself; of several, which need each other, all must be.
        retries = restarts if machine.count == 1 else 0
        # max_calls=1: a process of its own for every job, so that none inherits what another has left.
        settings = {"num_cpus": machine.cpus, "num_gpus": machine.gpus, "max_retries": retries}
        self._remote: Any = ray.remote(**settings, max_calls=1)(call_into)
        self._running: dict[Any, Task]
        self._is_stopped = False

    def start(self, index: int, call: Callable[..., Any], log: Path) -> None:
        """Hands a call to Ray."""
        log.parent.mkdir(parents=True, exist_ok=True)
        task = Task(index, call, log.absolute(), time.monotonic(), [])
        self._begin(task)

    def _begin(self, task: Task) -> None:
        """Has a job called on all its machines."""
        machine, folder = self._machine, os.getcwd()
        if machine.count == 1:
            task.references = [self._remote.remote(task.call, str(task.log), folder)]
        else:
            util: Any = self._ray.util
            bundle = {"CPU": machine.cpus, "GPU": machine.gpus}
            share = {name: count for name, count in bundle.items() if count}
            task.group = util.placement_group([share] * machine.count, strategy="STRICT_SPREAD")
            machine.meetings.mkdir(parents=True, exist_ok=True)
            meeting = machine.meetings / f"{secrets.token_hex(16)}.json"
            task.references = []
            for number in range(machine.count):
                strategy = util.scheduling_strategies.PlacementGroupSchedulingStrategy(
                    placement_group=task.group, placement_group_bundle_index=number
                )
                call = partial(task.call, node=Node(number=number, count=machine.count, meeting=meeting))
                remote = self._remote.options(scheduling_strategy=strategy)
                task.references.append(remote.remote(call, str(task.log), folder))
        self._running[task.references[0]] = task

    def wait(self, seconds: float) -> list[Ended]:
        """The jobs that have ended, after at most so many seconds."""
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        ended = [self._end(reference) for reference in ready]
        return [end for end in ended if end is not None]

    def _end(self, reference: Any) -> Ended | None:
        """What is known of a job that has ended; None for one that was started again."""
        task = self._running.pop(reference)
        if self._lost_a_machine(task) and task.num_starts <= self._restarts and not self._is_stopped:
            task.num_starts += 1
            self._begin(task)
            return None
        try:
            message, why = (True, self._ray.get(reference)), ""
        except Exception as error:  # it raised, or its process died, or we have cancelled it
            lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            message, why = None, f"{type(error).__name__}: {lines[0].strip()}"
            why = "stopped" if self._is_stopped else why
        code = 143 if self._is_stopped else 1
        seconds = time.monotonic() - task.started
        return Ended(index=task.index, message=message, why=why, exit_code=code, seconds=seconds)

    def _lost_a_machine(self, task: Task) -> bool:
        """Whether one of several machines, or the process there, is gone; gives all of them back."""
        if task.group is None:
            return False
        errors = self._ray.exceptions
        left, _ = self._ray.wait(task.references, num_returns=len(task.references), timeout=LEAVE_SECONDS)
        is_lost = False
        for reference in left:
            try:
                self._ray.get(reference)
            except (errors.RayTaskError, errors.TaskCancelledError):
                continue
            except errors.RayError:
                is_lost = True
        self._ray.util.remove_placement_group(task.group)
        return is_lost

    def stop(self) -> bool:
        """Interrupts every job, once, as Ctrl-C would: each saves a checkpoint."""
        was_stopped, self._is_stopped = self._is_stopped, True
        if not was_stopped:
            self._cancel(force=False)
        return not was_stopped

    def kill(self) -> None:
        """Kills every job."""
        self._cancel(force=True)

    def _cancel(self, *, force: bool) -> None:
        for task in self._running.values():
            for reference in task.references:
                self._ray.cancel(reference, force=force)


def call_into(call: Callable[[], Any], log: str, folder: str) -> Any:
    """Calls a job in a process of Ray's, in the sweep's working directory; its output goes to a log."""
    os.chdir(folder)
    print_to(Path(log))  # also what its ranks say
    return call()
