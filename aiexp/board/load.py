"""What the process of a run takes of this machine, as Linux says it in /proc."""

import os
import socket
import time
from collections import deque
from pathlib import Path
from threading import Lock
from typing import Any, final

from aiexp.rundir.file import ENVIRONMENT, STATUS, read_or_empty

MOST_SAMPLES = 600
LEAST_SECONDS = 1.0  # between two samples, however many look
PROC = Path("/proc")


@final
class Load:
    """Samples of one run, taken whenever somebody looks; may be asked by several threads.

    Args:
        run: Its directory.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._samples: deque[dict[str, float | None]] = deque(maxlen=MOST_SAMPLES)
        self._before: tuple[float, float, float, float] | None = None
        self._lock, self._sampled = Lock(), -LEAST_SECONDS
        self._answer: dict[str, Any] = {}

    def sample(self) -> dict[str, Any]:
        """The samples so far and one more, unless one was just taken; or why there are none."""
        with self._lock:
            if time.monotonic() - self._sampled >= LEAST_SECONDS or not self._answer:
                self._answer, self._sampled = self._sample(), time.monotonic()
            return self._answer

    def _sample(self) -> dict[str, Any]:
        status, environment = read_or_empty(self._run / STATUS), read_or_empty(self._run / ENVIRONMENT)
        if environment.get("hostname") not in (None, socket.gethostname()):
            return {"why": f"the run works on another machine: {environment['hostname']}", "samples": []}
        if not (PROC / "stat").is_file():
            return {"why": "only Linux says what a process takes", "samples": []}
        processes = _family(int(status.get("pid") or 0))
        if not processes:
            return {"why": "no process works on the run", "samples": list(self._samples)}
        seconds, resident = zip(*processes, strict=True)
        busy, total = _machine()
        now = time.monotonic()
        found: dict[str, float | None] = {
            "time": round(time.time(), 1),
            "memory": float(sum(resident)),
            "machineMemory": _memory_in_use(),
            "processes": float(len(processes)),
            "cores": None,
            "machine": None,
        }
        if self._before is not None and now > self._before[0]:
            then, used, was_busy, was_total = self._before
            found["cores"] = round(max(sum(seconds) - used, 0.0) / (now - then), 3)
            found["machine"] = round((busy - was_busy) / max(total - was_total, 1e-9), 4)
            self._samples.append(found)
        self._before = now, sum(seconds), busy, total
        return {"why": "", "samples": list(self._samples), "numCores": os.cpu_count()}


def _family(pid: int) -> list[tuple[float, int]]:
    """Processor seconds and resident bytes of a process and of those it has started; [] if it is gone."""
    children: dict[int, list[int]] = {}
    found: dict[int, tuple[float, int]] = {}
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue  # ended meanwhile
        children.setdefault(int(fields[1]), []).append(int(entry.name))
        found[int(entry.name)] = (int(fields[11]) + int(fields[12])) / ticks, int(fields[21]) * page
    family, rest = [], [pid]
    while rest:
        member = rest.pop()
        if member in found:
            family.append(found.pop(member))
            rest += children.get(member, [])
    return family


def _machine() -> tuple[float, float]:
    """Ticks that the processors have worked, and all they had."""
    numbers = [float(word) for word in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(numbers) - numbers[3] - numbers[4], sum(numbers)  # without idle and waiting for disks


def _memory_in_use() -> float | None:
    """Bytes in use on the machine."""
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
    except OSError:
        return None
    sizes = {name: float(text.split()[0]) * 1024 for name, _, text in (line.partition(":") for line in lines)}
    if "MemTotal" not in sizes or "MemAvailable" not in sizes:
        return None
    return sizes["MemTotal"] - sizes["MemAvailable"]
