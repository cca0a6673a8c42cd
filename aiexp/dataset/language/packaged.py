"""Running text that comes in packages: Shakespeare's plays and poems, conversations in writing."""

from typing import Literal, Unpack

from aiexp.dataset.language.dataset import LanguageDataset, Windows
from aiexp.dataset.language.files import parts_of
from aiexp.dataset.language.running_text import Documents, RunningText
from aiexp.ranges import PositiveInt, Share
from aiexp.source.catalog.texts import CHITCHAT, SHAKESPEARE
from aiexp.source.fetch import fetch

SOURCES = {"shakespeare": (SHAKESPEARE, "latin-1"), "chitchat": (CHITCHAT, "utf-8")}


def packaged_text(
    *,
    source: Literal["shakespeare", "chitchat"],
    num_characters: PositiveInt | None,
    documents: Documents,
    eval_fraction: Share,
    test_fraction: Share,
    **windows: Unpack[Windows],
) -> LanguageDataset:
    """A text in the order of its files, the last characters for validation and test.

    Args:
        source: Name in `aiexp data list`.
        num_characters: So many from the beginning; None for all.
        documents: What a document is: "files", "lines", "paragraphs"; "none": all is one text.
        eval_fraction: Share of the characters for validation.
        test_fraction: Share of the characters for the test.
        windows: See `Windows`.

    Raises:
        ConfigError: nothing would be left for training.
        DataError: the text cannot be fetched.
    """
    entry, encoding = SOURCES[source]
    folder = fetch(entry.name)
    text = RunningText(
        name=entry.name, paths=tuple(folder / file.path for file in entry.files), encoding=encoding,
        most_characters=num_characters, content=entry.digest, documents=documents,
    )  # fmt: skip
    return LanguageDataset(
        parts=parts_of({"train": text}, {"eval": eval_fraction, "test": test_fraction}), **windows
    )
