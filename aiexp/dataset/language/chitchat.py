"""Conversations in writing as running text."""

from typing import Unpack

from aiexp.dataset.language.dataset import LanguageDataset, Windows
from aiexp.dataset.language.files import parts_of
from aiexp.dataset.language.running_text import RunningText
from aiexp.ranges import Share
from aiexp.source.catalog.texts import CHITCHAT
from aiexp.source.fetch import fetch


def chitchat(*, eval_fraction: Share, test_fraction: Share, **windows: Unpack[Windows]) -> LanguageDataset:
    """The conversations one after the other, the last characters for validation and test.

    Args:
        eval_fraction: Share of the characters for validation.
        test_fraction: Share of the characters for the test.
        windows: See `Windows`.

    Raises:
        ConfigError: nothing would be left for training.
        DataError: the text cannot be fetched.
    """
    folder = fetch(CHITCHAT.name)
    text = RunningText(
        name=CHITCHAT.name,
        paths=tuple(folder / file.path for file in CHITCHAT.files),
        encoding="utf-8",
        content=CHITCHAT.digest,
    )
    return LanguageDataset(
        parts=parts_of({"train": text}, {"eval": eval_fraction, "test": test_fraction}), **windows
    )
