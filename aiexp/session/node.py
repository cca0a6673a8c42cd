"""A run on several machines, each of which a cluster has started with the same job: how they meet.

The first makes the run directory and writes down where it is and where its ranks listen; the others wait for
that file. Its name is of one turn of one job and cannot be guessed, so nobody meets those of an earlier one.
"""

import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from aiexp.errors import HardwareError
from aiexp.rundir.directory import RunDirectory
from aiexp.storage.files import write_json

if TYPE_CHECKING:
    from aiexp.hardware.hardware import Hardware

POLL_SECONDS = 0.2


@final
@dataclass(frozen=True, kw_only=True)
class Node:
    """A machine among those that train a run together; without arguments the only one.

    Args:
        number: From 0, the first.
        count: How many there are.
        meeting: The file in which the first tells the others, in a folder that all see.
    """

    number: int = 0
    count: int = 1
    meeting: Path = Path()

    @property
    def is_alone(self) -> bool:
        """Whether there is but one."""
        return self.count == 1

    def invite(self, directory: RunDirectory, hardware: "Hardware") -> dict[str, str]:
        """Tells the others where to train, as the first; returns what ranks need to find the first rank."""
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        address = {"MASTER_ADDR": socket.gethostname(), "MASTER_PORT": str(port)}
        path = str(directory.path.absolute())
        write_json(self.meeting, {"directory": path, "ranks": ranks_of(hardware), "address": address})
        return address

    def close(self) -> None:
        """Nobody need wait for the first any more."""
        if not self.is_alone:
            write_json(self.meeting, {})

    def invitation(self, seconds: float) -> dict[str, Any]:
        """What the first has told, after at most so many seconds; empty if there is nothing to do."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                return json.loads(self.meeting.read_text(encoding="utf-8"))
            except FileNotFoundError:
                time.sleep(POLL_SECONDS)
        return {}

    def check(self, hardware: "Hardware", invited: dict[str, Any]) -> None:
        """Raises `HardwareError` unless this machine has what the first one has."""
        ours, theirs = ranks_of(hardware), invited["ranks"]
        if ours != theirs:
            raise HardwareError(
                f"{socket.gethostname()} has {ours}, the first machine {theirs}", where="nodes",
                fix="as many GPUs on every machine, or hardware=cpu",
            )  # fmt: skip


def ranks_of(hardware: "Hardware") -> str:
    """What a machine trains with: "8 cuda"."""
    return f"{hardware.devices} {hardware.device_type}"
