"""The user's own labelled texts: CSV, TSV, JSONL or Parquet files."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal, Unpack

from aiexp.dataset.text.dataset import DividedBatching, TextDataset, stored
from aiexp.dataset.text.rows import Rows, read_table
from aiexp.dataset.text.stored import RowSource
from aiexp.dataset.text.table_file import check_file
from aiexp.source.prepared import content_of


def text_files(
    *,
    train_file: str,
    eval_file: str | None,
    test_file: str | None,
    text_column: str,
    label_column: str,
    class_names: list[str] | None,
    on_bad_sample: Literal["error", "skip"],
    **batching: Unpack[DividedBatching],
) -> TextDataset:
    """Texts of one, two or three files; what has no file of its own is split off the training file.

    They are read, divided and tokenized at the first start and taken from the data folder at every later
    one, in memory that does not grow with the files.

    Args:
        train_file: Path; the suffix says the format.
        eval_file: Path of the validation texts, None to split them off.
        test_file: Path of the test texts, None to split them off.
        text_column: Column with the text.
        label_column: Column with the class: a name or a whole number.
        class_names: Names in the order of their numbers, None for those that occur in the training file.
        on_bad_sample: Stop at a row without text or label, or leave it out and log how many.
        batching: See `DividedBatching` and `TextBatching`.

    Raises:
        DataError: a file cannot be used; names file, line and what is wrong.
    """
    given = {"train": train_file, "eval": eval_file, "test": test_file}
    paths = {split: Path(name).expanduser() for split, name in given.items() if name is not None}

    def read(split: str, other: str | None = None) -> Iterator[Rows]:
        skip, key = on_bad_sample == "skip", f"{split}_file"
        return read_table(paths[split], text_column, label_column, skip_bad=skip, key=key, other=other)

    for split, path in paths.items():
        check_file(path, f"{split}_file={path}")
    content = {
        "files": {split: [path.suffix.lower(), content_of(path)] for split, path in paths.items()},
        "columns": [text_column, label_column],
        "on_bad_sample": on_bad_sample,
    }
    return stored(
        RowSource(
            name=train_file,
            content=content,
            splits={split: partial(read, split) for split in paths},
            class_names=class_names,
            column=lambda name: [
                cell for split in paths for rows in read(split, name) for cell in rows.others
            ],
        ),
        **batching,
    )
