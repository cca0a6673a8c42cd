"""The user's own class folders; every picture is generated here."""

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from aiexp.dataset.image import reader as image_reader
from aiexp.dataset.image.dataset import ImageDataset
from aiexp.dataset.image.folder import image_folder
from aiexp.dataset.image.picture import Picture
from aiexp.errors import AiexpError, ConfigError, DataError, MemoryFullError

YAML = Path(__file__).parents[3] / "conf" / "dataset" / "image_folder.yaml"
CLASSES = {"cat": 40, "ant": 20, "Bee": 10}


def write(folder: Path, classes: dict[str, int], first: int = 0) -> Path:
    """Every picture has a colour of its own: red is the class, green the number."""
    for label, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (6, 4), (label, first + i, 7)).save(folder / name / f"{i}.png")
    return folder


def make(folder: Path | str, **changes: Any) -> ImageDataset:
    values = yaml.safe_load(YAML.read_text("utf-8"))
    del values["_target_"]
    return image_folder(**{**values, "train_folder": str(folder), "seed": 0, "image_size": 4, **changes})


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return write(tmp_path / "pets", CLASSES)


def error(caught: pytest.ExceptionInfo[AiexpError]) -> str:
    assert caught.value.exit_code == 3
    line = caught.value.line()
    assert "\n" not in line
    assert caught.value.where
    assert caught.value.fix
    return line


def test_classes_are_the_sorted_folders(pets: Path) -> None:
    (pets / ".cache").mkdir()
    (pets / "readme.txt").write_text("hello")
    dataset = make(pets, eval_fraction=0, test_fraction=0)
    assert dataset.class_names == ["Bee", "ant", "cat"]
    assert dataset.class_counts().tolist() == [10, 20, 40]
    assert (dataset.channels, dataset.image_size) == (3, 4)
    assert [dataset.num_examples(s) for s in ("train", "eval", "test")] == [70, 0, 0]
    for name, label, image in zip(
        dataset.names("train"), dataset.labels("train"), dataset.images("train"), strict=True
    ):
        folder, file = name.split("/")
        red = list(CLASSES).index(folder)
        assert dataset.class_names[label] == folder
        assert image[:, 0, 0].tolist() == [red, int(file.removesuffix(".png")), 7]
    batch = next(dataset.train_batches(0))
    assert set(batch) == {"images", "labels", "index", "seeds"}
    assert batch["images"].dtype == torch.uint8


def test_parts_are_cut_off_with_the_same_share_of_each_class(pets: Path) -> None:
    dataset = make(pets, eval_fraction=0.1, test_fraction=0.2)
    counts = {s: np.bincount(dataset.labels(s)).tolist() for s in ("train", "eval", "test")}
    assert counts == {"train": [7, 14, 28], "eval": [1, 2, 4], "test": [2, 4, 8]}
    names = {s: set(dataset.names(s)) for s in counts}
    assert len(set.union(*names.values())) == 70
    same = make(pets, eval_fraction=0.1, test_fraction=0.2, seed=9, image_size=2)
    assert {s: set(same.names(s)) for s in counts} == names
    # The place of a file follows from its name, not from its neighbours or its date.
    for i in range(100, 110):
        Image.new("RGB", (6, 4), (2, i, 9)).save(pets / "Bee" / f"{i}.png")
    more = make(pets, eval_fraction=0.1, test_fraction=0.2)
    assert {n for n in more.names("test") if "Bee" not in n} == {n for n in names["test"] if "Bee" not in n}
    assert names["test"] != {f"{c}/{i}.png" for c, n in CLASSES.items() for i in range(round(0.2 * n))}


