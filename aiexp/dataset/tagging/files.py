"""The user's own tagged sentences: files of columns as CoNLL has them, or JSON lines."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypedDict, Unpack

from aiexp.dataset.language.files import check_encoding
from aiexp.dataset.language.running_text import check_text
from aiexp.dataset.tagging.columns import Form, Sentence, read_sentences
from aiexp.dataset.tagging.dataset import TagBatching, TaggingDataset
from aiexp.dataset.tagging.stored import SentenceSource
from aiexp.errors import ConfigError
from aiexp.ranges import Length, Share
from aiexp.source.prepared import content_of

Read = Callable[[], Iterator[Sentence]]


class TaggedForm(TypedDict):
    """How files of tagged sentences look, but for those of JSON, whose lists are `tokens` and `tags`.

    Args:
        word_column: With the word, from 0; negative ones count from the end.
        tag_column: With its tag.
        separator: Between columns; None: blanks and tabs.
        comment: What lines between sentences begin with that hold no word; None: there are none.
        encoding: As Python names it.
        scheme: Of the tags; "auto" finds it.
    """

    word_column: int
    tag_column: int
    separator: Annotated[str, Length(">= 1")] | None
    comment: Annotated[str, Length(">= 1")] | None
    encoding: str
    scheme: Literal["auto", "plain", "iob1", "iob2", "iobes", "bilou"]


class FormAndBatching(TaggedForm, TagBatching):
    """Arguments of `TaggedForm` and of `TagBatching`."""


def tagged_files(
    *,
    train_file: str,
    eval_file: str | None,
    test_file: str | None,
    eval_fraction: Share,
    test_fraction: Share,
    **others: Unpack[FormAndBatching],
) -> TaggingDataset:
    """The sentences of one, two or three files; what has no file of its own is split off the training file.

    Args:
        train_file: Path; .jsonl and .ndjson hold JSON, all others columns.
        eval_file: Path of the validation sentences, None to split them off.
        test_file: Path of the test sentences, None to split them off.
        eval_fraction: Share of the training sentences for validation when it has no file, about.
        test_fraction: Share of the training sentences for the test when it has no file, about.
        others: See `TaggedForm` and `TagBatching`.

    Raises:
        ConfigError: nothing would be left for training, or an unknown encoding.
        DataError: a file cannot be used; names file and line.
    """
    check_encoding(others["encoding"])
    form = Form(
        word=others["word_column"], tag=others["tag_column"], separator=others["separator"],
        comment=others["comment"], encoding=others["encoding"],
    )  # fmt: skip
    given = {"train": train_file, "eval": eval_file, "test": test_file}
    paths = {split: Path(name).expanduser() for split, name in given.items() if name is not None}
    shares = {"eval": eval_fraction, "test": test_fraction}
    shares = {split: share for split, share in shares.items() if share and split not in paths}
    if sum(shares.values()) >= 1:
        raise ConfigError(
            f"eval_fraction and test_fraction leave {1 - sum(shares.values()):g} of the sentences",
            where="eval_fraction", fix="fractions that add up to less than 1",
        )  # fmt: skip
    for path in paths.values():
        check_text(path)
    splits: dict[str, Read] = {split: partial(read_sentences, path, form) for split, path in paths.items()}
    if shares:
        whole = splits["train"]
        splits |= {split: partial(part_of, whole, split, shares) for split in ("train", *shares)}
    source = SentenceSource(
        name=train_file,
        content={
            "files": {split: [path.suffix.lower(), content_of(path)] for split, path in paths.items()},
            "form": asdict(form), "shares": shares,
        },
        splits=splits,
        scheme=None if others["scheme"] == "auto" else others["scheme"],
    )  # fmt: skip
    return TaggingDataset(
        source=source, batch_size=others["batch_size"], eval_batch_size=others["eval_batch_size"],
        seed=others["seed"], max_tokens=others["max_tokens"], pad_multiple=others["pad_multiple"],
        num_workers=others["num_workers"],
    )  # fmt: skip


def part_of(read: Read, split: str, shares: dict[str, float]) -> Iterator[Sentence]:
    """The sentences of a split of one file: by the sha256 of their words, so that none is in two of them."""
    for sentence in read():
        digest = hashlib.sha256("\0".join(sentence.words).encode("utf-8", "surrogatepass")).digest()
        place = int.from_bytes(digest[:8], "little") / 2**64
        owner = "train"
        for name, share in shares.items():
            if 0 <= place < share:
                owner = name
            place -= share
        if owner == split:
            yield sentence
