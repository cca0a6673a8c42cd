"""Shakespeare's plays and poems as running text."""

from typing import Unpack

from aiexp.dataset.language.dataset import LanguageDataset, Windows
from aiexp.dataset.language.files import parts_of
from aiexp.dataset.language.running_text import RunningText
from aiexp.ranges import PositiveInt, Share
from aiexp.source.catalog.texts import SHAKESPEARE
from aiexp.source.fetch import fetch


def shakespeare(
    *,
    num_characters: PositiveInt | None,
    eval_fraction: Share,
    test_fraction: Share,
    **windows: Unpack[Windows],
) -> LanguageDataset:
    """The works in the order of their file names, the last characters for validation and test.

    Args:
        num_characters: So many from the beginning; None for all 5,057,239.
        eval_fraction: Share of the characters for validation.
        test_fraction: Share of the characters for the test.
        windows: See `Windows`.

    Raises:
        ConfigError: nothing would be left for training.
        DataError: the text cannot be fetched.
    """
    folder = fetch(SHAKESPEARE.name)
    text = RunningText(
        name=SHAKESPEARE.name,
        paths=tuple(folder / file.path for file in SHAKESPEARE.files),
        encoding="latin-1",
        most_characters=num_characters,
        content=SHAKESPEARE.digest,
    )
    return LanguageDataset(
        parts=parts_of({"train": text}, {"eval": eval_fraction, "test": test_fraction}), **windows
    )