def test_folders_of_their_own(pets: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", dict.fromkeys(CLASSES, 3), first=100)
    dataset = make(pets, eval_folder=str(other), eval_fraction=0.5, test_fraction=0)
    assert [dataset.num_examples(s) for s in ("train", "eval", "test")] == [70, 9, 0]
    dataset = make(pets, test_folder=str(other), eval_fraction=0.1)
    assert [dataset.num_examples(s) for s in ("train", "eval", "test")] == [63, 7, 9]
    assert dataset.names("test") == [f"{c}/{i}.png" for c in ("Bee", "ant", "cat") for i in range(3)]
    assert dataset.images("test")[:, 1, 0, 0].tolist() == [100, 101, 102] * 3


def test_a_shared_picture_is_noticed(pets: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = write(tmp_path / "other", dict.fromkeys(CLASSES, 12), first=8)
    with caplog.at_level(logging.WARNING):
        make(pets, test_folder=str(other), eval_fraction=0)
    assert len(caplog.messages) == 1
    # Numbers 8 and 9 of Bee, 8 to 19 of ant and cat.
    assert "26 pictures of split test also occur in the training split" in caplog.messages[0]


def test_missing_or_empty_folders(tmp_path: Path, pets: Path) -> None:
    with pytest.raises(DataError) as caught:
        make(tmp_path / "nowhere")
    assert "nowhere does not exist | train_folder | fix: train_folder=" in error(caught)
    (tmp_path / "file").touch()
    with pytest.raises(DataError) as caught:
        make(pets, test_folder=str(tmp_path / "file"))
    assert "is not a folder | test_folder" in error(caught)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        make(tmp_path / "empty")
    assert "empty is empty | train_folder | fix: make one sub-folder a class" in error(caught)
    with pytest.raises(DataError) as caught:
        make(pets / "cat")
    assert "cat has 40 pictures but no class folders" in error(caught)
    (pets / "dog").mkdir()
    (pets / "dog" / "notes.txt").touch()
    with pytest.raises(DataError) as caught:
        make(pets)
    assert "class folder dog has no pictures" in error(caught)


def test_one_class(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        make(write(tmp_path / "one", {"cat": 5}))
    assert "only one class: cat" in error(caught)


def test_other_classes_in_the_test_folder(tmp_path: Path, pets: Path) -> None:
    other = write(tmp_path / "other", {"cat": 2, "ant": 2, "dog": 2})
    with pytest.raises(DataError) as caught:
        make(pets, test_folder=str(other))
    assert "it lacks Bee and it has dog | test_folder" in error(caught)


def test_one_broken_picture(pets: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = [pets / "ant" / "3.png", pets / "cat" / "17.png"]
    for path in broken:
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError) as caught:
        make(pets, eval_fraction=0, test_fraction=0)
    assert str(broken[0]) in error(caught)
    assert "dataset.on_bad_sample=skip" in caught.value.fix
    with caplog.at_level(logging.WARNING):
        dataset = make(pets, eval_fraction=0, test_fraction=0, on_bad_sample="skip")
    assert len(caplog.messages) == 1
    assert "2 of 70 pictures left out" in caplog.messages[0]
    assert all(str(path) in caplog.messages[0] for path in broken)
    assert dataset.class_counts().tolist() == [10, 19, 39]
    assert "ant/3.png" not in dataset.names("train")
    numbers = [int(name.split("/")[1].removesuffix(".png")) for name in dataset.names("train")]
    assert dataset.images("train")[:, 1, 0, 0].tolist() == numbers  # pictures and names still belong together


def test_a_class_of_broken_pictures(pets: Path) -> None:
    for path in (pets / "Bee").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        make(pets, on_bad_sample="skip")
    assert "no picture of class Bee can be read" in error(caught)


def test_limit_reads_no_more_than_it_keeps(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    decode = image_reader.decode

    def counted(picture: Picture, pixels: np.ndarray) -> bytes:
        read.append(picture.place)
        return decode(picture, pixels)

    monkeypatch.setattr(image_reader, "decode", counted)
    dataset = make(pets, limit=7, eval_fraction=0.2, test_fraction=0)
    assert [dataset.num_examples(s) for s in ("train", "eval")] == [7, 7]
    assert dataset.class_counts().tolist() == [1, 2, 4]
    assert len(read) == 14
    make(pets, limit=2)  # fewer than classes: a quick try, not an error


def test_memory(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_reader, "available_bytes", lambda: 70 * 3 * 16)
    with pytest.raises(MemoryFullError, match="70 pictures of 3x4x4 bytes"):
        make(pets, memory="resident")
    assert make(pets, memory="resident", image_size=3).num_examples("train") == 56


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"eval_fraction": 0.6, "test_fraction": 0.5}, "eval_fraction"),
        ({"channels": 1}, "mean"),
    ],
)
def test_impossible_settings(pets: Path, changes: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(pets, **changes)
    assert caught.value.where == where
    assert caught.value.exit_code == 2


def test_folders_of_the_system_are_no_classes_and_a_pipe_is_no_picture(pets: Path) -> None:
    for name in ("__MACOSX", "@eaDir", ".hidden"):
        (pets / name).mkdir()
        (pets / name / "x.png").write_bytes(b"")
    class_folder = next(path for path in sorted(pets.iterdir()) if path.name[0].isalpha())
    (class_folder / "__MACOSX").mkdir()
    (class_folder / "__MACOSX" / "y.png").write_bytes(b"")
    before = make(pets)
    os.mkfifo(class_folder / "pipe.png")  # opened for reading, it would wait for ever
    after = make(pets)
    assert after.class_names == before.class_names
    assert not {"__MACOSX", "@eaDir", ".hidden"} & set(after.class_names)
    assert after.num_examples("train") == before.num_examples("train")


def test_classes_that_differ_only_in_case_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, {"cat": 12, "Cat": 12, "dog": 12})
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("a file system without case")
    assert make(tmp_path).class_names == ["Cat", "cat", "dog"]
    assert caplog.messages == [f"{tmp_path}: classes that differ only in case: 'Cat' and 'cat'"]
