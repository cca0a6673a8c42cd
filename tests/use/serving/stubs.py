"""Tasks that answer in microseconds, and servers of them in this process."""

import asyncio
import base64
import contextlib
import io
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from aiexp.errors import ConfigError, DataError
from aiexp.listening import address_of, bound
from aiexp.prediction.inputs import Inputs
from aiexp.prediction.pictures import PictureInputs
from aiexp.prediction.prediction import Prediction
from aiexp.prediction.seeds import Seeds
from aiexp.rundir.directory import RunDirectory
from aiexp.runs.loaded import LoadedRun
from aiexp.task.base import Task
from aiexp.use.serving.application import make_app
from aiexp.use.serving.batcher import Model
from aiexp.use.serving.limits import Limits
from aiexp.use.serving.metrics import Metrics
from aiexp.use.serving.reasons import Reasons, again
from aiexp.use.serving.served import ServedRun
from aiexp.use.serving.server import make_server
from tests.toys import make_hardware

JSON = {"content-type": "application/json"}


class Words(Inputs):
    """Texts, each as long as its letters."""

    noun = "a text"
    schema: ClassVar[Any] = {"type": "string", "minLength": 1}

    def prepare(self, values: Sequence[Any]) -> list[Any]:
        return [v if isinstance(v, str) and v else DataError("the text is empty") for v in values]

    def collate(self, examples: Sequence[str]) -> list[str]:
        return list(examples)

    def length(self, example: str) -> int:
        return len(example)


class Louder(Words):
    """Texts with a mark behind them, which is a setting."""

    options = ("mark", "path")
    remote_options: ClassVar[Any] = {"mark": {"type": "string", "enum": ["!", "?"]}}
    mark = ""

    def configure(self, **options: Any) -> None:
        super().configure(**options)
        if options["mark"] not in ("!", "?"):
            raise ConfigError("there is no such mark", fix="! or ?")
        self.mark = options["mark"]

    def collate(self, examples: Sequence[str]) -> list[str]:
        return [example + self.mark for example in examples]


class Supported(PictureInputs):
    """Pictures beside which a few of each class are given."""

    options = ("support",)
    remote_options: ClassVar[Any] = {
        "support": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": PictureInputs.schema, "minItems": 1},
        }
    }

    def __init__(self) -> None:
        super().__init__(8, 1)
        self.names: list[str] = []

    def configure(self, **options: Any) -> None:
        super().configure(**options)
        assert all(isinstance(p, bytes) for pictures in options["support"].values() for p in pictures)
        self.names = list(options["support"])

    def collate(self, examples: Sequence[Any]) -> Any:
        return [",".join(self.names)] * len(examples)


class Stub(Task):
    """Answers with the letters of each text; remembers its batches, can be held up, fails on some.

    Args:
        tag: Comes with every answer.
        make_inputs: The kind of inputs.
    """

    def __init__(self, tag: str = "first", make_inputs: Callable[[], Inputs] = Words) -> None:
        super().__init__()
        self.tag, self.seen, self.free = tag, list[list[str]](), threading.Event()
        self.free.set()
        self.layer, self._make_inputs = nn.Linear(1, 1), make_inputs

    def inputs(self) -> Inputs:
        return self._make_inputs()

    def again(self) -> "Stub":
        return Stub(self.tag, self._make_inputs)

    def predict(self, batch: list[str]) -> list[Prediction]:
        assert self.free.wait(20)
        self.seen.append(batch)
        if "boom" in batch:
            raise RuntimeError("boom")
        return [
            Prediction(
                line=text,
                values={
                    "label": text,
                    "tag": self.tag,
                    "probability": float("nan") if text == "nan" else 1.0,
                },
            )
            for text in batch
        ]

    def train_step(self, batch: Any) -> Any: ...

    def make_optimizers(self) -> Any: ...


