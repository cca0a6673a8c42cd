"""Do a task and a data set keep their contracts? Every breach is one line that names whose code it is."""

import inspect
import json
import os
import re
import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from aiexp.checkpoint.part import Part
from aiexp.checkpoint.state import join, split
from aiexp.checkpoint.tensors import DTYPES
from aiexp.config.objects.partners import members
from aiexp.dataset.base import Dataset
from aiexp.errors import ConfigError, reason_of
from aiexp.hardware.memory import is_out_of_memory
from aiexp.task.base import Task, Update
from aiexp.task.report import Evaluation, Table

PICTURES, PDF = (b"\x89PNG", b"GIF8"), b"%PDF"
SHAPES = re.compile(r"shape|size|channels|dimension|elements|[Ee]xpected")  # what torch says of a misfit
YIELD = "train_step must yield Update(loss=...), outside no_grad"


def broken(owner: object, member: str, what: str, *, fix: str) -> ConfigError:
    """The error for a contract that a member of a class breaks: `Mine.evaluate returned a dict`."""
    return ConfigError(f"{type(owner).__name__}.{member} {what}", where=code_of(owner, member), fix=fix)


def code_of(owner: object, member: str) -> str:
    """`my_lab/parts.py:31` where a member is written; the class's full name outside the working directory."""
    kind = type(owner)
    code = getattr(inspect.unwrap(getattr(kind, member, kind)), "__code__", None)
    path = os.path.relpath(code.co_filename) if code is not None else ".."
    if code is None or path.startswith("..") or "site-packages" in Path(path).parts:
        return f"{kind.__module__}.{kind.__qualname__}"
    return f"{path}:{code.co_firstlineno}"


def check_dataset(dataset: Any) -> None:
    """Raises `ConfigError` unless a data set has the members of `Dataset`, with a size and a fingerprint."""
    if dataset is None:
        raise ConfigError(
            "a run needs a data set, and none is chosen", where="dataset", fix="dataset=NAME (aiexp list)"
        )
    missing = [name for name in members(Dataset) if not hasattr(dataset, name)]
    if missing:
        what = f"is missing: a data set has {', '.join(members(Dataset))}"
        raise broken(dataset, missing[0], what, fix="see aiexp/dataset/base.py")
    for split_name in ("train", "eval", "test"):
        count = dataset.num_examples(split_name)
        is_unknown = count is None and split_name == "train"
        if not is_unknown and (not isinstance(count, int) or count < 0):
            what = f"returned {count!r} for '{split_name}'"
            raise broken(dataset, "num_examples", what, fix="return an int, 0 for no such split")


def checked_fingerprint(dataset: Dataset) -> str:
    """The fingerprint of a data set; it is what a resumed run knows its data by.

    Raises:
        ConfigError: it is no text, or empty.
    """
    value: Any = dataset.fingerprint()
    if not isinstance(value, str) or not value:
        raise broken(dataset, "fingerprint", f"returned {value!r}", fix="a text: sha256 over the examples")
    return value


def check_task(task: Any) -> None:
    """Raises `ConfigError` unless a task is one and its description and state can be written down."""
    if not isinstance(task, Task):
        what = f"{type(task).__name__} is not a Task"
        raise ConfigError(what, where="task", fix="class Mine(aiexp.task.base.Task)")
    for name, tensor in task.state_dict(keep_vars=True).items():
        if nn.parameter.is_lazy(tensor):
            what = f"has '{name}', whose size is not known before the first batch"
            raise broken(task, "__init__", what, fix="give layers their sizes: nn.Linear, not nn.LazyLinear")
        if not isinstance(tensor, Tensor) or tensor.dtype not in DTYPES:
            kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise broken(task, "state_dict", f"has '{name}', a {kind}", fix="no checkpoint can hold it")
    check_extra_state(task)
    checked_description(task)


def check_extra_state(task: Task) -> None:
    """Raises `ConfigError` unless a checkpoint can hold what the task's `extra_state` returns."""
    state: Any = task.extra_state()
    fix = "a deque or a set as a list, a Generator as generator.bit_generator.state"
    if not isinstance(state, dict):
        raise broken(task, "extra_state", f"returned a {type(state).__name__}", fix="a dict")
    try:
        skeleton, tensors, blocks = split(state)
        join(json.loads(json.dumps(skeleton)), tensors, blocks)
    except (TypeError, ValueError) as error:
        raise broken(task, "extra_state", f"cannot be saved: {error}", fix=fix) from error
    for name, tensor in tensors.items():
        if isinstance(tensor, Part):
            raise broken(task, "extra_state", f"has a sharded tensor at '{name}'", fix="keep it as a buffer")
        if tensor.dtype not in DTYPES:
            raise broken(task, "extra_state", f"has a {tensor.dtype} at '{name}'", fix="another dtype")


