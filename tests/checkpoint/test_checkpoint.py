"""A checkpoint is whole or it is not one."""

import errno
import os
import resource
import signal
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from aiexp.checkpoint.manifest import FORMAT, OtherFormatError
from aiexp.checkpoint.state import join, split
from aiexp.checkpoint.store import CheckpointStore
from aiexp.checkpoint.tensors import read_safetensors, write_safetensors
from aiexp.errors import CheckpointError, StorageError
from tests.forks import in_fork

FILES = ["model.safetensors", "training.safetensors", "state.json", "manifest.json"]


def make(folder: Path, steps: tuple[int, ...] = (1, 2)) -> CheckpointStore:
    store = CheckpointStore(folder / "checkpoints")
    for step in steps:
        store.save(step, {"w": torch.full((40, 3), float(step))}, {"step": step, "moment": torch.ones(5)})
    return store


def test_saved_and_loaded_values_are_equal(tmp_path: Path) -> None:
    training = {
        "int keys": {0: {"step": torch.tensor(3.0)}, 1: (1, 2.5, None)},
        "array": np.arange(4, dtype=np.uint32),
        "big": 2**100,
        "floats": [0.1, float("inf")],
        "empty": torch.zeros(0),
        "bool": torch.tensor([True, False]),
        "half": torch.ones(3, dtype=torch.bfloat16),
    }
    store = CheckpointStore(tmp_path)
    store.save(7, {"a": torch.arange(3), "b": torch.rand(2, 2).t()}, training)
    model, loaded = store.load(7)
    assert torch.equal(model["a"], torch.arange(3))
    assert loaded["int keys"][1] == (1, 2.5, None)
    assert loaded["big"] == 2**100
    assert loaded["floats"] == training["floats"]
    np.testing.assert_array_equal(loaded["array"], training["array"])
    for key in ("empty", "bool", "half"):
        assert torch.equal(loaded[key], training[key])
        assert loaded[key].dtype == training[key].dtype


def test_the_library_reads_our_safetensors(tmp_path: Path) -> None:
    tensors = {"flag": torch.tensor([True]), "x": torch.randn(3, 5), "half": torch.randn(7).half()}
    write_safetensors(tmp_path / "x.safetensors", tensors)
    read = load_file(tmp_path / "x.safetensors")
    assert all(torch.equal(read[k], v) for k, v in tensors.items())
    write_safetensors(tmp_path / "none.safetensors", {})
    assert read_safetensors(tmp_path / "none.safetensors") == {}


def test_tied_tensors_are_stored_once(tmp_path: Path) -> None:
    tied = torch.randn(1000)
    skeleton, tensors, _ = split({"a": tied, "b": tied})
    assert len(tensors) == 1
    assert torch.equal(join(skeleton, tensors)["b"], tied)


def test_state_refuses_what_would_need_pickle() -> None:
    with pytest.raises(TypeError, match="state at '/x' is a object"):
        split({"x": object()})


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "missing", "text"])
def test_damage_is_noticed_and_the_previous_one_serves(tmp_path: Path, name: str, damage: str) -> None:
    store = make(tmp_path)
    path = store.path(2) / name
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "flip":
        # In the manifest a digit of a sha256: of its other bits some (a blank, the step) mean nothing.
        place = data.index(b'"sha256": "') + 20 if name == "manifest.json" else len(data) // 2
        data[place] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes({"truncate": data[:-1], "empty": b"", "text": b"<html>not found</html>"}[damage])
    with pytest.raises(CheckpointError) as caught:
        store.load(2)
    assert str(store.path(2)) in caught.value.where
    step, problems = store.newest_valid()
    assert step == 1
    assert len(problems) == 1
    store.set_apart(2)
    assert store.steps() == [1]


def test_a_bit_flipped_anywhere_is_noticed(tmp_path: Path) -> None:
    store = make(tmp_path)
    path = store.path(2) / "model.safetensors"
    original = path.read_bytes()
    for offset in np.random.default_rng(0).integers(len(original), size=20):
        data = bytearray(original)
        data[offset] ^= 4
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match="damaged"):
            store.verify(2)


