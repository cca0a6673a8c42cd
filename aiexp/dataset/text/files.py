"""The user's own labelled texts: CSV, TSV, JSONL or Parquet files."""

from pathlib import Path
from typing import Literal

from aiexp.dataset.class_labels import Rows, class_numbers, infer_class_names
from aiexp.dataset.text.dataset import TextDataset
from aiexp.dataset.text.examples import Examples
from aiexp.dataset.text.split import split_as_needed
from aiexp.dataset.text.table_file import read_table


def text_files(
    *,
    train_file: str,
    eval_file: str | None,
    test_file: str | None,
    text_column: str,
    label_column: str,
    class_names: list[str] | None,
    eval_fraction: float,
    test_fraction: float,
    on_bad_sample: Literal["error", "skip"],
    batch_size: int,
    eval_batch_size: int,
    max_tokens: int,
    pad_multiple: int,
    limit: int | None,
    seed: int,
    num_workers: int,
) -> TextDataset:
    """Texts of one, two or three files; what has no file of its own is split off the training file.

    Args:
        train_file: Path; the suffix says the format.
        eval_file: Path of the validation texts, None to split them off.
        test_file: Path of the test texts, None to split them off.
        text_column: Column with the text.
        label_column: Column with the class: a name or a whole number.
        class_names: Names in the order of their numbers, None for those that occur in the training file.
        eval_fraction: Share of each class to split off for validation when there is no `eval_file`.
        test_fraction: Share of each class to split off for the test when there is no `test_file`.
        on_bad_sample: Stop at a row without text or label, or leave it out and log how many.
        batch_size: Texts in a training batch.
        eval_batch_size: Texts in an evaluation batch.
        max_tokens: Longer texts are cut.
        pad_multiple: Batches are padded to a multiple of this many tokens.
        limit: At most so many examples of each split, None for all.
        seed: Of the order of the training batches; the splits do not depend on it.
        num_workers: Processes that make batches.

    Raises:
        DataError: A file cannot be used; names file, line and what is wrong.
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
                key=f"dataset.{split}_file",
            )
    names = class_names or infer_class_names(rows["train"])
    given = {
        split: Examples(texts=part.texts, labels=class_numbers(part, names)) for split, part in rows.items()
    }
    return TextDataset(
        splits=split_as_needed(given, {"eval": eval_fraction, "test": test_fraction}, train_file),
        class_names=names,
        source=train_file,
        batch_size=batch_size,
        eval_batch_size=eval_batch_size,
        max_tokens=max_tokens,
        pad_multiple=pad_multiple,
        limit=limit,
        seed=seed,
        num_workers=num_workers,
    )