def checked_description(task: Task) -> dict[str, Any]:
    """What the task's `describe` returns.

    Raises:
        ConfigError: it is no dict of JSON values.
    """
    value: Any = task.describe()
    try:
        if not isinstance(value, dict):
            raise TypeError(f"returned a {type(value).__name__}")
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise broken(
            task, "describe", f"is not JSON: {error}", fix="numbers by .item(), .tolist()"
        ) from error
    return cast(dict[str, Any], value)


def checked_optimizers(task: Task) -> dict[str, torch.optim.Optimizer]:
    """The task's optimizers.

    Raises:
        ConfigError: there are none, one cannot work with updates, or a parameter that learns is in none or
            in two of them.
    """
    optimizers: Any = task.make_optimizers()
    if not isinstance(optimizers, dict) or not optimizers:
        what = f"returned a {type(optimizers).__name__}" if optimizers else "returned nothing"
        raise broken(task, "make_optimizers", what, fix='a dict: return {"model": optimizer}')
    given: dict[int, str] = {}
    own = {id(p): name for name, p in task.named_parameters()}
    for name, optimizer in cast(dict[str, Any], optimizers).items():
        if not isinstance(optimizer, torch.optim.Optimizer):
            what = f"has a {type(optimizer).__name__} called '{name}'"
            raise broken(task, "make_optimizers", what, fix="an optimizer of torch.optim, or one like them")
        closure = inspect.signature(type(optimizer).step).parameters.get("closure")
        if closure is not None and closure.default is closure.empty:
            what = f"uses {type(optimizer).__name__}, which computes the loss several times a step"
            raise broken(task, "make_optimizers", what, fix="an optimizer that takes one gradient a step")
        ids = {id(p) for group in optimizer.param_groups for p in group["params"] if p.requires_grad}
        if not ids <= own.keys():
            what = f"gives '{name}' parameters that are not the task's: no checkpoint would hold them"
            raise broken(task, "make_optimizers", what, fix="make their module an attribute of the task")
        if shared := ids & given.keys():
            number = min(shared, key=own.__getitem__)
            what = f"gives {own[number]} to '{given[number]}' and to '{name}'"
            raise broken(task, "make_optimizers", what, fix="each parameter belongs to one optimizer")
        given |= dict.fromkeys(ids, name)
    left = [n for n, p in task.named_parameters() if p.requires_grad and id(p) not in given]
    if left:
        names = ", ".join(left[:3]) + (f" and {len(left) - 3} more" if left[3:] else "")
        fix = "give them to one, or requires_grad_(False) if they are not to learn"
        raise broken(task, "make_optimizers", f"gives no optimizer {names}", fix=fix)
    return cast(dict[str, torch.optim.Optimizer], optimizers)


def training_batches(task: Task, dataset: Dataset, start: int) -> Iterator[Any]:
    """The task's batches from number `start` on.

    Raises:
        ConfigError: they end.
    """
    number = start
    for batch in task.batches(dataset, start):
        yield batch
        number += 1
    is_own = type(task).batches is not Task.batches
    owner, member = (task, "batches") if is_own else (dataset, "train_batches")
    raise broken(owner, member, f"ended before batch {number}", fix="it is endless: while True: ...")


def check_loss(task: Task, update: Update) -> None:
    """Raises `ConfigError` unless the loss of an update can be minimised."""
    loss: Any = update.loss
    if not isinstance(loss, Tensor):
        what = f"yields a loss that is a {type(loss).__name__}"
    elif loss.numel() != 1:
        what = f"yields a loss of shape {tuple(loss.shape)}: one number is wanted"
    elif not loss.is_floating_point():
        what = f"yields a loss of {loss.dtype}"
    elif not loss.requires_grad:
        what = "yields a loss without a graph: it does not depend on a parameter that learns"
    else:
        return
    raise broken(task, "train_step", what, fix="Update(loss=...) takes a () float tensor with a graph")


