"""Any text-classification data set of the Hugging Face hub, or a local folder laid out like one."""

import json
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Unpack, final

import numpy as np

from aiexp.dataset.class_labels import as_label
from aiexp.dataset.draws import shuffled
from aiexp.dataset.text.dataset import DividedBatching, TextBatching, TextDataset, stored
from aiexp.dataset.text.examples import Examples
from aiexp.dataset.text.rows import Rows
from aiexp.dataset.text.stored import RowSource
from aiexp.dataset.text.stream import Position, StreamedClasses, StreamedTexts
from aiexp.dataset.text.texts import ColumnTexts
from aiexp.errors import DataError, nearest, reason_of
from aiexp.ranges import PositiveInt, Requires
from aiexp.source.hub import why_unreachable

_ROWS_AT_ONCE = 8192
_STREAMED_AT_ONCE = 256


class HubBatching(DividedBatching):
    """Arguments of texts of the hub, which need not be fetched.

    Args:
        streaming: Read the training split block by block while training, instead of fetching all first.
        block_size: Of a stream: training examples in memory, shuffled together; see `StreamedTexts`.
        eval_limit: Of a stream: examples of eval_split and of test_split at most, the first; None for all.
    """

    # A stream cannot be divided, is as long as it is, and is read by one process, in order.
    streaming: Annotated[
        bool,
        Requires(
            {
                "eval_split": "str",
                "test_split": "str",
                "limit": "None",
                "shots": "None",
                "num_workers": "Literal[0]",
                "Trainer.steps": "int",
                "Trainer.epochs": "None",
                "Trainer.evaluate_every": "int",
                "CheckpointPolicy.every": "int",
                "TextClassification.class_weights": "list[float] | None",
            }
        ),
    ]
    block_size: PositiveInt
    eval_limit: PositiveInt | None


def hub(
    *,
    name: str,
    config: str | None,
    revision: str | None,
    train_split: str,
    eval_split: str | None,
    test_split: str | None,
    text_column: str,
    label_column: str,
    class_names: list[str] | None,
    **batching: Unpack[HubBatching],
) -> TextDataset | StreamedTexts:
    """A data set read by the `datasets` library, which runs no code of the repository.

    The library maps the texts from its own cache; only class, order and tokens are kept beside it. Of
    a stream nothing is kept on disk.

    Args:
        name: `owner/name` on the hub, or a local folder.
        config: Configuration ("subset") of the data set, None for its only one.
        revision: Commit, tag or branch, None for the newest.
        train_split: Its split to train on.
        eval_split: Its split for validation, None to split it off.
        test_split: Its split for the test, None to split it off.
        text_column: Column with the text.
        label_column: Column with the class.
        class_names: Names in the order of their numbers, None for those the data set has.
        batching: See `HubBatching`, `DividedBatching` and `TextBatching`.

    Raises:
        DataError: not reachable, or a split, column or row cannot be used.
    """
    where, is_stream = f"name={name}", batching["streaming"]
    tables, files = _load(name, config, revision, where, is_stream=is_stream)
    chosen = {"train": train_split, "eval": eval_split, "test": test_split}
    given = {
        split: _split_of(tables, wanted, split, where)
        for split, wanted in chosen.items()
        if wanted is not None
    }
    columns, places = (text_column, label_column), {split: f"{name} [{chosen[split]}]" for split in given}
    for split, table in given.items():
        _check_columns(table, {"text_column": text_column, "label_column": label_column}, places[split])
    class_names = class_names or _feature_names(given["train"], label_column)
    if is_stream:
        identity = json.dumps([name, config, files, chosen, columns])
        return _streamed(given, places, columns, class_names, identity, batching)
    content = {
        "tables": {split: table._fingerprint for split, table in given.items()},
        "columns": list(columns),
    }
    shared: Any = {key: batching[key] for key in DividedBatching.__annotations__}
    return stored(
        RowSource(
            name=name,
            content=content,
            splits={
                split: partial(_rows, table, text_column, label_column, f"{places[split]} row {{}}")
                for split, table in given.items()
            },
            class_names=class_names,
            texts=ColumnTexts(list(given.values()), text_column),
            column=partial(_column, given, places),
        ),
        **shared,
    )