class Brightness(Stub):
    """Whether a picture is dark or bright."""

    class_names: ClassVar[list[str]] = ["dark", "bright"]

    def __init__(self) -> None:
        super().__init__(make_inputs=lambda: PictureInputs(8, 1))

    def again(self) -> "Stub":
        return Brightness()

    def logits(self, batch: Any) -> Tensor:
        mean = batch["images"].float().mean((1, 2, 3)) / 255
        return torch.stack([1 - mean, mean], 1).clamp(1e-9).log()

    predict = Task.predict


class Noise(Stub):
    """A picture for each seed."""

    def __init__(self) -> None:
        super().__init__(make_inputs=lambda: Seeds(1))

    def predict(self, batch: list[int]) -> list[Prediction]:
        return [
            Prediction(line=str(seed), values={"seed": seed}, pictures={"sample": png(seed % 256)})
            for seed in batch
        ]


def png(value: int, size: int = 8) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((size, size), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def make_model(task: Task, folder: Path, name: str = "run", state: str = "finished") -> Model:
    path = folder / name
    path.mkdir(parents=True, exist_ok=True)
    directory = RunDirectory(path)
    directory.write_config({"seed": 0}, {"task": "toy"}, [])
    directory.write_status(state=state)
    run = LoadedRun(directory=directory, config={}, hardware=make_hardware(), task=task.eval(), step=7)
    return Model(run, task.inputs())


def second(run: LoadedRun) -> LoadedRun:
    """The same run once more; of a stub without its folder."""
    return replace(run, task=run.task.again().eval()) if isinstance(run.task, Stub) else again(run)


@contextmanager
def serving(
    *models: Model, limits: Limits | None = None, metrics: Metrics | None = None
) -> Iterator[list[ServedRun]]:
    """Models behind names toy, toy-2, ..."""
    metrics, limits = metrics or Metrics(), limits or Limits()
    reasons = Reasons(limits.explanations, second)
    served = [
        ServedRun(
            "toy" if not i else f"toy-{i + 1}", model.run.directory.path, model, limits, metrics, reasons
        )
        for i, model in enumerate(models)
    ]
    try:
        yield served
    finally:
        reasons.close()
        for one in served:
            one.close()


Body = Callable[[httpx.AsyncClient], Awaitable[Any]]


def asking(
    body: Body, *models: Model, limits: Limits | None = None, hosts: frozenset[str] | None = None
) -> Any:
    """What `body` returns, given a client of an application in this process."""

    async def main() -> Any:
        metrics = Metrics()
        with serving(*models, limits=limits, metrics=metrics) as served:
            transport = httpx.ASGITransport(make_app(served, metrics, hosts))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await body(client)

    return asyncio.run(main())


class Playing(Stub):
    """Takes a step every millisecond, for as many of them as a text says."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def predict(self, batch: list[str]) -> list[Prediction]:
        for _ in range(sum(map(int, batch))):
            self.layer(torch.zeros(1, 1))
            self.steps += 1
            time.sleep(0.001)
        return super().predict(batch)


async def ask(client: httpx.AsyncClient, *inputs: Any, to: str = "/predict") -> httpx.Response:
    return await client.post(to, json={"inputs": list(inputs)})


@contextmanager
def over_network(*models: Model) -> Iterator[str]:
    """The address of a server in a thread of this process."""
    metrics = Metrics()
    with serving(*models, metrics=metrics) as served, contextlib.closing(bound("127.0.0.1", 0)) as socket:
        address = address_of(socket)
        server = make_server(make_app(served, metrics))
        thread = threading.Thread(target=server.run, args=([socket],))
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join(20)


@contextmanager
def apart(*models: Model) -> Iterator[str]:
    """The same in a fork: see `tests.forks.forked`."""
    socket = bound("127.0.0.1", 0)
    address = address_of(socket)
    pid = os.fork()
    if pid == 0:
        try:
            metrics = Metrics()
            with serving(*models, metrics=metrics) as served:
                make_server(make_app(served, metrics)).run([socket])
        finally:
            os._exit(0)  # whatever it ended by: there must be no second pytest
    socket.close()
    try:
        wait_until_it_answers(address)
        yield address
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def wait_until_it_answers(address: str) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{address}/health")
            return
        time.sleep(0.01)
    raise AssertionError(f"{address} does not answer")