@contextmanager
def misfits() -> Generator[None]:
    """Around code of a task: a layer of torch that was given what it is not made for is the user's error.

    Raises:
        ConfigError: says where the task's code called the layer.
    """
    try:
        yield
    except RuntimeError as error:
        frames = traceback.extract_tb(error.__traceback__)
        layers = Path("torch", "nn", "modules").as_posix()
        is_layer = bool(frames) and layers in Path(frames[-1].filename).as_posix()
        if not is_layer or is_out_of_memory(error) or not SHAPES.search(str(error)):
            raise
        calls = [f for f in frames if "torch" not in Path(f.filename).parts]
        where = f"{os.path.relpath(calls[-1].filename)}:{calls[-1].lineno}" if calls else "model"
        raise ConfigError(
            f"the model does not fit the data: {reason_of(error)}",
            where=where, fix="leave the model's sizes to the task and the data set, or make them agree",
        ) from error  # fmt: skip


def as_number(owner: object, member: str, name: str, value: Any) -> float:
    """A metric as a float.

    Raises:
        ConfigError: it is not one number.
    """
    if isinstance(value, str | bytes):
        raise broken(owner, member, f"has a text as metric '{name}'", fix="one number")
    try:
        return float(value.item() if isinstance(value, Tensor) else value)
    except (TypeError, ValueError, RuntimeError) as error:
        shape = getattr(value, "shape", None)
        kind = type(value).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")
        raise broken(owner, member, f"has a {kind} as metric '{name}'", fix="one number") from error


def checked_metrics(task: Task, metrics: Any) -> dict[str, Any]:
    """The metrics of an update by their names.

    Raises:
        ConfigError: they are no mapping of names.
    """
    if not isinstance(metrics, dict) or not all(
        isinstance(name, str) for name in cast(dict[Any, Any], metrics)
    ):
        what = "yielded Update(metrics=...) that is no dict of names to numbers"
        raise broken(task, "train_step", what, fix='metrics={"accuracy": 0.9}')
    return cast(dict[str, Any], metrics)


def checked_epoch(dataset: Dataset) -> int | None:
    """Batches of an epoch; None of a stream, whose end nobody knows.

    Raises:
        ConfigError: not a whole number from 1 on.
    """
    count: Any = dataset.batches_per_epoch()
    if count is None and dataset.num_examples("train") is None:
        return None
    if not isinstance(count, int) or count < 1:
        raise broken(dataset, "batches_per_epoch", f"returned {count!r}", fix="return an int from 1 on")
    return count


def checked_evaluation(task: Task, result: Any) -> Evaluation:
    """The result of an evaluation, its metrics as floats.

    Raises:
        ConfigError: it is no `Evaluation`, or a part of it cannot be written down.
    """
    if not isinstance(result, Evaluation):
        what = f"returned a {type(result).__name__}"
        raise broken(task, "evaluate", what, fix='return Evaluation(metrics={"loss": loss})')
    for name, picture in result.pictures.items():
        if not isinstance(cast(Any, picture), bytes) or not picture.startswith(PICTURES):
            fix = "the bytes of a PNG or GIF: figure.savefig(buffer, format='png'); buffer.getvalue()"
            raise broken(task, "evaluate", f"has a {type(picture).__name__} as picture '{name}'", fix=fix)
    for name, drawn in result.pdfs.items():
        if not isinstance(cast(Any, drawn), bytes) or not drawn.startswith(PDF):
            fix = "the bytes of a PDF: aiexp.figure.style.saved(figure).pdf"
            raise broken(task, "evaluate", f"has a {type(drawn).__name__} as pdf '{name}'", fix=fix)
    for name, table in result.tables.items():
        if not isinstance(cast(Any, table), Table):
            fix = "Table(columns=[...], rows=[...])"
            raise broken(task, "evaluate", f"has a {type(table).__name__} as table '{name}'", fix=fix)
        for number, row in enumerate(cast(list[Any], table.rows)):
            if not isinstance(row, list | tuple) or len(cast(list[Any], row)) != len(table.columns):
                what = f"has {row!r} as row {number} of table '{name}': columns are {table.columns}"
                raise broken(task, "evaluate", what, fix="a list with a value for each column")
    for name in (*result.metrics, *result.pictures, *result.pdfs, *result.tables):
        if not is_name(name):
            raise broken(task, "evaluate", f"uses the name {name!r}", fix="words, with / between them")
    for name, way in result.better.items():
        if way not in ("max", "min"):
            raise broken(task, "evaluate", f"says that better is {way!r} for '{name}'", fix="max or min")
    metrics = {n: as_number(task, "evaluate", n, value) for n, value in result.metrics.items()}
    return replace(result, metrics=metrics)


def is_name(name: Any) -> bool:
    """Whether a metric, picture or table may be called so: it becomes part of a file's path."""
    if not isinstance(name, str) or not name.isprintable() or "\\" in name:
        return False
    return all(part and not part.startswith(".") for part in name.split("/"))
