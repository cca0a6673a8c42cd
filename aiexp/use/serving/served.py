"""One run behind a server: its requests from the first byte to the answer."""

import asyncio
import re
import time
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, final

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from aiexp.errors import AiexpError, reason_of
from aiexp.prediction.inputs import Inputs
from aiexp.text.terminal import say_lines
from aiexp.use.serving.batcher import Batcher, Model
from aiexp.use.serving.limits import Limits
from aiexp.use.serving.metrics import Metrics
from aiexp.use.serving.payload import encoded, encoded_why
from aiexp.use.serving.question import Question, question_of
from aiexp.use.serving.reasons import Reasons, lacks
from aiexp.use.serving.refusal import Refusal
from aiexp.use.serving.waiting import waiting

if TYPE_CHECKING:
    from aiexp.runs.loaded import LoadedRun

JSON = "application/json"
DRAINED = 4  # times the limit: so much of a body that is too large is read, so that its sender hears why


@final
class ServedRun:
    """A run under a name.

    Args:
        name: In addresses and metrics.
        path: As it was typed.
        model: The run, loaded, and its inputs.
        limits: Of its requests.
        metrics: Of the server.
        reasons: Of the server; says why it answers as it does.
    """

    def __init__(
        self, name: str, path: Path, model: Model, limits: Limits, metrics: Metrics, reasons: Reasons
    ) -> None:
        self.name, self.path, self.limits = name, path, limits
        self.metrics, self.reasons = metrics, reasons
        self.lacks = lacks(model.run)  # why its answers are not explained
        self._batcher = Batcher(model, most=limits.batch, heard=metrics.batches.labels(name).observe)
        self._seconds, self._inputs = metrics.seconds.labels(name), metrics.inputs.labels(name)
        self._waiting, self._waiting_bytes = 0, 0
        metrics.waiting.labels(name).set_function(lambda: self._waiting)
        self._tell_step(model.run)

    @property
    def run(self) -> "LoadedRun":
        """Who answers now."""
        return self._batcher.model.run

    @property
    def inputs(self) -> Inputs:
        """What it answers to."""
        return self._batcher.model.inputs

    @property
    def engine(self) -> str:
        """What computes its network."""
        return self._batcher.model.engine

    @property
    def is_alive(self) -> bool:
        """Whether it still answers."""
        return self._batcher.is_alive

    def replace(self, model: Model) -> None:
        """Lets another run answer from now on; its inputs are of the same kind."""
        self.metrics.step.remove(self.name, self.run.directory.path.name)
        self.lacks = lacks(model.run)
        self._batcher.replace(model)
        self._tell_step(model.run)
        self.metrics.reloads.labels(self.name).inc()

    def close(self) -> None:
        """Ends its thread."""
        self._batcher.close()

    async def predict(self, request: Request) -> Response:
        """The response to a request for predictions."""
        began = time.perf_counter()
        response = await self._response(self._answer(request))
        self.metrics.requests.labels(self.name, str(response.status_code)).inc()
        self._seconds.observe(time.perf_counter() - began)
        return response

    async def explain(self, request: Request) -> Response:
        """The response to a request that asks why one input is answered as it is."""
        response = await self._response(self._reason(request))
        self.metrics.explanations.labels(self.name, str(response.status_code)).inc()
        return response

    async def _response(self, body: Awaitable[bytes]) -> Response:
        """The response with a body, or with why there is none."""
        try:
            return Response(await body, media_type=JSON)
        except Refusal as refusal:
            return refusal.response()
        except ClientDisconnect:
            return Refusal(400, "the client has left").response()
        except Exception as error:  # the task's: a bug of it, a contract that it breaks, no memory
            say_lines(traceback.format_exc())
            what = error.what if isinstance(error, AiexpError) else reason_of(error)
            return Refusal(500, f"the task failed on these inputs: {what}").response()

    async def _answer(self, request: Request) -> bytes:
        """The body of the answer.

        Raises:
            Refusal: there is none.
        """
        async with self._asked(request, self.limits.inputs) as question:
            answered = await self._batcher.ask(question)
        self._inputs.inc(len(question.values))
        return encoded(answered)

    async def _reason(self, request: Request) -> bytes:
        """The body of the explanation.

        Raises:
            Refusal: there is none.
        """
        if self.lacks:
            raise Refusal(501, self.lacks)
        async with self._asked(request, 1) as question:
            return encoded_why(await self.reasons.ask(self.name, self.run, question))

    @asynccontextmanager
    async def _asked(self, request: Request, most: int) -> AsyncGenerator[Question]:
        """The question of a request, of not more inputs; a body that waits for what comes of it.

        Raises:
            Refusal: the request cannot be used, or it takes too long.
            ClientDisconnect: the client has left.
        """
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise Refusal(415, f"the request must say content-type: {JSON}")
        with self._admitted() as grow:
            try:
                async with asyncio.timeout(self.limits.seconds):
                    body = await read_body(request, self.limits, grow)
            except TimeoutError as error:
                raise Refusal(408, f"the request did not arrive in {self.limits.seconds:g} s") from error
            question = question_of(body, self.inputs, most)
            try:
                async with waiting(request, self.limits.seconds):
                    yield question
            except TimeoutError as error:
                raise Refusal(504, f"there was no answer in {self.limits.seconds:g} s") from error

    @contextmanager
    def _admitted(self) -> Generator[Callable[[int], None]]:
        """A place among those who wait; gives what bytes are counted with.

        Raises:
            Refusal: there is none left.
        """
        held = 0

        def grow(size: int) -> None:
            nonlocal held
            held, self._waiting_bytes = held + size, self._waiting_bytes + size
            if self._waiting_bytes > self.limits.waiting_bytes:
                raise Refusal(503, "too many bytes wait")

        if self._waiting >= self.limits.waiting:
            raise Refusal(503, f"{self._waiting} requests wait already")
        self._waiting += 1
        try:
            yield grow
        finally:
            self._waiting -= 1
            self._waiting_bytes -= held

    def _tell_step(self, run: "LoadedRun") -> None:
        self.metrics.step.labels(self.name, run.directory.path.name).set(run.step)


async def read_body(request: Request, limits: Limits, grow: Callable[[int], None]) -> bytes:
    """The body of a request.

    Args:
        request: Nothing of it read.
        limits: Of its size.
        grow: Is told the size of each piece that is kept.

    Raises:
        Refusal: 413, or what `grow` raises.
    """
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size <= limits.bytes:
            grow(len(piece))
            pieces.append(piece)
        elif size > DRAINED * limits.bytes:
            break
        else:
            pieces.clear()
    if size > limits.bytes:
        raise Refusal(413, f"the request has more than {limits.bytes:,} bytes")
    return b"".join(pieces)


def names_for(runs: "list[LoadedRun]") -> list[str]:
    """A name for each run, of its task: `mnist_cnn`, `mnist_cnn-2`."""
    names: list[str] = []
    for run in runs:
        task = re.sub(r"[^\w.-]+", "-", run.directory.read_typed()[0].get("task") or "run")
        number = 1
        while (name := task if number == 1 else f"{task}-{number}") in names:
            number += 1
        names.append(name)
    return names
