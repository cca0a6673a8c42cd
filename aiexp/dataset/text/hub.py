"""Any text-classification data set of the Hugging Face hub, or a local folder laid out like one."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from aiexp.dataset.class_labels import as_label
from aiexp.dataset.text.dataset import DividedBatching, TextDataset, stored
from aiexp.dataset.text.rows import Rows
from aiexp.dataset.text.stored import RowSource
from aiexp.dataset.text.texts import ColumnTexts
from aiexp.errors import DataError, nearest
from aiexp.source.hub import why_unreachable

_ROWS_AT_ONCE = 8192


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
    **batching: Unpack[DividedBatching],
) -> TextDataset:
    """A data set read by the `datasets` library, which runs no code of the repository.

    The library maps the texts from its own cache; only class, order and tokens are kept beside it.

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
        batching: See `DividedBatching` and `TextBatching`.

    Raises:
        DataError: not reachable, or a split, column or row cannot be used.
    """
    where = f"name={name}"
    tables = _load(name, config, revision, where)
    chosen = {"train": train_split, "eval": eval_split, "test": test_split}
    given = {
        split: _split_of(tables, wanted, split, where)
        for split, wanted in chosen.items()
        if wanted is not None
    }
    for split, table in given.items():
        _check_columns(table, text_column, label_column, f"{name} [{chosen[split]}]")
    content = {
        "tables": {split: table._fingerprint for split, table in given.items()},
        "columns": [text_column, label_column],
    }
    return stored(
        RowSource(
            name=name,
            content=content,
            splits={
                split: partial(_rows, table, text_column, label_column, f"{name} [{chosen[split]}] row {{}}")
                for split, table in given.items()
            },
            class_names=class_names or _feature_names(given["train"], label_column),
            texts=ColumnTexts(list(given.values()), text_column),
        ),
        **batching,
    )


def _load(name: str, config: str | None, revision: str | None, where: str) -> Mapping[str, Any]:
    """All splits of a data set; names that exist as a folder are read from there."""
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
        loaded: Any = datasets.load_dataset(
            str(folder) if folder.is_dir() else name, config, revision=revision
        )
        return loaded
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


def _check_columns(table: Any, text_column: str, label_column: str, source: str) -> None:
    columns: list[str] = table.column_names
    for key, column in (("text_column", text_column), ("label_column", label_column)):
        if column not in columns:
            raise DataError(
                f"there is no column '{column}': columns are {', '.join(columns)}.{nearest(column, columns)}",
                where=source,
                fix=f"{key}=<one of them>",
            )


def _rows(table: Any, text_column: str, label_column: str, where: str) -> Iterator[Rows]:
    """A split's texts and labels in parts, all of them usable."""
    selected = table.select_columns([text_column, label_column])
    for start in range(0, len(table), _ROWS_AT_ONCE):
        part = selected[start : start + _ROWS_AT_ONCE]
        rows = Rows(where=where, numbers=range(start, start + len(part[text_column])))
        for row, (text, label) in enumerate(zip(part[text_column], part[label_column], strict=True)):
            if not isinstance(text, str):
                raise DataError(f"the text is {text!r}, not a string", where=rows.place(row))
            try:
                rows.labels.append(as_label(label))
            except ValueError as error:
                raise DataError(str(error), where=rows.place(row)) from None
        rows.texts.extend(part[text_column])
        yield rows


def _feature_names(table: Any, label_column: str) -> list[str] | None:
    """The names that the data set itself gives its classes."""
    names = getattr(table.features[label_column], "names", None)
    return None if names is None else [str(name) for name in names]
