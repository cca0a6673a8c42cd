"""Why a run of several ranks has ended: one cause, whatever the others say of it."""

import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Never, final

from aiexp.errors import AiexpError
from aiexp.rundir.file import RANKS
from aiexp.world.failure import LastWord, PeerLostError
from aiexp.world.world import rank_file

WORD_SECONDS = 3.0  # that a rank may take to say why it has failed
# Functions in which a rank waits for the others.
_WAITING = ("torch/distributed/", "/world/world.py", "_engine_run_backward")


@final
class Bug(AiexpError):
    """An error that nobody expected, on one rank.

    Args:
        error: What it met.
        rank: Which.
        where: Where it was raised; empty if that stands in the rank's log.
    """

    def __init__(self, error: BaseException, rank: int, where: str = "") -> None:
        super().__init__(
            f"rank {rank} met {type(error).__name__}: {error}",
            where=where or f"its traceback is in {rank_file(Path(RANKS), rank, 'log')}",
        )


@final
class RunEnded(AiexpError):
    """What a rank ended with, in its own words.

    Args:
        lines: For the user.
        exit_code: Of the run.
    """

    kind, is_quoted = "ranks", True

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
    logs: Path, exit_codes: Mapping[int, int | None], killed: set[int], asked: int | None
) -> RunEnded | None:
    """Why a run ended before its time; None if it did not.

    Args:
        logs: What ranks leave, of all machines.
        exit_codes: Of each rank of this machine, negative after a signal.
        killed: Ranks that the launcher has ended: they were too slow to leave.
        asked: The signal that was passed on to them; one that did not listen yet has ended by it.
    """
    failed = {rank: code for rank, code in exit_codes.items() if code}
    words = last_words(logs)
    told = sorted(words.values(), key=lambda word: word.seconds)
    for word in told:
        if word.exit_code != PeerLostError.exit_code:
            return RunEnded(word.lines, word.exit_code)
    stuck = [rank for rank in stacks(logs) if rank not in words]
    if stuck:
        return _stood_still(logs, stuck)
    for rank, code in failed.items():
        if rank not in words and rank not in killed and -code != asked:
            return _died(rank, code)
    if killed:
        line = f"error[ranks]: rank {min(killed)} did not leave in time | fix: a longer hardware.grace"
        return RunEnded([line], 137)
    if asked and failed:
        line = "stopped, before the first checkpoint"
        return RunEnded([line], 130 if asked == signal.SIGINT else 143)
    return RunEnded(told[0].lines, PeerLostError.exit_code) if told else None


def patient_cause(find: Callable[[], RunEnded | None]) -> RunEnded | None:
    """What is found; where that is but that another rank is gone, that one has a moment to say more."""
    deadline = time.monotonic() + WORD_SECONDS
    while (cause := find()) is not None and cause.exit_code == PeerLostError.exit_code:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return cause


def last_words(logs: Path) -> dict[int, LastWord]:
    """What ranks have said."""
    words = {rank: LastWord.read(rank_file(logs, rank, "json")) for rank in _ranks(logs, "json")}
    return {rank: word for rank, word in words.items() if word is not None}


def has_cause(logs: Path) -> bool:
    """Whether a rank has left more than that another one is gone."""
    codes = {word.exit_code for word in last_words(logs).values()}
    return bool(codes - {PeerLostError.exit_code} or stacks(logs))


def stacks(logs: Path) -> list[int]:
    """The ranks that their own watch has ended."""
    return [rank for rank in _ranks(logs, "stack") if stack(logs, rank)]


def _ranks(logs: Path, suffix: str) -> list[int]:
    """Ranks that have left such a file."""
    return sorted(int(path.stem.rpartition("-")[2]) for path in logs.glob(f"rank-*.{suffix}"))


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
