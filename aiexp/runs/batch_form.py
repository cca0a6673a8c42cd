"""What a batch of a data set holds: found by building it, without a task, and without fetching anything."""

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

from omegaconf import OmegaConf

from aiexp.config.compose import compose
from aiexp.config.described.header import read_header
from aiexp.config.folders import builtin_dirs, conf_dirs
from aiexp.config.objects.build import build
from aiexp.dataset.base import units_of
from aiexp.errors import ConfigError, DataError
from aiexp.source.fetch import asked_for

COMPARED = 3  # batches, by which sizes that change are known
LARGEST_TEXT = 40
OFFLINE = "AIEXP_OFFLINE"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One tensor of a batch, or what else is in it.

    Args:
        key: Its place: "images", "0" of a tuple, "audio.rate" of a dict in it.
        dtype: "uint8"; the type's name of what is no tensor.
        shape: Sizes; B is the number of examples, "*" one that changes from batch to batch.
        values: The smallest and largest of some batches; empty for none.
        is_everywhere: Whether batches of evaluations have it, too.
    """

    key: str
    dtype: str
    shape: tuple[str, ...]
    values: str = ""
    is_everywhere: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchForm:
    """What there is to know of a data set's batches.

    Args:
        entries: Of a training batch.
        examples: Of each split, None where nobody knows.
        units: What is counted instead of examples, by split.
        note: What else there is to say, or why there are no entries.
    """

    entries: list[Entry] = field(default_factory=lambda: [])
    examples: dict[str, int | None] = field(default_factory=lambda: {})
    units: Mapping[str, str] = field(default_factory=lambda: {})
    note: str = ""

    def lines(self) -> list[str]:
        """It as lines for a terminal."""
        cells = [
            [e.key, e.dtype, f"({', '.join(e.shape)})", e.values, "" if e.is_everywhere else "training only"]
            for e in self.entries
        ]
        widths = [max((len(row[i]) for row in cells), default=0) for i in range(5)]
        rows = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
        counts = [
            f"{split} {count:,} {self.units.get(split, '')}".rstrip()
            for split, count in self.examples.items()
            if count
        ]
        return [*rows, *([", ".join(counts)] if counts else []), *([self.note] if self.note else [])]


TEXTS = (
    Entry(key="input_ids", dtype="int64", shape=("B", "*")),
    Entry(key="attention_mask", dtype="bool", shape=("B", "*")),
    Entry(key="labels", dtype="int64", shape=("B",)),
    Entry(key="index", dtype="int64", shape=("B",)),
)
TOKENIZED = "tokens are those of the model's tokenizer; * is the longest text of a batch"


def batch_form(name: str, overrides: Sequence[str] = ()) -> BatchForm:
    """Keys, dtypes and shapes of the batches of a data set.

    Args:
        name: An option of the group `dataset`.
        overrides: Further words as of `aiexp run`, such as `dataset.train_folder=photos`.

    Raises:
        ConfigErrors: there is no such data set, or it needs settings, which are named.
        DataError: its files are damaged.
    """
    # Without its model: that would take sizes from the data set.
    config = compose([f"task={_task_for(name)}", "~model", f"dataset={name}", *overrides]).config
    node = cast(dict[str, Any], OmegaConf.to_container(config.dataset, resolve=True))
    with _offline(), asked_for() as asked:
        try:
            dataset = build(node)
        except DataError:
            if not asked:
                raise
            names = " ".join(dict.fromkeys(asked))
            return BatchForm(note=f"not fetched yet, so nobody has looked: aiexp data fetch {names}")
    return form_of(dataset)


def _task_for(name: str) -> str:
    """A task of the field of a data set; any for one of no field."""
    files = conf_dirs().files()
    option = files["dataset"].get(name)
    field = "" if option is None else read_header(option, files["dataset"]).field
    tasks = {
        read_header(task, files["task"]).field: task.name
        for task in builtin_dirs().options()["task"].values()
    }
    return tasks.get(field, "mnist_cnn")


def form_of(dataset: Any) -> BatchForm:
    """The same of a data set that is built."""
    examples: dict[str, int | None] = {s: dataset.num_examples(s) for s in ("train", "eval", "test")}
    if callable(getattr(dataset, "tokenize", None)):
        # Batches are made when a model's tokenizer has been there, which is not fetched for this.
        return BatchForm(entries=list(TEXTS), examples=examples, note=TOKENIZED)
    units = units_of(dataset)
    try:
        batches = list(islice(dataset.train_batches(0), COMPARED))
    except ConfigError as error:
        return BatchForm(examples=examples, units=units, note=_acting(dataset) or error.what)
    split = next((split for split in ("eval", "test") if examples[split]), None)
    other = next(iter(dataset.eval_batches(split)), None) if split else None
    known = None if other is None else {key for key, _ in leaves(other)}
    rows = getattr(dataset, "batch_size", None)
    parts = [dict(leaves(batch)) for batch in batches]
    entries = [
        _entry(key, [part[key] for part in parts if key in part], rows, known is None or key in known)
        for key in parts[0]
    ]
    return BatchForm(entries=entries, examples=examples, units=units)


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in nested dicts, lists, tuples and dataclasses, by its place."""
    if isinstance(value, Mapping):
        items = {str(k): v for k, v in cast(Mapping[Any, Any], value).items()}
    elif isinstance(value, tuple | list) and not _is_plain(cast(list[Any], value)):
        given = cast(list[Any], value)
        names: Sequence[str] = getattr(value, "_fields", ()) or [str(i) for i in range(len(given))]
        items = dict(zip(names, given, strict=True))
    else:
        yield key or "batch", value
        return
    for name, item in items.items():
        yield from leaves(item, f"{key}.{name}" if key else name)


