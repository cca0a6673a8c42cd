"""Pictures that are decoded when a batch is made: the same batches as from memory."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from aiexp.dataset.image import inspection, labelled
from aiexp.dataset.image.pixels import LazyPixels
from tests.dataset.image.lazy_folder import assert_same, make, take


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
