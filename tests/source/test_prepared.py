"""Prepared data: made once, whole or not there, whoever asks and whatever kills its maker."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiexp.errors import DataError, StorageError
from aiexp.source import prepared as room
from aiexp.source.prepared import content_of, list_prepared, prepared, remove_prepared
from aiexp.storage.arrays import ArraysWriter

MADE: list[str] = []


@pytest.fixture(autouse=True)
def _data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "data"))
    MADE.clear()


def make(writer: ArraysWriter) -> Mapping[str, Any]:
    MADE.append("once")
    writer.array("numbers", np.int64).append(np.arange(10))
    return {"classes": ["a", "b"]}


def test_it_is_made_once_and_then_opened() -> None:
    first, second = (
        prepared("toys", {"of": 1}, "toys.csv", make),
        prepared("toys", {"of": 1}, "toys.csv", make),
    )
    assert MADE == ["once"]
    assert first.digest == second.digest
    assert second.facts == {"classes": ["a", "b"], "what": "toys.csv"}
    np.testing.assert_array_equal(second["numbers"].between(0, 10), np.arange(10))


def test_another_key_makes_another_one() -> None:
    folders = {prepared("toys", {"of": number}, "toys.csv", make).folder for number in (1, 2, 1)}
    assert len(folders) == len(MADE) == 2


@pytest.mark.parametrize("name", ["numbers.bin", "manifest.json"])
def test_a_damaged_one_is_made_again(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = prepared("toys", {}, "toys.csv", make).folder / name
    path.write_bytes(path.read_bytes()[:-3] + b"xyz")
    again = prepared("toys", {}, "toys.csv", make)
    assert len(MADE) == 2
    assert "prepared again" in capfd.readouterr().err
    np.testing.assert_array_equal(again["numbers"].between(0, 10), np.arange(10))


def test_nothing_is_left_of_one_that_failed() -> None:
    def fail(writer: ArraysWriter) -> Mapping[str, Any]:
        writer.array("numbers", np.int64).append(np.arange(10))
        raise DataError("row 3 is bad")

    with pytest.raises(DataError, match="row 3 is bad"):
        prepared("toys", {}, "toys.csv", fail)
    assert list_prepared() == []
    assert [path for path in room.data_dir().rglob("*.bin")] == []


def test_what_a_killed_one_left_is_removed() -> None:
    def die(writer: ArraysWriter) -> Mapping[str, Any]:
        writer.array("numbers", np.int64).append(np.arange(10))
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    if (child := os.fork()) == 0:
        prepared("toys", {}, "toys.csv", die)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert list(room.data_dir().rglob("*.part"))
    assert list_prepared() == []
    prepared("toys", {}, "toys.csv", make)
    assert not list(room.data_dir().rglob("*.part"))


def test_two_processes_at_once_make_one() -> None:
    started, go_on = os.pipe()

    def slowly(writer: ArraysWriter) -> Mapping[str, Any]:
        os.write(go_on, b"x")
        return make(writer)

    if (child := os.fork()) == 0:
        prepared("toys", {}, "toys.csv", slowly)
        os._exit(0)
    os.read(started, 1)  # the child has the lock, or has finished
    prepared("toys", {}, "toys.csv", make)
    assert os.waitpid(child, 0)[1] == 0
    assert MADE == []
    os.close(started), os.close(go_on)


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(writer: ArraysWriter) -> Mapping[str, Any]:
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="no space left while preparing data") as caught:
        prepared("toys", {}, "toys.csv", fill)
    assert "AIEXP_DATA_DIR" in caught.value.fix


def test_it_can_be_listed_and_removed() -> None:
    name = prepared("toys", {}, "toys.csv", make).folder.name
    (found,) = list_prepared()
    assert (found.name, found.what) == (name, "toys.csv")
    assert found.size_bytes > 80
    assert not remove_prepared("../files")
    assert not remove_prepared("toys-0")
    assert remove_prepared(name)
    assert list_prepared() == []


def test_a_large_file_is_hashed_again_only_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "big.csv"
    path.write_text("one")
    small = content_of(path)
    monkeypatch.setattr(room, "HASHED_BYTES", 0)
    assert content_of(path) == small
    monkeypatch.setattr(room, "sha256_of", lambda path: "hashed again")
    assert content_of(path) == small
    path.write_text("other")
    assert content_of(path) == "hashed again"