def _is_plain(values: Sequence[Any]) -> bool:
    """Whether a list holds numbers or texts: then it is one thing."""
    return all(isinstance(value, int | float | str) for value in values)


def _entry(key: str, found: list[Any], rows: int | None, is_everywhere: bool) -> Entry:
    """What is at one place of some batches."""
    first = found[0]
    if not hasattr(first, "shape"):
        shape = ("B",) if isinstance(first, list | tuple) else ()
        kind = type(first).__name__
        if shape and first:
            kind = f"{kind} of {type(cast(list[Any], first)[0]).__name__}"
        return Entry(key=key, dtype=kind, shape=shape, is_everywhere=is_everywhere)
    sizes = [tuple(value.shape) for value in found]
    is_alike = len({len(size) for size in sizes}) == 1
    shape = tuple(_size(i, sizes, rows) for i in range(len(sizes[0]))) if is_alike else ("*",)
    dtype = str(first.dtype).removeprefix("torch.")
    return Entry(key=key, dtype=dtype, shape=shape, values=_ends(found, dtype), is_everywhere=is_everywhere)


def _ends(found: list[Any], dtype: str) -> str:
    """The smallest and the largest number of some tensors; empty where that says nothing."""
    filled = [value for value in found if value.numel()]
    if not filled or dtype.startswith(("bool", "complex")):
        return ""
    low, high = (min(v.min().item() for v in filled), max(v.max().item() for v in filled))
    return f"{low:.4g} to {high:.4g}"


def _size(place: int, sizes: list[tuple[int, ...]], rows: int | None) -> str:
    """One size of a shape."""
    here = {size[place] for size in sizes}
    if place == 0 and (rows in here or len(here) > 1):
        return "B"
    return str(here.pop()) if len(here) == 1 else "*"


def _acting(dataset: Any) -> str:
    """What a task sees that makes its own batches by acting; empty where there are no environments."""
    shape, spaces = getattr(dataset, "observation_shape", None), getattr(dataset, "spaces", None)
    if shape is None or spaces is None:
        return ""
    sizes = ", ".join(map(str, shape))
    return f"a task acts and makes its own batches: observations ({sizes}) {spaces.dtype}, {spaces.actions}"


@contextmanager
def _offline() -> Generator[None]:
    """A body in which nothing is fetched."""
    before = os.environ.get(OFFLINE)
    os.environ[OFFLINE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[OFFLINE]
        else:
            os.environ[OFFLINE] = before
