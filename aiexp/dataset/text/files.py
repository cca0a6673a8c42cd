"""The user's own labelled texts: CSV, TSV, JSONL or Parquet files."""

from pathlib import Path
from typing import Literal, Unpack

from aiexp.dataset.class_labels import Rows, class_numbers, infer_class_names
from aiexp.dataset.text.dataset import DividedBatching, TextDataset, divided
from aiexp.dataset.text.examples import Examples
from aiexp.dataset.text.table_file import read_table


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
    paths = {"train": train_file, "eval": eval_file, "test": test_file}
    rows: dict[str, Rows] = {}
    for split, name in paths.items():
        if name is not None:
            rows[split] = read_table(
                Path(name).expanduser(),
                text_column,
                label_column,
                skip_bad=on_bad_sample == "skip",
                key=f"{split}_file",
            )
    names = class_names or infer_class_names(rows["train"])
    given = {
        split: Examples(texts=part.texts, labels=class_numbers(part, names)) for split, part in rows.items()
    }
    return divided(given, names, train_file, **batching)
