"""Letters of many scripts, drawn from free fonts: episodes like those of Omniglot, but not handwritten."""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Unpack

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.few_shot.dataset import Characters, EpisodeBatching, EpisodeDataset, split_alphabets
from aiexp.dataset.few_shot.glyph_drawing import DRAWING, Distortion, draw_letters, find_letters
from aiexp.errors import StorageError
from aiexp.ranges import PositiveInt, Range, Share
from aiexp.source.cache import data_dir
from aiexp.source.catalog.entries import find_entry
from aiexp.source.fetch import fetch
from aiexp.text.terminal import say

# Scripts whose letters look alike, so that a test alphabet could be known from training: all for training.
LOOK_ALIKES = frozenset({"Latn", "Grek", "Cyrl", "Copt", "Lisu"})
_ENTRY = "noto_fonts"


def glyphs(
    *,
    image_size: Annotated[int, Range(">= 8")],
    examples: Annotated[int, Range(">= 2")],
    max_letters: PositiveInt,
    distortion: Distortion,
    eval_fraction: Share,
    test_fraction: Share,
    **batching: Unpack[EpisodeBatching],
) -> EpisodeDataset:
    """Episodes of letters, divided by script: those of test are of scripts never seen in training.

    Args:
        image_size: Height and width in pixels.
        examples: Drawn of each letter: its fonts in turn, each time distorted anew.
        max_letters: Of a script, at most, the first by code point.
        distortion: Ranges of the random affine map of an example.
        eval_fraction: Share of the scripts for validation, [0, 1).
        test_fraction: Share of the scripts for the test, [0, 1).
        batching: See `EpisodeBatching`.

    Raises:
        ConfigError: an episode needs more than there is.
        DataError: the fonts cannot be fetched.
        StorageError: the drawn letters cannot be kept.
    """
    images, names, scripts = drawn(examples, image_size, max_letters, distortion)
    letters = Characters(images=images, names=names, alphabets=scripts)
    fractions = {"eval": eval_fraction, "test": test_fraction}
    parts = split_alphabets(scripts, fractions, LOOK_ALIKES)
    return EpisodeDataset(
        splits={split: letters.of_alphabets(part) for split, part in parts.items() if part},
        source="glyphs",
        **batching,
    )


def drawn(
    examples: int, image_size: int, max_letters: int, distortion: Distortion
) -> tuple[NDArray[np.uint8], list[str], list[str]]:
    """Images (N, E, 1, S, S) uint8, names (N,) and scripts (N,) of all letters, drawn once and kept."""
    import PIL

    settings = {
        "drawing": DRAWING, "pillow": PIL.__version__, "fonts": find_entry(_ENTRY).digest,
        "examples": examples, "image_size": image_size, "max_letters": max_letters, **asdict(distortion),
    }  # fmt: skip
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    kept = data_dir() / "drawn" / f"glyphs-{key}"
    with suppress(OSError, ValueError):
        return read(kept)
    folder = fetch(_ENTRY) / find_entry(_ENTRY).trees[0].path
    say("drawing letters, once for these settings")
    letters = find_letters(folder, max_letters)
    images, rows = draw_letters(letters, examples, image_size, distortion)
    write(kept, images, [[letters[row].name, letters[row].script] for row in rows])
    return images, [letters[row].name for row in rows], [letters[row].script for row in rows]


def read(folder: Path) -> tuple[NDArray[np.uint8], list[str], list[str]]:
    """What `write` wrote; raises OSError or ValueError when it is not there or damaged."""
    images = np.load(folder / "images.npy")
    names, scripts = zip(*json.loads((folder / "letters.json").read_text("utf-8")), strict=True)
    if len(images) != len(names):
        raise ValueError("damaged")
    return images, list(names), list(scripts)


def write(folder: Path, images: NDArray[np.uint8], letters: list[list[str]]) -> None:
    """Puts images and names in their place in one step; another process may do the same."""
    staging = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        staging.mkdir(parents=True, exist_ok=True)
        np.save(staging / "images.npy", images)
        (staging / "letters.json").write_text(json.dumps(letters, ensure_ascii=False), "utf-8")
        if folder.is_dir():  # damaged, or written by another process meanwhile
            shutil.rmtree(folder)
        os.replace(staging, folder)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise StorageError(
            f"the drawn letters cannot be kept: {error}",
            where=str(folder),
            fix="export AIEXP_DATA_DIR=<a writable folder>",
        ) from None