def _streamed(
    given: Mapping[str, Any],
    places: Mapping[str, str],
    columns: tuple[str, str],
    class_names: list[str] | None,
    identity: str,
    batching: HubBatching,
) -> StreamedTexts:
    """The data set of these streams by split; `places` are what messages call them."""
    if class_names is None:
        raise DataError(
            f"the classes of a stream must be known, and column '{columns[1]}' does not name them",
            where=places["train"],
            fix="class_names=[...], in the order of their numbers",
        )
    held = {
        split: _first_examples(HubStream(table, columns, places[split]), batching["eval_limit"], class_names)
        for split, table in given.items()
        if split != "train"
    }
    shared: Any = {key: batching[key] for key in TextBatching.__annotations__}
    return StreamedTexts(
        train=HubStream(given["train"], columns, places["train"], batching["seed"]),
        held=held,
        class_names=class_names,
        source=places["train"],
        identity=identity,
        block_size=batching["block_size"],
        **shared,
    )


@final
class HubStream:
    """The rows of a split as they come from the hub, pass after pass, its files in another order each time.

    A position is the number of the pass, the place of the file (shard) in its order, the row in the file, and
    what the library says of its own state there.

    Args:
        table: An `IterableDataset`.
        columns: Of text and label.
        place: What messages call it.
        seed: Of the order of the files; None for their own.
    """

    def __init__(self, table: Any, columns: tuple[str, str], place: str, seed: int | None = None) -> None:
        self._table, self._columns = table.select_columns(list(columns)), columns
        self.place, self._seed = place, seed

    def parts(self, position: Position | None) -> Generator[tuple[Position, Rows]]:
        """Rows from a position on, without end; see `RowStream`."""
        at: Position = position or {"pass": 0, "shard": 0, "row": 0, "state": None}
        count: int = self._table.num_shards
        has_rows = position is not None
        while True:
            order = range(count) if self._seed is None else shuffled(count, self._seed, at["pass"]).tolist()
            for place in range(at["shard"], count):
                for rows, state in self._shard(order[place], at["row"], at["state"]):
                    yield at, rows
                    has_rows = True
                    at = {**at, "row": at["row"] + len(rows.texts), "state": state}
                at = {**at, "shard": place + 1, "row": 0, "state": None}
            if not has_rows:
                raise DataError("there are no rows", where=self.place)
            has_rows = False
            at = {"pass": at["pass"] + 1, "shard": 0, "row": 0, "state": None}

    def _shard(self, number: int, row: int, state: Any) -> Generator[tuple[Rows, Any]]:
        """The rows of a file from `row` on, and the library's state after them."""
        table = self._table.shard(num_shards=self._table.num_shards, index=number)
        if state is not None:
            table.load_state_dict(state)
        with closing(table.iter(batch_size=_STREAMED_AT_ONCE)) as parts:
            while True:
                try:
                    part = next(parts, None)
                except Exception as error:  # of several libraries, after the retries that they make
                    raise DataError(
                        f"the stream broke off: {type(error).__name__}: {reason_of(error)}",
                        where=f"{self.place} file {number} row {row}",
                        fix="when it can be read again, aiexp resume goes on from the last checkpoint",
                    ) from error
                if part is None:
                    return
                texts, labels = (part[column] for column in self._columns)
                rows = _usable(texts, labels, f"{self.place} file {number} row {{}}", row)
                yield rows, table.state_dict()
                row += len(texts)


def _first_examples(stream: HubStream, most: int | None, class_names: list[str]) -> Examples:
    """The first examples of a split, at most so many; its classes are those of the training split."""
    classes, texts, labels = StreamedClasses(class_names, stream.place), list[str](), list[Any]()
    with closing(stream.parts(None)) as parts:
        for position, rows in parts:
            if position["pass"] or (most is not None and len(texts) >= most):
                break
            texts += rows.texts
            labels.append(classes.numbers(rows))
    return Examples(texts=texts[:most], labels=np.concatenate(labels)[:most])


