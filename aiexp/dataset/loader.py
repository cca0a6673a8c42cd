"""Batches in order from a function of their number, made here or by worker processes."""

import atexit
import ctypes
import itertools
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from aiexp.errors import AiexpError, DataError

# A worker that has not answered for so long is taken for stuck.
WORKER_TIMEOUT_SECONDS = 300.0
_WAIT_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1


def ordered_batches(
    make: Callable[[int], Any], *, start: int, stop: int | None, num_workers: int, name: str
) -> Iterator[Any]:
    """`make(start)`, `make(start + 1)`, ... up to but without `stop`.

    The batches are the same whatever `num_workers` is, and nothing is drawn from a global random generator.

    Args:
        make: A pure function of the batch's number; it must be picklable for workers on some platforms.
        start: First number.
        stop: One past the last number, None for no end.
        num_workers: Processes that make batches ahead; 0 makes each when it is asked for.
        name: What the batches are, for messages: "training".

    Raises:
        DataError: `make` failed, or a worker died or hangs; names the batch.
    """
    numbers = itertools.count(start) if stop is None else iter(range(start, stop))
    if num_workers == 0:
        for number in numbers:
            yield _opened(_Guarded(make)[number], number, name)
        return
    with _workers(make, start, stop, num_workers) as batches:
        for number in numbers:
            try:
                batch = _next(batches)
            except (RuntimeError, OSError, EOFError) as error:
                first = str(error).strip().splitlines() or [type(error).__name__]
                raise DataError(
                    f"{name} batch {number} did not come from its worker: {first[0]}",
                    where="dataset",
                    fix="look for a full memory or a full /dev/shm, or use dataset.num_workers=0",
                ) from error
            yield _opened(batch, number, name)


@dataclass(frozen=True, slots=True)
class _Failure:
    """What stands in for a batch that could not be made; errors themselves do not travel well."""

    error: Exception


class _Guarded(Dataset[Any]):
    """A map-style data set over batch numbers."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        self._make = make

    def __getitem__(self, index: int) -> Any:
        try:
            return self._make(index)
        except AiexpError as error:
            return _Failure(error)
        except Exception as error:  # whatever a reader of the user's files raises
            return _Failure(RuntimeError(f"{type(error).__name__}: {error}"))


class _Numbers(Sampler[int]):
    """Batch numbers, possibly without end."""

    def __init__(self, start: int, stop: int | None) -> None:
        self._start, self._stop = start, stop

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self._start) if self._stop is None else iter(range(self._start, self._stop))


def _opened(batch: Any, number: int, name: str) -> Any:
    """The batch itself, or the error that its maker met."""
    if not isinstance(batch, _Failure):
        return batch
    if isinstance(batch.error, AiexpError):
        raise batch.error
    raise DataError(f"{name} batch {number} cannot be made: {batch.error}", where="dataset") from batch.error


def _next(batches: Iterator[Any]) -> Any:
    """The next batch; PyTorch looks for dead workers only when a wait ends, so the waits are short."""
    deadline = time.monotonic() + WORKER_TIMEOUT_SECONDS
    while True:
        try:
            return next(batches)
        except RuntimeError as error:
            if "timed out" not in str(error):
                raise
            if time.monotonic() > deadline:
                raise RuntimeError(f"no answer for {WORKER_TIMEOUT_SECONDS:.0f} s") from None


@contextmanager
def _workers(
    make: Callable[[int], Any], start: int, stop: int | None, num_workers: int
) -> Generator[Iterator[Any], None, None]:
    """Batches from worker processes, which are gone when this ends, however it ends."""
    is_main = threading.current_thread() is threading.main_thread()
    on_child_death = signal.getsignal(signal.SIGCHLD) if is_main and hasattr(signal, "SIGCHLD") else None
    loader: DataLoader[Any] = DataLoader(
        _Guarded(make),
        batch_size=None,
        sampler=_Numbers(start, stop),
        num_workers=num_workers,
        timeout=_WAIT_SECONDS,
        worker_init_fn=_WorkerStart(dies_with_parent=is_main),
        # Its own, so that making workers draws nothing from the run's random numbers.
        generator=torch.Generator(),
    )
    others = set(multiprocessing.active_children())
    batches = iter(loader)
    workers = [child for child in multiprocessing.active_children() if child not in others]
    if on_child_death is not None:
        # PyTorch's handler raises wherever the program happens to be, even while a checkpoint is written.
        # Without it the loss of a worker shows when the next batch is asked for.
        signal.signal(signal.SIGCHLD, on_child_death)
    # Workers ignore SIGTERM, with which multiprocessing would end them at exit before waiting for them.
    kill = atexit.register(partial(_kill, workers))
    unregister = atexit.unregister  # when this ends with the interpreter, globals are already gone
    try:
        yield batches
    finally:
        kill()
        unregister(kill)


def _kill(workers: list[BaseProcess]) -> None:
    """Ends processes that hold nothing worth keeping; a second call does nothing."""
    while workers:
        workers.pop().kill()


@dataclass(frozen=True, kw_only=True, slots=True)
class _WorkerStart:
    """Runs first in each worker: stopping is the parent's decision, and nobody outlives the parent."""

    dies_with_parent: bool

    def __call__(self, worker: int) -> None:
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        if self.dies_with_parent and sys.platform == "linux":
            # At once, where PyTorch's own watch takes up to 5 s.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
