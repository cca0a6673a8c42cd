"""Omniglot: 1,623 handwritten characters of 50 alphabets, each drawn by 20 people, through torchvision."""

from pathlib import Path
from typing import Annotated, Unpack

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.few_shot.dataset import Characters, EpisodeBatching, EpisodeDataset, split_alphabets
from aiexp.errors import DataError
from aiexp.ranges import Range, Share
from aiexp.source.download import is_offline
from aiexp.source.probe import why_silent
from aiexp.source.torchvision_files import bounded_download, usual_roots
from aiexp.text.terminal import say

_FOLDER = "omniglot-py"  # torchvision's, below its `root`
_PARTS = ("images_background", "images_evaluation")


def omniglot(
    *,
    image_size: Annotated[int, Range(">= 8")],
    eval_fraction: Share,
    **batching: Unpack[EpisodeBatching],
) -> EpisodeDataset:
    """Episodes of handwritten characters, divided by alphabet as published: 30 "background", 20 for the test.

    Args:
        image_size: Height and width in pixels.
        eval_fraction: Share of the background alphabets for validation, [0, 1).
        batching: See `EpisodeBatching`.

    Raises:
        ConfigError: an episode needs more than there is.
        DataError: the pictures are neither on this machine nor can be downloaded, or are damaged.
    """
    folder = find_folder()
    background, test = (read_characters(folder / part, image_size) for part in _PARTS)
    parts = split_alphabets(background.alphabets, {"eval": eval_fraction})
    splits = {split: background.of_alphabets(part) for split, part in parts.items() if part}
    return EpisodeDataset(
        splits=splits | {"test": test},
        source=str(folder),
        **batching,
    )


def find_folder() -> Path:
    """The folder with both parts: where torchvision's files are kept on this machine, else downloaded."""
    ours, *others = usual_roots()
    for root in (ours, *others):
        if all((root / _FOLDER / part).is_dir() for part in _PARTS):
            return root / _FOLDER
    try:
        download(ours)
    except Exception as error:  # urllib, zipfile and torchvision raise what they like
        raise DataError(
            f"cannot get Omniglot: {' '.join(str(error).split()) or type(error).__name__}",
            where=str(ours / _FOLDER),
            fix="unpack images_background.zip and images_evaluation.zip there, or use dataset=glyphs",
        ) from None  # fmt: skip
    return ours / _FOLDER


def download(root: Path) -> None:
    """Lets torchvision download both parts."""
    if is_offline():
        raise OSError("AIEXP_OFFLINE forbids the network")
    from torchvision.datasets import Omniglot

    if problem := why_silent(f"{Omniglot.download_url_prefix}/images_background.zip"):
        raise OSError(f"its server {problem}")
    say("torchvision downloads Omniglot")
    with bounded_download():
        for background in (True, False):
            Omniglot(str(root), background=background, download=True)


def read_characters(folder: Path, image_size: int) -> Characters:
    """All characters of a part: folders of alphabets, in them folders of characters with one PNG a person."""
    from PIL import Image, UnidentifiedImageError

    images: list[NDArray[np.uint8]] = []
    names: list[str] = []
    alphabets: list[str] = []
    for character in sorted(folder.glob("*/*/")):
        examples: list[NDArray[np.uint8]] = []
        for path in sorted(character.glob("*.png")):
            try:
                with Image.open(path, formats=("PNG",)) as image:
                    small = image.convert("L").resize((image_size, image_size), Image.Resampling.LANCZOS)
            except (OSError, UnidentifiedImageError, ValueError) as error:
                raise DataError(f"not a picture: {error}", where=str(path), fix=f"rm -r {folder}") from None
            examples.append(255 - np.asarray(small))  # ink bright on dark
        images.append(np.stack(examples)[:, None] if examples else np.zeros((0, 1, 1, 1), np.uint8))
        names.append(f"{character.parent.name} {character.name}")
        alphabets.append(character.parent.name)
    if not images or len({part.shape for part in images}) > 1 or not len(images[0]):
        raise DataError(
            "the characters have not the same number of pictures", where=str(folder), fix=f"rm -r {folder}"
        )
    return Characters(images=np.stack(images), names=names, alphabets=alphabets)
