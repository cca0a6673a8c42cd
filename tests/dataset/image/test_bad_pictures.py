"""Damaged pictures in a folder: found by the first look, or when they are decoded."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from aiexp.dataset.image import inspection
from aiexp.errors import DataError
from tests.dataset.image.lazy_folder import assert_same, make, take


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def spoil(path: Path) -> None:
    """Damages a PNG in the middle: its header and its end stay."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20] = bytes(20)
    path.write_bytes(bytes(data))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (cut, "truncated"),
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "text": (lambda path: path.write_text("hello"), "it is not a picture"),
    "bomb": (lambda path: Image.new("1", (9_500, 9_500)).save(path), "pixels"),
    "float": (lambda path: Image.fromarray(np.zeros((9, 9), np.float32)).save(path, "TIFF"), "32-bit"),
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
def test_a_picture_that_was_cut_off_is_found_before_the_first_step(pets: Path, suffix: str) -> None:
    path = sorted(pets.rglob(f"*.{suffix}"))[1]
    cut(path)
    with pytest.raises(DataError) as caught:
        make(pets)
    assert caught.value.where == str(path)
    assert "dataset.on_bad_sample=skip" in caught.value.fix


@pytest.mark.parametrize("kind", BAD)
def test_bad_pictures_are_found_or_left_out(pets: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    damage, why = BAD[kind]
    path = pets / "class1" / "16.png"
    damage(path)
    for _ in range(2):  # a later start says the same
        with pytest.raises(DataError, match=why) as caught:
            make(pets)
        assert caught.value.where == str(path)
        assert "\n" not in caught.value.line()
    held, lazy = (make(pets, on_bad_sample="skip", memory=memory) for memory in ("resident", "lazy"))
    for message, count in zip(caplog.messages, (33, 45), strict=True):  # of a split, of the folder
        assert message.startswith(f"{pets}: 1 of {count} pictures left out, the first: {path} (")
        assert why in message
    assert sum(lazy.num_examples(split) for split in ("train", "eval", "test")) == 44
    assert_same(take(held, 0, 6), take(lazy, 0, 6))
    assert held.fingerprint() == lazy.fingerprint()


def test_a_permission_is_looked_at_again(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(pets / "class1" / "16.png")
    opened = os.open

    def closed(name: Any, *args: Any, **kwargs: Any) -> int:
        if name == path:
            raise PermissionError(13, "Permission denied")
        return opened(name, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", closed)
        with pytest.raises(DataError, match="permission denied"):
            make(pets)
    assert make(pets).num_examples("train") == 33


def test_what_follows_the_end_of_a_picture_does_no_harm(pets: Path) -> None:
    for path in [*pets.rglob("*.jpg"), *pets.rglob("*.png"), *pets.rglob("*.gif")]:
        path.write_bytes(path.read_bytes() + b"a video, say")
    assert_same(take(make(pets), 0, 5), take(make(pets, memory="resident"), 0, 5))


def test_a_large_header_is_read_to_its_end(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 60_000
    Image.new("RGB", (20, 20)).save(pets / "class1" / "large.jpg", exif=exif)
    decoded: list[str] = []
    monkeypatch.setattr(inspection, "decode", lambda picture, _: decoded.append(picture.place))
    for path in pets.rglob("*.bmp"):
        path.unlink()
    make(pets)
    assert decoded == []


def test_a_picture_damaged_in_the_middle_stops_the_run(pets: Path) -> None:
    path = pets / "class1" / "16.png"
    spoil(path)
    for num_workers in (0, 2):
        with pytest.raises(DataError) as caught:
            take(make(pets, eval_fraction=0, test_fraction=0, num_workers=num_workers), 0, 6)
        assert caught.value.where == str(path)
        assert caught.value.fix == "repair or remove it, or dataset.on_bad_sample=skip"


def test_a_picture_damaged_in_the_middle_is_replaced_or_left_out(
    pets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = make(pets, eval_fraction=0, test_fraction=0)
    row = list(whole.names("train")).index("class1/16.png")
    expected = take(whole, 0, 12)
    following = whole.images("train")[torch.tensor([row + 1])][0]
    spoil(pets / "class1" / "16.png")
    settings = {"eval_fraction": 0, "test_fraction": 0, "on_bad_sample": "skip"}
    for num_workers in (0, 2):
        caplog.clear()
        dataset = make(pets, **settings, num_workers=num_workers)
        batches = take(dataset, 0, 12)
        for before in expected:
            places = before["index"] == row
            before["images"][places], before["index"][places] = following, row + 1
        assert_same(batches, expected)
        # Once, however many epochs.
        assert [message.split(" cannot")[0] for message in caplog.messages] == [
            str(pets / "class1" / "16.png")
        ]
        seen = torch.cat([batch["index"] for batch in dataset.eval_batches("train")])
        assert seen.tolist() == [i for i in range(45) if i != row]


def test_an_evaluation_batch_of_damaged_pictures_is_left_out(pets: Path) -> None:
    for path in (pets / "class1").glob("*.png"):
        spoil(path)
    dataset = make(pets, eval_fraction=0, test_fraction=0, on_bad_sample="skip", eval_batch_size=1)
    sizes = [len(batch["index"]) for batch in dataset.eval_batches("train")]
    assert sizes == [1] * (45 - len(list((pets / "class1").glob("*.png"))))


@pytest.mark.parametrize("on_bad_sample", ["error", "skip"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_files_that_change_during_a_run_stop_it(pets: Path, on_bad_sample: str, how: str) -> None:
    dataset = make(pets, eval_fraction=0, test_fraction=0, on_bad_sample=on_bad_sample)
    path = pets / "class2" / "02.gif"
    if how == "gone":
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=f"{how} since this run looked at it") as caught:
        take(dataset, 0, 6)
    assert caught.value.where == str(path)


def test_a_class_of_broken_pictures_is_named(pets: Path) -> None:
    for path in (pets / "class2").rglob("*.*"):
        path.write_bytes(b"x")
    with pytest.raises(DataError, match="no picture of class class2 can be read"):
        make(pets, on_bad_sample="skip")
