"""Emoji as Google and as Twitter draw them: unpaired for training, true pairs for evaluation."""

import hashlib
import json
from typing import Any, Literal, Unpack

import torch
from torch import Tensor

from aiexp.dataset.image.fit import fit
from aiexp.dataset.image.picture import file_pictures
from aiexp.dataset.image.reader import read_images
from aiexp.dataset.image.unpaired import Side, Sides, UnpairedBatching, UnpairedDataset, first_by_hash
from aiexp.errors import ConfigError
from aiexp.ranges import PositiveInt, Share
from aiexp.source.catalog.entries import find_entry
from aiexp.source.fetch import fetch

# As published; drawings are compared at this size, so that the splits do not depend on `image_size`.
_PUBLISHED_SIZE = 64


def emoji_styles(
    *,
    eval_fraction: Share,
    test_fraction: Share,
    image_size: PositiveInt,
    channels: Literal[1, 3],
    **batching: Unpack[UnpairedBatching],
) -> UnpairedDataset:
    """Side A is Google's drawings, side B Twitter's, on white.

    Names go to test, evaluation or training by their sha256. The training names are cut into halves: A has
    the drawings of one, B those of the other, so no emoji occurs on both sides. Of emoji that look alike in
    either style (flags of territories, families) only the oldest is used, so no drawing lies in two splits.

    Args:
        eval_fraction: Share of the names for validation.
        test_fraction: Share of the names for the test.
        image_size: Height and width in pixels.
        channels: 1 or 3.
        batching: See `UnpairedBatching`.

    Raises:
        ConfigError: nothing is left to train on.
        DataError: the drawings cannot be fetched.
    """
    # Both packages have the same table.
    table = json.loads((fetch("emoji_google") / "emoji.json").read_text(encoding="utf-8"))
    google, twitter = (_drawings(name, table) for name in ("emoji_google", "emoji_twitter"))
    rows = different_drawings(table, google, twitter)
    names = [str(table[row]["short_name"]) for row in rows]
    parts = split_names(names, eval_fraction, test_fraction)

    def side(drawings: Tensor, part: list[int]) -> Side:
        images = drawings[torch.tensor([rows[i] for i in part], dtype=torch.int64)]
        return Side(images=fit(images, image_size, channels), names=[names[i] for i in part])

    splits = {"train": Sides(a=side(google, parts["train_a"]), b=side(twitter, parts["train_b"]))}
    for split in ("eval", "test"):
        if parts[split]:
            splits[split] = Sides(a=side(google, parts[split]), b=side(twitter, parts[split]))
    return UnpairedDataset(
        splits=splits,
        aligned=True,
        source="emoji_styles",
        **batching,
    )


def split_names(names: list[str], eval_fraction: float, test_fraction: float) -> dict[str, list[int]]:
    """Rows of "test", "eval", "train_a" and "train_b": disjoint, ascending, by the sha256 of the names.

    Raises:
        ConfigError: nothing is left for one of the sides.
    """
    num_test, num_eval = round(test_fraction * len(names)), round(eval_fraction * len(names))
    num_train = len(names) - num_test - num_eval
    if num_train < 2:
        raise ConfigError(
            "the fractions of eval and test leave nothing to train on", where="eval_fraction",
            fix="make their sum less than 1",
        )  # fmt: skip
    counts = {"test": num_test, "eval": num_eval, "train_a": -(-num_train // 2), "train_b": num_train // 2}
    parts: dict[str, list[int]] = {}
    left = list(range(len(names)))
    for part, count in counts.items():
        chosen = {left[i] for i in first_by_hash([names[row] for row in left], count)}
        parts[part], left = sorted(chosen), [row for row in left if row not in chosen]
    return parts


def different_drawings(table: list[dict[str, Any]], *styles: Tensor) -> list[int]:
    """Rows of `table`, ascending, whose drawing repeats that of an older one of these rows in no style.

    Args:
        table: What emoji.json says of each emoji: `added_in` is the version of the standard.
        styles: (N, C, H, W) uint8, the drawings of each style in the order of `table`.
    """
    oldest = sorted(
        range(len(table)), key=lambda row: (float(table[row]["added_in"]), table[row]["sort_order"])
    )
    seen: set[tuple[int, bytes]] = set()
    kept: list[int] = []
    for row in oldest:
        hashes = {(i, hashlib.sha256(style[row].numpy().data).digest()) for i, style in enumerate(styles)}
        if not hashes & seen:
            seen |= hashes
            kept.append(row)
    return sorted(kept)


def _drawings(name: str, table: list[dict[str, Any]]) -> Tensor:
    """(N, 3, 64, 64) uint8: one style, in the order of `table`."""
    folder = fetch(name) / find_entry(name).trees[0].path
    pictures = file_pictures(folder / str(emoji["image"]) for emoji in table)
    images, *_ = read_images(pictures, _PUBLISHED_SIZE, 3, skip_bad=False, source=name)
    return images
