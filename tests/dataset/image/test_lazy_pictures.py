"""Pictures that are decoded when a batch is made: the same batches as from memory, and what goes wrong."""

import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from aiexp.dataset.image import inspection, labelled
from aiexp.dataset.image.dataset import ImageDataset
from aiexp.dataset.image.folder import image_folder
from aiexp.dataset.image.pixels import LazyPixels
from aiexp.errors import DataError

YAML = Path(__file__).parents[3] / "conf" / "dataset" / "image_folder.yaml"
Batch = dict[str, torch.Tensor]


def make(folder: Path, **changes: Any) -> ImageDataset:
    values = yaml.safe_load(YAML.read_text("utf-8"))
    del values["_target_"]
    settings = {
        "train_folder": str(folder),
        "seed": 0,
        "image_size": 12,
        "batch_size": 8,
        "eval_batch_size": 5,
    }
    return image_folder(**{**values, **settings, "memory": "lazy", "num_workers": 0, **changes})


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """45 pictures of three classes, in five formats and of several shapes, all different."""
    random = np.random.default_rng(0)
    for i in range(45):
        suffix = ("jpg", "png", "gif", "bmp", "webp")[i % 5]
        path = tmp_path / "pets" / f"class{i % 3}" / ("deep" if i % 7 == 0 else ".") / f"{i:02}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (20 + i % 4, 20 + i % 3, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "pets"


def take(dataset: ImageDataset, start: int, count: int) -> list[Batch]:
    return list(islice(dataset.train_batches(start), count))


def assert_same(one: list[Batch], two: list[Batch]) -> None:
    assert len(one) == len(two) > 0
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def spoil(path: Path) -> None:
    """Damages a PNG in the middle: its header and its end stay."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20] = bytes(20)
    path.write_bytes(bytes(data))


def test_lazy_batches_are_those_from_memory(pets: Path) -> None:
    held, lazy = make(pets, memory="resident"), make(pets)
    assert isinstance(held.images("train"), torch.Tensor)
    assert isinstance(lazy.images("train"), LazyPixels)
    assert_same(take(held, 0, 12), take(lazy, 0, 12))
    for split in ("train", "eval", "test"):
        assert list(lazy.names(split)) == held.names(split)
        assert torch.equal(lazy.labels(split), held.labels(split))
        assert_same(list(held.eval_batches(split)), list(lazy.eval_batches(split)))
    assert held.fingerprint() == lazy.fingerprint()


@pytest.mark.parametrize("num_workers", [1, 2])
def test_any_number_of_workers_makes_the_same_batches(pets: Path, num_workers: int) -> None:
    here, there = make(pets), make(pets, num_workers=num_workers)
    assert_same(take(here, 0, 7), take(there, 0, 7))
    assert_same(take(here, 7, 3), take(there, 7, 3))
    assert_same(list(here.eval_batches("eval")), list(there.eval_batches("eval")))


def test_any_batch_can_be_the_first(pets: Path) -> None:
    batches = take(make(pets), 0, 14)
    for start in (1, 4, 5, 9):
        assert_same(take(make(pets), start, 4), batches[start : start + 4])


def test_a_task_takes_the_rows_it_needs(pets: Path) -> None:
    held, lazy = make(pets, memory="resident"), make(pets)
    rows = torch.tensor([30, 2, 2, 17])
    assert torch.equal(lazy.images("train")[rows], held.images("train")[rows])
    assert lazy.images("train").shape == held.images("train").shape


def test_memory_decides_unless_it_is_said(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, kind in ((4 * 45 * 3 * 12 * 12, torch.Tensor), (4 * 45 * 3 * 12 * 12 - 1, LazyPixels)):
        monkeypatch.setattr("aiexp.dataset.image.reader.available_bytes", lambda free=free: free)
        assert type(make(pets, memory="auto").images("train")) is kind
    assert isinstance(make(pets, memory="auto", limit=10).images("train"), torch.Tensor)


def test_settings_of_batches_do_not_change_the_order(pets: Path) -> None:
    wide = take(make(pets, batch_size=33), 0, 1)[0]
    narrow = take(make(pets), 0, 5)
    assert len(wide["index"]) == 33
    for key, value in wide.items():
        assert torch.equal(torch.cat([batch[key] for batch in narrow]), value)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pictures that were looked at."""
    places: list[str] = []
    inspect = inspection.inspect

    def counted(picture: Any) -> bytes:
        places.append(picture.place)
        return inspect(picture)

    monkeypatch.setattr(inspection, "inspect", counted)
    return places


