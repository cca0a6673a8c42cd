"""Arrays in a folder: whole or not there, read in parts, and no flipped bit gets out."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from aiexp.errors import DataError
from aiexp.storage import array
from aiexp.storage.array import FileArray, HeldArray
from aiexp.storage.arrays import ArraysWriter, StoredArrays

VALUES = np.random.default_rng(0).integers(0, 1 << 30, 100_000)  # 800 kB in 13 blocks


@pytest.fixture(params=["held", "in a file"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "in a file":
        monkeypatch.setattr(array, "RESIDENT_BYTES", 0)
    with ArraysWriter(tmp_path) as writer:
        for name, dtype in (("numbers", np.int64), ("small", np.int32)):
            growing = writer.array(name, dtype)
            for part in np.split(
                VALUES, [0, 1, 77, 20_000]
            ):  # an empty part, and some that end within a block
                growing.append(part)
        writer.finish({"made": "of nothing"})
    return tmp_path


def test_what_was_written_in_parts_is_read_in_parts(folder: Path) -> None:
    stored = StoredArrays(folder)
    numbers, small = stored["numbers"], stored["small"]
    rows = np.array([99_999, 0, 8191, 8192, 0])
    assert isinstance(numbers, FileArray if array.RESIDENT_BYTES == 0 else HeldArray)
    assert stored.facts == {"made": "of nothing"}
    assert len(numbers) == len(VALUES)
    np.testing.assert_array_equal(numbers[rows], VALUES[rows])
    np.testing.assert_array_equal(small[rows], VALUES[rows])
    np.testing.assert_array_equal(numbers.between(8000, 60_000), VALUES[8000:60_000])
    np.testing.assert_array_equal(numbers.between(99_990, 200_000), VALUES[99_990:])
    starts, lengths = np.array([5, 99_000, 3, 10_000]), np.array([3, 1000, 0, 40_000])
    expected = np.concatenate([VALUES[a : a + n] for a, n in zip(starts, lengths, strict=True)])
    np.testing.assert_array_equal(numbers.slices(starts, lengths), expected)


def test_an_array_goes_to_another_process(folder: Path) -> None:
    numbers = StoredArrays(folder)["numbers"]
    copied = pickle.loads(pickle.dumps(numbers))
    np.testing.assert_array_equal(copied.between(0, 10), VALUES[:10])


@pytest.mark.parametrize("place", [0, 65_535, 65_536, 400_000, 799_999])
def test_a_flipped_bit_is_noticed_by_whoever_reads_it(folder: Path, place: int) -> None:
    path = folder / "numbers.bin"
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a disk flips it
    with pytest.raises(DataError, match=r"numbers\.bin"):
        StoredArrays(folder)["numbers"][np.array([place // 8])]


def test_a_flipped_bit_between_the_ends_of_a_stretch_is_noticed(folder: Path) -> None:
    path = folder / "numbers.bin"
    data = bytearray(path.read_bytes())
    data[300_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"numbers\.bin"):
        StoredArrays(folder)["numbers"].slices(np.array([0]), np.array([100_000]))


def test_a_file_cut_short_or_missing_is_noticed(folder: Path) -> None:
    os.truncate(folder / "numbers.bin", 799_992)
    (folder / "small.bin").unlink()
    for name in ("numbers", "small"):
        with pytest.raises(DataError, match="missing or has another size"):
            StoredArrays(folder)[name]


def test_a_folder_without_its_manifest_is_not_there(tmp_path: Path) -> None:
    with ArraysWriter(tmp_path) as writer:
        writer.array("numbers", np.int64).append(VALUES)
    with pytest.raises(DataError, match=r"manifest\.json is missing"):
        StoredArrays(tmp_path)


def test_a_file_cut_short_while_it_is_open_is_an_error(folder: Path) -> None:
    numbers = StoredArrays(folder)["numbers"]
    if isinstance(numbers, HeldArray):
        pytest.skip("a held array has been read")
    os.truncate(folder / "numbers.bin", 500_000)
    np.testing.assert_array_equal(numbers.between(0, 10), VALUES[:10])
    with pytest.raises(DataError, match="was cut short"):
        numbers.between(90_000, 90_010)
