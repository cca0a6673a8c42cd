"""The user's own trainA, trainB, testA and testB; every picture is generated here."""

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from aiexp.dataset.image import reader as image_reader
from aiexp.dataset.image.unpaired import UnpairedDataset
from aiexp.dataset.image.unpaired_folders import unpaired_folders
from aiexp.errors import AiexpError, ConfigError, DataError, MemoryFullError

YAML = Path(__file__).parents[3] / "conf" / "dataset" / "unpaired_folders.yaml"
ZEBRAS = {"trainA": 12, "trainB": 9, "testA": 5, "testB": 3}


def write(root: Path, counts: dict[str, int]) -> Path:
    for place, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.new("L", (5, 5), 50 * place + i).save(root / name / f"{i:02}.png")
    return root


def make(root: Path, **changes: Any) -> UnpairedDataset:
    values = yaml.safe_load(YAML.read_text("utf-8"))
    del values["_target_"]
    return unpaired_folders(**{**values, "folder": str(root), "seed": 0, "image_size": 4, **changes})


def values(dataset: UnpairedDataset, split: str, side: Any) -> list[int]:
    return dataset.images(split, side)[:, 0, 0, 0].tolist()


def refused(root: Path, **changes: Any) -> str:
    with pytest.raises(AiexpError) as caught:
        make(root, **changes)
    assert isinstance(caught.value, DataError)
    assert caught.value.fix
    assert "\n" not in caught.value.line()
    return caught.value.line()


@pytest.mark.parametrize("names", [str, str.lower, str.upper])
def test_four_folders(tmp_path: Path, names: Any) -> None:
    root = write(tmp_path / "x", {names(name): count for name, count in ZEBRAS.items()})
    dataset = make(root)
    assert (dataset.aligned, dataset.channels, dataset.image_size) == (False, 3, 4)
    assert [dataset.num_examples(s) for s in ("train", "eval", "test")] == [12, 0, 3]
    assert values(dataset, "train", "a") == list(range(12))
    assert values(dataset, "train", "b") == list(range(50, 59))
    pairs = [(b["a"][:, 0, 0, 0].tolist(), b["b"][:, 0, 0, 0].tolist()) for b in dataset.eval_batches("test")]
    assert pairs == [([100, 101, 102], [150, 151, 152])]
    assert dataset.names("test", "b") == [f"{names('testB')}/{i:02}.png" for i in range(3)]


def test_without_test_folders(tmp_path: Path) -> None:
    dataset = make(write(tmp_path / "x", {"trainA": 3, "trainB": 2, "other": 1}))
    assert [dataset.num_examples(s) for s in ("train", "eval", "test")] == [3, 0, 0]


def test_validation_is_cut_off_the_training_folders(tmp_path: Path) -> None:
    root = write(tmp_path / "x", ZEBRAS)
    dataset = make(root, num_eval=4)
    for side, count in (("a", 12), ("b", 9)):
        held_out, train = dataset.names("eval", side), dataset.names("train", side)
        assert (len(held_out), len(train)) == (4, count - 4)
        assert sorted([*held_out, *train]) == [f"train{side.upper()}/{i:02}.png" for i in range(count)]
        assert held_out == sorted(held_out) != sorted([*held_out, *train])[:4]
        assert make(root, num_eval=4, seed=5).names("eval", side) == held_out
    assert [dataset.num_examples(s) for s in ("train", "eval", "test")] == [8, 4, 3]
    assert make(root).names("test") == dataset.names("test")
    with pytest.raises(ConfigError, match="trainB has 9 pictures") as caught:
        make(root, num_eval=9)
    assert caught.value.where == "num_eval"


def test_missing_folders(tmp_path: Path) -> None:
    assert "nowhere does not exist | folder" in refused(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    assert "is not a folder" in refused(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert "empty has no trainA and no trainB | folder | fix: make the folder trainA" in refused(
        tmp_path / "empty"
    )
    root = write(tmp_path / "a", {"trainA": 3, "testA": 1, "testB": 1})
    assert (
        f"{root} has no trainB, only testA, testB, trainA | folder | fix: make the folder trainB"
        in refused(root)
    )
    root = write(tmp_path / "b", {"trainA": 3, "trainB": 3, "testB": 1})
    assert "has no testA, only testB, trainA, trainB" in refused(root)
    root = write(tmp_path / "c", {"trainA": 3, "trainB": 0})
    assert "trainB has no pictures" in refused(root)
    root = write(tmp_path / "d", {"trainA": 3, "trainB": 3, "TRAINB": 3})
    assert "TRAINB and trainB are both there" in refused(root)


def test_a_broken_picture(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write(tmp_path / "x", ZEBRAS)
    (root / "trainB" / "04.png").write_bytes(b"x")
    assert f"{root}/trainB/04.png" in refused(root)
    with caplog.at_level(logging.WARNING):
        dataset = make(root, on_bad_sample="skip")
    assert "1 of 9 pictures left out" in "".join(caplog.messages)
    assert values(dataset, "train", "b") == [50, 51, 52, 53, 55, 56, 57, 58]
    assert "trainB/04.png" not in dataset.names("train", "b")
    for path in (root / "trainB").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(DataError, match="side B of split train has no pictures"):
        make(root, on_bad_sample="skip")


def test_limit_reads_no_more_than_it_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "x", ZEBRAS)
    read: list[Path] = []
    decode = image_reader.decode
    monkeypatch.setattr(
        image_reader, "decode", lambda path, *args: (read.append(path), decode(path, *args))[1]
    )
    dataset = make(root, limit=2, num_eval=3)
    assert [dataset.num_examples(s) for s in ("train", "eval", "test")] == [2, 2, 2]
    assert len(read) == 12


def test_settings_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "x", ZEBRAS)
    monkeypatch.setattr(image_reader, "available_bytes", lambda: 29 * 3 * 16)
    with pytest.raises(MemoryFullError, match="29 pictures of 3x4x4 bytes"):
        make(root, memory="resident")
