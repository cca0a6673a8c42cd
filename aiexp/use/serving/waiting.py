"""Those who wait for answers: handed what came of it, and looked for from inside while it is computed."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, final

from fastapi import Request
from starlette.requests import ClientDisconnect
from torch import nn

PATIENCE = 0.1  # seconds of computing before the first look, and between two
LEAVING = 0.25  # seconds of waiting after which a client is watched: most have their answer by then

Future = asyncio.Future[Any]


class Abandoned(Exception):
    """Nobody waits any more for what is being computed."""


@final
class Lookout:
    """Ends what a task computes once nobody waits for it, from inside: its modules look before they work.

    So an episode ends between two steps, and a batch of long texts between two layers, whatever the task. It
    is no more than an error on some inputs, which a task has to bear anyway. It belongs to one thread.
    """

    def __init__(self) -> None:
        self._futures: Sequence[Future] = ()
        self._next = float("inf")

    def watch(self, task: nn.Module) -> None:
        """Looks from inside a task too; nobody else's thread uses it."""
        for module in posts(task):
            module.register_forward_pre_hook(self._look)

    @contextmanager
    def over(self, futures: Sequence[Future]) -> Generator[None]:
        """A body that computes for these; it raises `Abandoned` once all of them are done."""
        self._futures, self._next = futures, time.monotonic() + PATIENCE
        try:
            yield
        finally:
            self._futures, self._next = (), float("inf")

    def _look(self, _: nn.Module, __: Any) -> None:
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + PATIENCE
        if all(future.done() for future in self._futures):
            raise Abandoned


def posts(task: nn.Module) -> list[nn.Module]:
    """The modules of a task that look: its networks, and the layers that follow each other in them.

    Not all, of which a network for texts has hundreds: a look takes a microsecond.
    """

    def found() -> Iterator[nn.Module]:
        yield from task.children()
        for module in task.modules():
            if isinstance(module, nn.ModuleList | nn.Sequential):
                yield from module

    return list(dict.fromkeys(found()))


@asynccontextmanager
async def waiting(request: Request, seconds: float) -> AsyncGenerator[None]:
    """A body that waits for an answer to a request, all of which has been read.

    Raises:
        TimeoutError: it takes longer.
        ClientDisconnect: the client has left.
    """
    has_left = False
    watch: asyncio.Task[None] | None = None
    loop, limit = asyncio.get_running_loop(), asyncio.timeout(seconds)

    async def look() -> None:
        nonlocal has_left
        while (await request.receive())["type"] != "http.disconnect":
            pass
        has_left = True
        limit.reschedule(loop.time())

    def begin() -> None:
        nonlocal watch
        watch = loop.create_task(look())

    timer = loop.call_later(LEAVING, begin)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if has_left:
            raise ClientDisconnect from error
        raise
    finally:
        timer.cancel()
        if watch is not None:
            watch.cancel()


def settle(outcomes: Sequence[tuple[Future, Any]]) -> None:
    """Hands outcomes, results or exceptions, to those who wait, waking each event loop once."""
    by_loop: dict[Any, list[tuple[Future, Any]]] = defaultdict(list)
    for future, outcome in outcomes:
        by_loop[future.get_loop()].append((future, outcome))
    for loop, its in by_loop.items():
        with suppress(RuntimeError):  # closed: nobody waits any more
            loop.call_soon_threadsafe(_set, its)


def _set(outcomes: Sequence[tuple[Future, Any]]) -> None:
    for future, outcome in outcomes:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