def test_files_are_looked_at_once_until_one_changes(pets: Path, looked: list[str]) -> None:
    first = make(pets)
    assert len(looked) == len(set(looked)) == 45
    assert make(pets, eval_fraction=0.3, batch_size=3, seed=7).num_examples("eval") == 12
    assert len(looked) == 45
    path = pets / "class1" / "01.png"
    Image.new("RGB", (20, 20)).save(path)
    assert make(pets).fingerprint() != first.fingerprint()
    assert len(looked) == 90


def test_limit_looks_at_no_more_than_it_keeps(pets: Path, looked: list[str]) -> None:
    dataset = make(pets, limit=6)
    assert [dataset.num_examples(split) for split in ("train", "eval", "test")] == [6, 6, 6]
    assert len(looked) == 18
    assert dataset.class_counts().tolist() == [2, 2, 2]


def test_many_files_are_looked_at_by_workers(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = make(pets).fingerprint()
    monkeypatch.setattr(inspection, "_CHUNK", 4)
    monkeypatch.setattr(inspection, "_FEW", 0)
    monkeypatch.setenv("AIEXP_DATA_DIR", str(pets.parent / "other"))
    assert make(pets, num_workers=2).fingerprint() == alone


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


def test_repeated_pictures_are_noticed(pets: Path, caplog: pytest.LogCaptureFixture) -> None:
    test = pets.parent / "test"
    for i, name in enumerate(("class0/03.bmp", "class1/01.png", "class2/02.gif")):
        (test / name).parent.mkdir(parents=True)
        (test / f"class{i}" / f"copy{Path(name).suffix}").write_bytes((pets / name).read_bytes())
        Image.new("RGB", (9, 9), (i, 0, 0)).save(test / f"class{i}" / "other.png")
    make(pets, test_folder=str(test), eval_fraction=0)
    assert caplog.messages == [f"{pets}: 3 pictures of split test also occur in the training split"]


def test_uncompressed_pictures_with_the_same_border_are_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    for i in range(6):
        (folder / f"class{i % 2}").mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (96, 96))
        image.putpixel((48, 48), (i + 1, 0, 0))
        image.save(folder / f"class{i % 2}" / f"{i}.bmp")
    dataset = make(folder, eval_fraction=0, test_fraction=0)
    assert len({digest.tobytes() for digest in dataset._of("train").digests}) == 6  # pyright: ignore


def test_hidden_folders_and_pipes_are_left_out(pets: Path) -> None:
    before = make(pets).fingerprint()
    (pets / "class1" / "__MACOSX").mkdir()
    (pets / "class1" / "__MACOSX" / "x.png").write_bytes(b"")
    (pets / "class1" / "nowhere.png").symlink_to("none")
    os.mkfifo(pets / "class1" / "pipe.png")
    assert make(pets).fingerprint() == before


def test_a_name_that_is_no_text_is_a_name(pets: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.png")
    Image.new("RGB", (9, 9)).save(os.path.join(pets, "class1", "y.png"))
    os.rename(os.path.join(pets, "class1", "y.png"), os.path.join(pets, "class1", name))
    dataset = make(pets, eval_fraction=0, test_fraction=0)
    assert f"class1/{name}" in dataset.names("train")
    assert len(take(dataset, 0, 6)) == 6


def test_the_parts_are_those_of_texts(pets: Path) -> None:
    """What was cut off before stays cut off: the order is that of the sha256 of normalised names."""
    import hashlib

    from aiexp.dataset.text.split import normalised

    dataset = make(pets, eval_fraction=0.2, test_fraction=0)
    for label in range(3):
        names = sorted(
            (n for split in ("train", "eval") for n in dataset.names(split) if n[5] == str(label)),
            key=lambda name: hashlib.sha256(normalised(name).encode()).digest(),
        )
        assert {n for n in dataset.names("eval") if n[5] == str(label)} == set(names[:3])
    assert labelled.RESIDENT_SHARE == 0.25
