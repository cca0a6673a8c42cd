"""Why a run of several ranks has ended: one cause, whatever the others say of it."""

import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Never, final

from aiexp.errors import AiexpError
from aiexp.rundir.file import RANKS
from aiexp.world.failure import LastWord, PeerLostError
from aiexp.world.world import rank_file

# Functions in which a rank waits for the others.
_WAITING = ("torch/distributed/", "/world/world.py", "_engine_run_backward")


@final
class Bug(AiexpError):
    """An error that nobody expected, on one rank.

    Args:
        error: What it met.
        rank: Which.
        trace: Where it was raised; empty if that stands in the rank's log.
    """

    def __init__(self, error: BaseException, rank: int, trace: str = "") -> None:
        super().__init__(
            f"rank {rank} met {type(error).__name__}: {error}",
            where=trace or f"its traceback is in {rank_file(Path(RANKS), rank, 'log')}",
        )


@final
class RunEnded(AiexpError):
    """What a rank ended with, in its own words.

    Args:
        lines: For the user.
        exit_code: Of the run.
    """

    kind = "ranks"

    def __init__(self, lines: list[str], exit_code: int) -> None:
        super().__init__(lines[0])
        self._lines, self.exit_code = lines, exit_code

    def line(self) -> str:
        """The first of its lines."""
        return self._lines[0]

    def lines(self) -> list[str]:
        """Its lines as they were."""
        return self._lines


def cause_of(
    logs: Path, exit_codes: Sequence[int | None], killed: set[int], asked: int | None
) -> RunEnded | None:
    """Why a run ended before its time; None if it did not.

    Args:
        logs: What ranks leave.
        exit_codes: Of each rank, negative after a signal.
        killed: Ranks that the launcher has ended: they were too slow to leave.
        asked: The signal that was passed on to them; one that did not listen yet has ended by it.
    """
    failed = {rank: code for rank, code in enumerate(exit_codes) if code}
    words = {rank: LastWord.read(rank_file(logs, rank, "json")) for rank in failed}
    told = sorted(
        ((word.seconds, rank, word) for rank, word in words.items() if word is not None), key=lambda t: t[:2]
    )
    for _, _, word in told:
        if word.exit_code != PeerLostError.exit_code:
            return RunEnded(word.lines, word.exit_code)
    stuck = [rank for rank in failed if words[rank] is None and stack(logs, rank)]
    if stuck:
        return _stood_still(logs, stuck)
    for rank, code in failed.items():
        if words[rank] is None and rank not in killed and -code != asked:
            return _died(rank, code)
    if killed:
        line = f"error[ranks]: rank {min(killed)} did not leave in time | fix: a longer hardware.grace"
        return RunEnded([line], 137)
    if asked and failed:
        line = "stopped, before the first checkpoint"
        return RunEnded([line], 130 if asked == signal.SIGINT else 143)
    return RunEnded(told[0][2].lines, 1) if told else None


def stack(logs: Path, rank: int) -> str:
    """Where a rank stood when its own watch ended it; empty if it did not."""
    try:
        return rank_file(logs, rank, "stack").read_text(encoding="utf-8")
    except OSError:
        return ""


def _died(rank: int, code: int) -> RunEnded:
    """A rank that went without a word."""
    log = f"{RANKS}/rank-{rank:05d}.log" if rank else "run.log"
    if code > 0:
        return RunEnded([f"error[ranks]: rank {rank} ended with exit code {code} | {log}"], code)
    name = signal.Signals(-code).name
    fix = "look for a full memory: dmesg" if -code == signal.SIGKILL else f"see {log}"
    return RunEnded(
        [f"error[ranks]: rank {rank} was ended by {name} | fix: {fix}; then aiexp resume"], 128 - code
    )


def _stood_still(logs: Path, stuck: list[int]) -> RunEnded:
    """The ranks that waited for nobody are the ones that the others waited for."""
    culprits = [r for r in stuck if not any(word in _main(stack(logs, r)) for word in _WAITING)] or stuck
    rank = culprits[0]
    lines = _main(stack(logs, rank)).splitlines()
    where = lines[0].strip() if lines else "it does not say where"
    names = " and ".join(map(str, culprits))
    return RunEnded(
        [
            f"error[ranks]: rank {names} stood still for hardware.timeout seconds, {where} | "
            f"{rank_file(Path(RANKS), rank, 'stack')} | fix: if it takes longer, so must hardware.timeout"
        ],
        5,
    )


def _main(text: str) -> str:
    """The frames of the main thread, innermost first: it is the last that faulthandler writes."""
    frames: list[str] = []
    for line in text.splitlines():
        if line.startswith(("Thread", "Current thread")):
            frames = []
        elif line.startswith("  File"):
            frames.append(line)
    return "\n".join(frames)


def end(exit_code: int) -> Never:
    """Ends the process of a rank at once: gloo's threads may abort it while Python tidies up."""
    gc.collect()  # workers that load data end with what holds them
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
