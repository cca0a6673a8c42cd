"""Any text-classification data set of the Hugging Face hub, or a local folder laid out like one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from aiexp.dataset.class_labels import Rows, as_label, class_numbers, infer_class_names
from aiexp.dataset.text.dataset import DividedBatching, TextDataset, divided
from aiexp.dataset.text.examples import Examples
from aiexp.errors import DataError, nearest
from aiexp.source.hub import why_unreachable


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
    rows = {
        split: _rows(_split_of(tables, wanted, split, where), text_column, label_column, f"{name} [{wanted}]")
        for split, wanted in chosen.items()
        if wanted is not None
    }
    names = (
        class_names or _feature_names(tables[train_split], label_column) or infer_class_names(rows["train"])
    )
    given = {
        split: Examples(texts=part.texts, labels=class_numbers(part, names)) for split, part in rows.items()
    }
    return divided(given, names, name, **batching)


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


def _rows(table: Any, text_column: str, label_column: str, source: str) -> Rows:
    """A split's texts and raw labels, all of them usable."""
    columns: list[str] = table.column_names
    for key, column in (("text_column", text_column), ("label_column", label_column)):
        if column not in columns:
            raise DataError(
                f"there is no column '{column}': columns are {', '.join(columns)}.{nearest(column, columns)}",
                where=source,
                fix=f"{key}=<one of them>",
            )
    texts: Sequence[Any] = table[text_column][:]
    labels: list[int | str] = []
    for row, (text, label) in enumerate(zip(texts, table[label_column][:], strict=True)):
        if not isinstance(text, str):
            raise DataError(f"the text is {text!r}, not a string", where=f"{source} row {row}")
        try:
            labels.append(as_label(label))
        except ValueError as error:
            raise DataError(str(error), where=f"{source} row {row}") from None
    return Rows(texts=list(texts), labels=labels, places=[f"{source} row {i}" for i in range(len(labels))])


def _feature_names(table: Any, label_column: str) -> list[str] | None:
    """The names that the data set itself gives its classes."""
    names = getattr(table.features[label_column], "names", None)
    return None if names is None else [str(name) for name in names]
