"""Large arrays are saved whole in every checkpoint, and only what changed is written again."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiexp.checkpoint.blocks import Blocks
from aiexp.checkpoint.store import CheckpointStore
from aiexp.errors import CheckpointError
from tests.damage import fit_manifest


def save(store: CheckpointStore, step: int, blocks: Blocks) -> None:
    store.save(step, {}, {"replay": {"rows": blocks, "position": 7}})


def load(store: CheckpointStore, step: int) -> Blocks:
    _, state = store.load(step)
    assert state["replay"]["position"] == 7
    return state["replay"]["rows"]


def inodes(store: CheckpointStore, step: int) -> list[int]:
    return [p.stat().st_ino for p in sorted((store.path(step) / "blocks").iterdir())]


def rows(start: int, count: int) -> Any:
    return np.arange(start, start + count, dtype=np.float32)[:, None] * np.ones(3, np.float32)


def test_only_changed_blocks_are_written(tmp_path: Path) -> None:
    store, blocks = CheckpointStore(tmp_path), Blocks(np.zeros((100, 3), np.float32), 10)
    blocks.write(0, rows(0, 35))
    save(store, 1, blocks)
    assert len(inodes(store, 1)) == 4
    blocks.write(35, rows(35, 10))
    save(store, 2, blocks)
    assert inodes(store, 2)[:3] == inodes(store, 1)[:3], "the first 30 rows were written twice"
    assert inodes(store, 2)[3] != inodes(store, 1)[3]
    assert len(inodes(store, 2)) == 5
    for step, count in ((1, 35), (2, 45)):
        loaded = load(store, step)
        assert loaded.num_rows == count
        np.testing.assert_array_equal(loaded.array[:count], rows(0, count))
        assert not loaded.array[count:].any()


def test_rows_wrap_around_at_the_end(tmp_path: Path) -> None:
    store, blocks = CheckpointStore(tmp_path), Blocks(np.zeros((20, 3), np.float32), 5)
    blocks.write(0, rows(0, 18))
    save(store, 1, blocks)
    blocks.write(18, rows(18, 5))
    save(store, 2, blocks)
    np.testing.assert_array_equal(load(store, 2).array, np.concatenate([rows(20, 3), rows(3, 17)]))
    assert load(store, 1).num_rows == 18
    assert inodes(store, 2)[1:3] == inodes(store, 1)[1:3]


def test_a_resumed_array_goes_on_linking(tmp_path: Path) -> None:
    store, blocks = CheckpointStore(tmp_path), Blocks(np.zeros((40, 3), np.float32), 10)
    blocks.write(0, rows(0, 40))
    save(store, 1, blocks)
    resumed = load(store, 1)
    resumed.write(5, rows(100, 1))
    save(store, 2, resumed)
    assert inodes(store, 2)[1:] == inodes(store, 1)[1:]
    np.testing.assert_array_equal(load(store, 2).array[5], [100, 100, 100])
    np.testing.assert_array_equal(load(store, 1).array[5], [5, 5, 5])


def test_every_checkpoint_is_complete_when_others_are_deleted(tmp_path: Path) -> None:
    store, blocks = CheckpointStore(tmp_path), Blocks(np.zeros((20, 3), np.float32), 5)
    blocks.write(0, rows(0, 20))
    for step in (1, 2, 3):
        save(store, step, blocks)
        store.prune(1, None)
    assert store.steps() == [3]
    np.testing.assert_array_equal(load(store, 3).array, rows(0, 20))
    store.remove(3)
    save(store, 4, blocks)
    np.testing.assert_array_equal(load(store, 4).array, rows(0, 20))


def test_without_hard_links_everything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError

    store, blocks = CheckpointStore(tmp_path), Blocks(np.zeros((20, 3), np.float32), 5)
    blocks.write(0, rows(0, 20))
    save(store, 1, blocks)
    monkeypatch.setattr(os, "link", refuse)
    save(store, 2, blocks)
    assert not set(inodes(store, 2)) & set(inodes(store, 1))
    np.testing.assert_array_equal(load(store, 2).array, rows(0, 20))


@pytest.mark.parametrize("damage", ["flip", "missing", "short"])
def test_a_damaged_block_is_a_damaged_checkpoint(tmp_path: Path, damage: str) -> None:
    store, blocks = CheckpointStore(tmp_path), Blocks(np.zeros((20, 3), np.float32), 5)
    blocks.write(0, rows(0, 20))
    save(store, 1, blocks)
    path = store.path(1) / "blocks" / "0-000002.bin"
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(data if damage == "flip" else data[:-1])
    with pytest.raises(CheckpointError, match="checkpoint file"):
        store.load(1)


def test_a_manifest_cannot_point_outside(tmp_path: Path) -> None:
    store, blocks = CheckpointStore(tmp_path), Blocks(np.zeros((20, 3), np.float32), 5)
    blocks.write(0, rows(0, 5))
    save(store, 1, blocks)
    manifest = store.path(1) / "manifest.json"
    manifest.write_text(manifest.read_text().replace("blocks/0-000000.bin", "blocks/../../secret"))
    with pytest.raises(CheckpointError, match="none of ours"):
        store.load(1)


@pytest.mark.parametrize(
    "claims",
    [
        {"num_rows": 10**15, "shape": [10**15, 3]}, {"num_rows": 5, "shape": [10**15, 3]}, {"shape": [4, 3]},
        {"num_rows": 10**15, "block_rows": 10**15}, {"dtype": "<f8"}, {"dtype": "|O"}, {"shape": []},
        {"shape": [20, 10**18]}, {"shape": [10**19, 3]}, {"num_rows": 4},
    ],
)  # fmt: skip
def test_a_header_that_claims_what_the_files_do_not_hold(tmp_path: Path, claims: dict[str, Any]) -> None:
    store, blocks = CheckpointStore(tmp_path), Blocks(np.zeros((20, 3), np.float32), 5)
    blocks.write(0, rows(0, 5))
    save(store, 1, blocks)
    state = json.loads((store.path(1) / "state.json").read_text())
    state["blocks"][0] |= claims
    (store.path(1) / "state.json").write_text(json.dumps(state))
    fit_manifest(store.path(1))
    with pytest.raises(CheckpointError, match="cannot be read"):
        store.load(1)
