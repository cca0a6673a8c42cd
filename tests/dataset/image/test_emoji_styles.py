"""Emoji in two styles: generated drawings, and (marker network) the real ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from aiexp.dataset.image import emoji_styles as module
from aiexp.dataset.image.emoji_styles import different_drawings, emoji_styles, split_names
from aiexp.dataset.image.unpaired import UnpairedDataset
from aiexp.errors import ConfigError, DataError

YAML = Path(__file__).parents[3] / "conf" / "dataset" / "emoji_styles.yaml"
COUNT = 40


def settings(**changes: Any) -> dict[str, Any]:
    values = yaml.safe_load(YAML.read_text("utf-8"))
    del values["_target_"]
    return {**values, "seed": 0, **changes}


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., UnpairedDataset]:
    """40 emoji; number 7 repeats number 3 in Google's style, 9 repeats 20 in Twitter's and is newer."""
    table = [
        {
            "image": f"{i:02}.png",
            "short_name": f"thing-{i}",
            "added_in": "13.0" if i == 9 else "2.0",
            "sort_order": i,
        }
        for i in range(COUNT)
    ]
    for vendor, first, repeats in (("google", 0, {7: 3}), ("twitter", 100, {9: 20})):
        folder = tmp_path / f"emoji_{vendor}" / "img" / vendor / "64"
        folder.mkdir(parents=True)
        (tmp_path / f"emoji_{vendor}" / "emoji.json").write_text(json.dumps(table))
        for i in range(COUNT):
            value = first + repeats.get(i, i)
            Image.new("LA", (64, 64), (value, 0 if i == 5 else 255)).save(folder / f"{i:02}.png")
    monkeypatch.setattr(module, "fetch", lambda name: tmp_path / name)
    return lambda **changes: emoji_styles(**settings(**changes))


def all_names(dataset: UnpairedDataset) -> dict[str, list[str]]:
    return {
        "a": dataset.names("train", "a"),
        "b": dataset.names("train", "b"),
        "eval": dataset.names("eval"),
        "test": dataset.names("test"),
    }


def check_separation(dataset: UnpairedDataset, kept: int) -> None:
    """Nothing lies in two places, neither by name nor by drawing; evaluation pairs are true pairs."""
    names = all_names(dataset)
    assert sum(map(len, names.values())) == kept
    assert len(set().union(*names.values())) == kept
    assert dataset.names("eval", "b") == names["eval"]
    assert dataset.names("test", "b") == names["test"]
    for side in ("a", "b"):
        drawings = [d.numpy().tobytes() for s in ("train", "eval", "test") for d in dataset.images(s, side)]
        assert len(set(drawings)) == len(drawings)


def test_names_are_split_once_and_for_all(make: Callable[..., UnpairedDataset]) -> None:
    dataset = make()
    assert dataset.aligned
    assert (dataset.channels, dataset.image_size) == (3, 64)
    check_separation(dataset, COUNT - 2)
    names = all_names(dataset)
    assert {k: len(v) for k, v in names.items()} == {"a": 13, "b": 13, "eval": 4, "test": 8}
    assert not {"thing-7", "thing-9"} & set().union(*names.values())
    for changes in ({"seed": 8}, {"image_size": 16}, {"channels": 1}, {"batch_size": 4}):
        assert all_names(make(**changes)) == names
    # A larger test set takes names from the others and gives none up.
    assert set(names["test"]) < set(make(test_fraction=0.4).names("test"))


def test_side_a_is_google_and_side_b_twitter(make: Callable[..., UnpairedDataset]) -> None:
    dataset = make()
    for split in ("train", "eval", "test"):
        for side, first in (("a", 0), ("b", 100)):
            for name, drawing in zip(dataset.names(split, side), dataset.images(split, side), strict=True):
                number = int(name.removeprefix("thing-"))
                expected = 255 if number == 5 else first + number  # 5 is transparent: white
                assert (drawing == expected).all()
    small = make(image_size=16, channels=1)
    assert small.images("test", "a").shape == (8, 1, 16, 16)
    assert (small.images("test", "a") == dataset.images("test", "a")[:, :1, :16, :16]).all()


def test_no_share_and_no_split(make: Callable[..., UnpairedDataset]) -> None:
    dataset = make(eval_fraction=0)
    assert dataset.num_examples("eval") == 0
    assert [dataset.num_examples(s) for s in ("train", "test")] == [15, 8]
    for changes in ({"eval_fraction": 0.6, "test_fraction": 0.4}, {"test_fraction": 0.95}):
        with pytest.raises(ConfigError, match="nothing to train on"):
            make(**changes)


def test_split_names_by_hand() -> None:
    # sha256 begins: c 2e7d, b 3e23, d 18ac, a ca97
    parts = split_names(["a", "b", "c", "d"], 0.25, 0.25)
    assert parts == {"test": [3], "eval": [2], "train_a": [1], "train_b": [0]}


def test_the_oldest_of_equal_drawings_stays() -> None:
    table = [{"added_in": v, "sort_order": o} for v, o in (("16.0", 1), ("2.0", 3), ("2.0", 2), ("0.6", 9))]
    one = torch.tensor([5, 5, 5, 6], dtype=torch.uint8).view(4, 1, 1, 1)
    two = torch.tensor([1, 2, 3, 3], dtype=torch.uint8).view(4, 1, 1, 1)
    assert different_drawings(table, one) == [2, 3]
    # Row 2 goes because of row 3, so nothing older than row 1 looks like it any more.
    assert different_drawings(table, one, two) == [1, 3]


@pytest.mark.network
def test_real_drawings_are_as_pinned() -> None:
    try:
        dataset = emoji_styles(**settings())
    except DataError as error:
        pytest.skip(f"no source reachable: {error.what}")
    check_separation(dataset, 1876)
    header = YAML.read_text("utf-8").split("_target_")[0]
    counts = {k: len(v) for k, v in all_names(dataset).items()}
    assert counts == {"a": 657, "b": 656, "eval": 188, "test": 375}
    assert "train 657 of Google and 656 others of Twitter, eval 188 pairs, test 375 pairs" in header
    assert "Of 1911 emoji 35 are left out" in header
    assert dataset.fingerprint() == "6e3886304236fe85f26f11037cf6107ad8a1e2854e28498169418241556b63c2"
    a, b = (dataset.images("test", side).numpy().astype(np.float32) / 255 for side in ("a", "b"))
    pairs, others = np.abs(a - b).mean((1, 2, 3)), np.abs(a - np.roll(b, 1, 0)).mean((1, 2, 3))
    assert pairs.mean() < 0.75 * others.mean()  # true pairs look alike
