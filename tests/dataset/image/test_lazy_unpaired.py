"""Pictures of two kinds that are decoded when a batch is made: the same batches as from memory."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from aiexp.dataset.image.pixels import LazyPixels
from aiexp.dataset.image.unpaired import UnpairedDataset
from aiexp.dataset.image.unpaired_folders import unpaired_folders
from aiexp.errors import DataError
from tests.dataset.image.lazy_folder import assert_same
from tests.dataset.image.test_bad_pictures import cut, spoil
from tests.endings import check_killed_and_resumed

YAML = Path(__file__).parents[3] / "conf" / "dataset" / "unpaired_folders.yaml"


@pytest.fixture
def zebras(tmp_path: Path) -> Path:
    """12 and 9 pictures to train on, 5 and 7 to test with, in two formats."""
    random = np.random.default_rng(0)
    for name, count in (("trainA", 12), ("trainB", 9), ("testA", 5), ("testB", 7)):
        (tmp_path / "zebras" / name).mkdir(parents=True)
        for i in range(count):
            pixels = random.integers(0, 256, (20 + i % 3, 20, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "zebras" / name / f"{i:02}.{('png', 'jpg')[i % 2]}")
    return tmp_path / "zebras"


def make(root: Path, **changes: Any) -> UnpairedDataset:
    values = yaml.safe_load(YAML.read_text("utf-8"))
    del values["_target_"]
    settings = {"folder": str(root), "seed": 0, "image_size": 8, "num_eval": 3, "batch_size": 4}
    lazy = {"memory": "lazy", "num_workers": 0, "eval_batch_size": 2}
    return unpaired_folders(**{**values, **settings, **lazy, **changes})


def take(dataset: UnpairedDataset, start: int, count: int) -> list[dict[str, torch.Tensor]]:
    return list(islice(dataset.train_batches(start), count))


@pytest.mark.parametrize("limit", [None, 2])
def test_lazy_batches_are_those_from_memory(zebras: Path, limit: int | None) -> None:
    held, lazy = (make(zebras, memory=memory, limit=limit) for memory in ("resident", "lazy"))
    assert isinstance(held.images("train", "a"), torch.Tensor)
    assert isinstance(lazy.images("train", "a"), LazyPixels)
    assert_same(take(held, 0, 10), take(lazy, 0, 10))
    assert_same(take(held, 7, 3), take(lazy, 0, 10)[7:])
    for split in ("train", "eval", "test"):
        assert held.num_examples(split) == lazy.num_examples(split) > 0
        assert list(held.names(split, "b")) == list(lazy.names(split, "b"))
        assert_same(list(held.eval_batches(split)), list(lazy.eval_batches(split)))
    assert held.fingerprint() == lazy.fingerprint()


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_make_the_same_batches(zebras: Path, num_workers: int) -> None:
    here, there = make(zebras), make(zebras, num_workers=num_workers)
    assert_same(take(here, 0, 7), take(there, 0, 7))
    assert_same(list(here.eval_batches("test")), list(there.eval_batches("test")))


def test_memory_decides_unless_it_is_said(zebras: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, kind in ((4 * 33 * 3 * 8 * 8, torch.Tensor), (4 * 33 * 3 * 8 * 8 - 1, LazyPixels)):
        monkeypatch.setattr("aiexp.dataset.image.reader.available_bytes", lambda free=free: free)
        assert type(make(zebras, memory="auto").images("train", "b")) is kind


def test_the_fingerprint_is_that_of_the_files(zebras: Path) -> None:
    before = make(zebras).fingerprint()
    assert make(zebras, batch_size=2, seed=4).fingerprint() == before
    Image.new("RGB", (9, 9)).save(zebras / "testB" / "00.png")
    assert make(zebras).fingerprint() == make(zebras, memory="resident").fingerprint() != before


def test_a_picture_that_was_cut_off_is_found_before_the_first_step(
    zebras: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = zebras / "trainB" / "04.png"
    cut(path)
    with pytest.raises(DataError, match="truncated") as caught:
        make(zebras)
    assert caught.value.where == str(path)
    held, lazy = (make(zebras, on_bad_sample="skip", memory=memory) for memory in ("resident", "lazy"))
    assert f"{zebras} (trainB): 1 of 9 pictures left out" in caplog.messages[-1]
    assert_same(take(held, 0, 5), take(lazy, 0, 5))


def test_a_picture_damaged_in_the_middle_is_replaced_or_its_pair_left_out(
    zebras: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = list(make(zebras).eval_batches("test"))
    for path in (zebras / "testA" / "02.png", zebras / "testB" / "04.png", zebras / "trainB" / "04.png"):
        spoil(path)
    with pytest.raises(DataError, match="cannot be read") as caught:
        take(make(zebras), 0, 3)
    assert caught.value.where == str(zebras / "trainB" / "04.png")
    for num_workers in (0, 1):
        lazy = make(zebras, on_bad_sample="skip", num_workers=num_workers)
        pairs = list(lazy.eval_batches("test"))
        assert [batch["index"].tolist() for batch in pairs] == [[0, 1], [3]]
        assert_same(pairs[:1], whole[:1])
        assert torch.equal(pairs[1]["a"], whole[1]["a"][1:])
        assert torch.equal(pairs[1]["b"], whole[1]["b"][1:])
        assert_same(take(lazy, 0, 9), take(make(zebras, on_bad_sample="skip"), 0, 9))
        assert {len(batch["b"]) for batch in take(lazy, 0, 6)} <= {1, 4}
    assert any("trainB/04.png cannot be read" in message for message in caplog.messages)


def test_a_killed_run_goes_on_exactly(zebras: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = [
        *("task=cyclegan", "model=cyclegan_small", "dataset=unpaired_folders", f"dataset.folder={zebras}"),
        *("dataset.image_size=24", "dataset.memory=lazy", "dataset.num_workers=1", "dataset.num_eval=2"),
        *("trainer.epochs=null", "trainer.steps=3", "trainer.checkpoint.every=1", "trainer.evaluate_every=3"),
        *("trainer=cyclegan", "tracker=none", "hardware.device=cpu", "hardware.threads=1"),
    ]

    check_killed_and_resumed(settings, 2, tmp_path)