@pytest.mark.parametrize(("number", "fix"), [(99, "update aiexp"), (1, "the aiexp that wrote it")])
def test_another_format_is_refused_and_left_alone(tmp_path: Path, number: int, fix: str) -> None:
    store = make(tmp_path)
    path = store.path(2) / "manifest.json"
    text = path.read_text()
    path.write_text(text.replace(f'"format": {FORMAT}', f'"format": {number}'))
    assert path.read_text() != text
    for action in (lambda: store.load(2), store.newest_valid):
        with pytest.raises(OtherFormatError, match=f"format {number}.*{fix}"):
            action()


def test_a_full_disk_leaves_the_older_checkpoint(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes the kernel refuse the write in the middle, as a full disk does."""
    store = make(tmp_path, (1,))

    def write_too_much() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        store.save(2, {"w": torch.zeros(100_000)}, {})

    ended = in_fork(write_too_much, tmp_path)
    assert ended.code == 8
    assert ended.stderr.count("\n") == 1
    assert "a file may not grow any more while writing the checkpoint of step 2" in ended.stderr
    assert store.newest_valid() == (1, [])
    assert [p.name for p in store.directory.iterdir()] == ["step-00000001"]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EIO])
def test_storage_errors_are_one_line(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(tmp_path, (1,))

    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("aiexp.checkpoint.store.os.rename", refuse)
    with pytest.raises(StorageError) as caught:
        store.save(2, {"w": torch.zeros(3)}, {})
    assert caught.value.exit_code == 8
    assert len(caught.value.lines()) == 1
    monkeypatch.undo()
    assert store.newest_valid() == (1, [])


def test_replacing_a_checkpoint_never_leaves_none(tmp_path: Path) -> None:
    """Killed at the n-th rename or delete of a second save of the same step."""
    for count in range(1, 12):
        (tmp_path / str(count)).mkdir()
        store = make(tmp_path / str(count), (1,))

        def dying(store: CheckpointStore = store, count: int = count) -> None:
            left = [count]
            for name in ("rename", "rmdir", "unlink", "fsync"):
                original = getattr(os, name)

                def counted(*args: Any, original: Any = original, **kwargs: Any) -> Any:
                    left[0] -= 1
                    if left[0] == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return original(*args, **kwargs)

                setattr(os, name, counted)
            store.save(1, {"w": torch.zeros(3)}, {"again": True})

        code = in_fork(dying, tmp_path).code
        store.clean()
        assert store.newest_valid() == (1, []), f"killed at operation {count}"
    assert code == 0 or count == 11


def test_modes_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        store = make(tmp_path, (1,))
    finally:
        os.umask(before)
    for name in FILES:
        assert stat.S_IMODE((store.path(1) / name).stat().st_mode) == 0o640


def test_pruning_keeps_the_newest_and_the_best(tmp_path: Path) -> None:
    store = make(tmp_path, (1, 2, 3, 4, 5))
    store.prune(2, best=1)
    assert store.steps() == [1, 4, 5]


def test_leftovers_are_not_checkpoints_and_go(tmp_path: Path) -> None:
    store = make(tmp_path, (1,))
    for name in (".tmp-step-00000009", ".trash-step-00000008"):
        (store.directory / name).mkdir()
        (store.directory / name / "model.safetensors").write_bytes(b"x")
    assert store.steps() == [1]
    store.clean()
    assert [p.name for p in store.directory.iterdir()] == ["step-00000001"]


def test_order_of_durability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are synced before the rename, the directory after it (power loss)."""
    events: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noting_fsync(handle: int) -> None:
        events.append("sync " + Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        fsync(handle)

    def noting_rename(source: Any, target: Any) -> None:
        events.append(f"rename {Path(target).name}")
        rename(source, target)

    monkeypatch.setattr("aiexp.checkpoint.store.os.fsync", noting_fsync)
    monkeypatch.setattr("aiexp.checkpoint.store.os.rename", noting_rename)
    make(tmp_path, (1,))
    assert events == [
        *(f"sync {name}" for name in FILES),
        "sync .tmp-step-00000001",
        "rename step-00000001",
        "sync checkpoints",
    ]
