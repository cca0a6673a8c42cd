"""Inputs explained one after the other, each into a folder of its own."""

import re
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor

from aiexp.errors import AiexpError, ConfigError, DataError
from aiexp.prediction.inputs import Inputs
from aiexp.prediction.prediction import Prediction
from aiexp.prediction.texts import Texts
from aiexp.storage.files import storage_errors, write_bytes, write_json, write_text
from aiexp.storage.staged import check_target, staged
from aiexp.task.base import Task
from aiexp.task.contract import misfits
from aiexp.use.explaining.explainer import Asked, Explainer
from aiexp.use.explaining.explanation import MOST_STRONGEST, Explanation
from aiexp.use.explaining.figure import picture
from aiexp.use.explaining.gradients import check_captum
from aiexp.use.explaining.moments import Moments
from aiexp.use.explaining.page import page
from aiexp.use.explaining.subject import ACTION, CLASS, Subject, subject_of
from aiexp.use.explaining.tensors import TensorExplainer
from aiexp.use.explaining.texts import TextExplainer
from aiexp.use.predicting import predict_batch
from aiexp.use.reading import Item

if TYPE_CHECKING:
    from aiexp.runs.loaded import LoadedRun

FOLDER = "explanations"  # in a run directory
NAME = "explanation"
RECORD = f"{NAME}.json"  # by it a folder is known for one that may be replaced
GRADIENTS = "integrated_gradients"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is asked for.

    Args:
        method: One of `METHODS`; "" is all that tell something of the inputs.
        target: Name or number of a class; "" is the one that is predicted.
    """

    method: str = ""
    target: str = ""


@final
class Explaining:
    """A run whose answers are explained.

    Args:
        run: Loaded.
        inputs: Of its task, its settings taken.
        request: For all inputs.

    Raises:
        ConfigError: the task has nothing to explain, or not by this method.
        HardwareError: captum is missing.
    """

    def __init__(self, run: "LoadedRun", inputs: Inputs, request: Request) -> None:
        self.run, self.inputs, self.request = run, inputs, request
        self.subject: Subject = subject_of(run.task)
        self.explainer = explainer_of(run.task, inputs, self.subject)
        self.methods = (request.method,) if request.method else self.explainer.methods
        if request.method and request.method not in self.explainer.methods:
            raise ConfigError(
                f"{request.method} is not for inputs that are {inputs.noun}",
                where="--method", fix=f"--method {'|'.join(self.explainer.methods)}",
            )  # fmt: skip
        if GRADIENTS in self.methods:
            check_captum()

    def explanation(self, item: Item) -> Explanation:
        """Why an input is answered as it is.

        Raises:
            DataError: it cannot be read.
            ConfigError: the target is not there, or the method has nothing to work with.
        """
        value = item.value
        made = value if isinstance(value, AiexpError) else self.inputs.prepare([value])[0]
        if isinstance(made, AiexpError):
            raise DataError(made.what, where=item.name, fix=made.fix)
        task = self.run.task
        notes = self.explainer.notes(value)
        prediction, batch = self.predicted(made, notes)
        with torch.no_grad(), misfits():
            outputs = self.subject.outputs(batch)[0].float()
        number = self.number(prediction, outputs)
        name = self.subject.name(number)
        asked = Asked(batch=batch, outputs=lambda b: self.subject.outputs(b)[:, number].float(), name=name)
        parts = [part for method in self.methods if (part := self.explainer.part(method, asked))]
        if not parts:
            raise nothing_for(self.methods[0], task)
        return Explanation(
            name=item.name, run=f"{self.run.directory.path.name}, step {self.run.step}",
            prediction=prediction, chances=self.chances(outputs), target=name, parts=parts, notes=notes,
        )  # fmt: skip

    def predicted(self, example: Any, notes: list[str]) -> tuple[Prediction, dict[str, Any]]:
        """The answer to an example, and a batch of what is explained: of an episode one moment."""
        network = self.subject.network
        with Moments(network[0]) if network else nullcontext() as moments:
            prediction = predict_batch(self.run, self.inputs, [example])[0]
        batch: dict[str, Any] = self.run.task.to_device(self.inputs.collate([example]))
        if network and moments and moments.observation is not None:
            notes.append(moments.line())
            batch[network[1]] = moments.observation.clone()  # no longer one of inference mode
        return prediction, batch

    def number(self, prediction: Prediction, outputs: Tensor) -> int:
        """The output that is explained."""
        if self.request.target:
            return self.subject.number(self.request.target, len(outputs))
        label = prediction.values.get("label")  # in the precision of predictions
        return self.subject.names.index(label) if label in self.subject.names else int(outputs.argmax())

    def chances(self, outputs: Tensor) -> list[tuple[str, float]]:
        """Probabilities of classes, or values of actions; the largest first."""
        numbers = outputs.softmax(0) if self.subject.noun == CLASS else outputs
        values, places = numbers.topk(min(MOST_STRONGEST, len(numbers)))
        return list(zip(map(self.subject.name, places.tolist()), values.tolist(), strict=True))


def explainer_of(task: Task, inputs: Inputs, subject: Subject) -> Explainer:
    """What explains inputs of a kind.

    Args:
        task: Whose inputs they are.
        inputs: The kind.
        subject: What of the answers is explained; inputs of actions may be several observations stacked.

    Raises:
        ConfigError: nothing does.
    """
    if isinstance(inputs, Texts):
        return TextExplainer(task, inputs)
    ports = list(inputs.ports())
    if len(ports) == 1:
        return TensorExplainer(task, ports[0], is_stacked=subject.noun == ACTION)
    raise ConfigError(
        f"inputs that are {inputs.noun} have no explanation: they are no text and not one tensor",
        where=type(task).__name__,
    )


def nothing_for(method: str, task: Task) -> ConfigError:
    """The error for a method that a network has nothing for."""
    lacks = {"grad_cam": "convolution of more than one pixel", "attention": "attention that can be seen"}
    return ConfigError(
        f"the network of {type(task).__name__} has no {lacks[method]}",
        where="--method", fix=f"--method {GRADIENTS}",
    )  # fmt: skip


def keep(explanation: Explanation, folder: Path) -> str:
    """Writes the page, the picture and the numbers of an explanation as a folder, in place of an earlier one.

    Returns the letters for which the picture has boxes, since no font here has them.

    Raises:
        StorageError: the folder holds something else, or cannot be written.
    """
    drawn, html = picture(explanation), page(explanation)
    check_target(folder, RECORD)
    with staged(folder) as staging, storage_errors("writing an explanation", folder, "--out DIR"):
        write_bytes(staging / f"{NAME}.png", drawn.png)
        write_text(staging / f"{NAME}.html", html)
        write_json(staging / RECORD, explanation.record())
    return drawn.boxes


@final
class Folders:
    """Names of folders for inputs, no two the same.

    Args:
        folder: That holds them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.taken: set[str] = set()

    def of(self, name: str) -> Path:
        """For an input: `photos/a b.png` becomes `a-b.png`, `reviews.csv:17` becomes `reviews.csv-17`."""
        last = name.rstrip("/").rpartition("/")[2]
        stem = re.sub(r"[^\w.+-]+", "-", last).strip("-.")[:80] or "input"
        free, number = stem, 1
        while free in self.taken:
            number += 1
            free = f"{stem}-{number}"
        self.taken.add(free)
        return self.folder / free