def _load(
    name: str, config: str | None, revision: str | None, where: str, *, is_stream: bool
) -> tuple[Mapping[str, Any], list[Any]]:
    """All splits of a data set, and the files of a stream; a name that exists as a folder is read there."""
    try:
        import datasets
        import datasets.config
        import huggingface_hub.constants
    except ImportError:
        raise DataError(
            "reading data sets of the hub needs `datasets`", where=where, fix="pip install 'aiexp[hub]'"
        ) from None
    datasets.disable_progress_bars()
    folder = Path(name).expanduser()
    problem = "" if folder.is_dir() else why_unreachable()
    switches: list[Any] = [datasets.config, huggingface_hub.constants]
    before = [switch.HF_HUB_OFFLINE for switch in switches]
    try:
        if problem:  # what was fetched before can still be used, and nothing waits for the network
            for switch in switches:
                switch.HF_HUB_OFFLINE = True
        elsewhere = str(folder) if folder.is_dir() else name
        if not is_stream:
            loaded: Any = datasets.load_dataset(elsewhere, config, revision=revision)
            return loaded, []
        if problem:
            raise ConnectionError(problem)
        builder: Any = datasets.load_dataset_builder(elsewhere, config, revision=revision)
        return builder.as_streaming_dataset(), _files(builder.config.data_files or {}, folder)
    except Exception as error:  # it raises errors of several libraries; all mean that there is no data
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"the data set cannot be loaded: {problem or f'{type(error).__name__}: {first}'}",
            where=where,
            fix="check name and config; without a network give a local folder",
        ) from error
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.HF_HUB_OFFLINE = value


def _split_of(tables: Mapping[str, Any], wanted: str, split: str, where: str) -> Any:
    if wanted not in tables:
        raise DataError(
            f"there is no split '{wanted}': splits are {', '.join(tables)}.{nearest(wanted, tables)}",
            where=where,
            fix=f"{split}_split=<one of them>",
        )
    return tables[wanted]


def _files(data_files: Mapping[str, list[str]], folder: Path) -> list[Any]:
    """What tells the files of a stream from others: on the hub the commit in the name, else their sizes."""
    found: list[Any] = []
    for split, paths in data_files.items():
        for path in paths:
            is_local = "://" not in path
            size = Path(path).stat().st_size if is_local else None
            found.append([str(split), os.path.relpath(path, folder) if is_local else path, size])
    return found


def _check_columns(table: Any, wanted: Mapping[str, str], source: str) -> None:
    """Raises `DataError` where a table lacks one of the columns that config keys name."""
    columns: list[str] = table.column_names or list(next(iter(table), {}))
    for key, column in wanted.items():
        if column not in columns:
            raise DataError(
                f"there is no column '{column}': columns are {', '.join(columns)}.{nearest(column, columns)}",
                where=source,
                fix=f"{key}=<one of them>",
            )


def _column(given: Mapping[str, Any], places: Mapping[str, str], name: str) -> list[Any]:
    """A column of all splits, one behind the other."""
    for split, table in given.items():
        _check_columns(table, {"column": name}, places[split])
    return [cell for table in given.values() for cell in table[name]]


def _rows(table: Any, text_column: str, label_column: str, where: str) -> Iterator[Rows]:
    """A split's texts and labels in parts, all of them usable."""
    selected = table.select_columns([text_column, label_column])
    for start in range(0, len(table), _ROWS_AT_ONCE):
        part = selected[start : start + _ROWS_AT_ONCE]
        yield _usable(part[text_column], part[label_column], where, start)


def _usable(texts: list[Any], labels: list[Any], where: str, start: int) -> Rows:
    """Texts and labels, all of them usable; the first is row `start`."""
    rows = Rows(where=where, numbers=range(start, start + len(texts)), texts=texts)
    for row, (text, label) in enumerate(zip(texts, labels, strict=True)):
        if not isinstance(text, str):
            raise DataError(f"the text is {text!r}, not a string", where=rows.place(row))
        try:
            rows.labels.append(as_label(label))
        except ValueError as error:
            raise DataError(str(error), where=rows.place(row)) from None
    return rows


def _feature_names(table: Any, label_column: str) -> list[str] | None:
    """The names that the data set itself gives its classes."""
    names = getattr((table.features or {}).get(label_column), "names", None)
    return None if names is None else [str(name) for name in names]
