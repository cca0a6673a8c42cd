"""Shards that cannot be used, as a whole or in part, are named; every shard is generated here."""

import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiexp.dataset.image import shard_index
from aiexp.dataset.image.shards import find_shards
from aiexp.errors import AiexpError, ConfigError, DataError
from tests.dataset.image import shards
from tests.dataset.image.shards import (
    COUNT,
    KINDS,
    make,
    parquets,
    picture,
    samples,
    take,
    tars,
    write_tar,
    zips,
)


def test_a_compressed_archive_is_refused_with_what_to_type(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "train.tar", samples(range(4)), "w:gz")
    with pytest.raises(DataError, match="cannot be read at random") as caught:
        make(path)
    assert caught.value.fix == f"gunzip {path}"


def damaged(name: str, tmp_path: Path) -> Path:
    path = write_tar(tmp_path / "train.tar", samples(range(4)))
    data = bytearray(path.read_bytes())
    if name == "cut within a member":
        data = data[:700]
    elif name == "cut after a header":
        data = data[: 512 * 3 + 100]
    elif name == "a header":
        with tarfile.open(path) as archive:
            place = archive.getmembers()[4].offset
        data[place : place + 100] = b"\xff" * 100
    elif name == "no tar":
        data = bytearray(b"x" * 2000)
    else:
        data = bytearray()
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize("name", ["cut within a member", "cut after a header", "a header", "no tar", "empty"])
def test_a_damaged_tar_is_named(name: str, tmp_path: Path) -> None:
    path = damaged(name, tmp_path)
    with pytest.raises(DataError) as caught:
        make(path)
    assert str(path) in caught.value.where
    assert "\n" not in caught.value.line()


def test_a_damaged_zip_is_named(tmp_path: Path) -> None:
    zips(tmp_path)
    path = tmp_path / "train0.zip"
    whole = path.read_bytes()
    for data in (whole[: len(whole) // 2], b"x" * 99, whole[:4] + whole[200:], b""):
        path.write_bytes(data)
        with pytest.raises(DataError, match="the shard is damaged") as caught:
            make(path)
        assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("1.png", picture(1))], "a picture has no class"),
        ([("1.png", picture(1)), ("2.cls", b"1")], "a picture has no class"),
        ([("1.png", picture(1)), ("1.cls", b"")], "a picture has no class"),
        ([("1.png", picture(1)), ("1.json", b"{")], "a picture has no class"),
        ([("1.png", picture(1)), ("1.json", b'{"label": true}')], "a picture has no class"),
        ([("1.png", picture(1)), ("1.json", b"[" * 100_000)], "a picture has no class"),
        ([("1.a.png", picture(1)), ("1.b.png", picture(2)), ("1.cls", b"1")], "a sample has 2 pictures"),
        ([("1.txt", b"hello")], "there are no pictures in the shards"),
    ],
)
def test_samples_that_cannot_be_used(members: list[tuple[str, bytes]], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as caught:
        make(write_tar(tmp_path / "train.tar", members))
    assert str(tmp_path / "train.tar") in caught.value.where


def test_zips_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    for name, kind, message in (
        ("1.png", zipfile.ZIP_STORED, "lies in no class folder"),
        ("a/1.png", zipfile.ZIP_LZMA, "packed in a way that is not read"),
    ):
        with zipfile.ZipFile(path, "w", kind) as archive:
            archive.writestr(name, picture(1))
        with pytest.raises(DataError, match=message) as caught:
            make(path)
        assert caught.value.where == f"{path}: {name}"


def test_parquet_files_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(ConfigError, match="has no column 'labels': they are label, image, other") as caught:
        make(parquets(tmp_path), label_column="labels")
    assert caught.value.where == "label_column"
    cases: list[tuple[Any, Any, str]] = [
        ([{"bytes": None, "path": "/x/1.png"}], [1], "only names a file"),
        ([None], [1], "has no bytes"),
        ([picture(1)], [None], "the class is None"),
        ([picture(1)], [0.5], "the class is 0.5"),
        (["text"], [1], "has no bytes"),
    ]
    for cells, labels, message in cases:
        pq.write_table(pa.table({"image": cells, "label": labels}), path)
        with pytest.raises(DataError, match=message) as found:
            make(path)
        assert found.value.where == f"{path}: row 0"
    path.write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="the Parquet file cannot be read"):
        make(path)


@pytest.mark.parametrize("on_bad_sample", ["error", "skip"])
def test_a_shard_that_changes_during_a_run_stops_it(tmp_path: Path, on_bad_sample: str) -> None:
    for write in (tars, zips):
        for how in ("changed", "gone"):
            files = write(tmp_path)
            dataset = make(files, on_bad_sample=on_bad_sample)
            path = find_shards(files, "train_files")[1]
            path.write_bytes(path.read_bytes() + b"\0") if how == "changed" else path.unlink()
            with pytest.raises(DataError, match=f"{how} since this run looked at it") as caught:
                take(dataset, 0, 3)
            assert caught.value.where.startswith(f"{path}: ")
            assert caught.value.where.endswith(".png")


def test_a_bad_picture_in_a_shard_is_named_or_left_out(
    files: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{shards.__name__}.picture", lambda i: b"no picture" if i == 9 else picture(i))
    kind = Path(files).suffix[1:]
    KINDS[kind](Path(files).parent)
    with pytest.raises(DataError, match="it is not a picture") as caught:
        make(files)
    assert "0009.png" in caught.value.where or "row 1" in caught.value.where
    assert find_shards(files, "train_files")[1].name in caught.value.where
    dataset = make(files, on_bad_sample="skip")
    assert dataset.num_examples("train") == COUNT - 1
    assert "1 of 24 pictures left out" in caplog.text


def test_a_zip_bomb_is_refused_before_it_is_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_index, "MAX_BYTES", 100_000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.png", bytes(200_000))
    with pytest.raises(DataError, match="a picture has 200,000 bytes"):
        make(tmp_path / "x.zip")


def test_a_member_inflates_to_no_more_than_it_says(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.png", bytes(200_000))
    index = shard_index.ShardIndex([tmp_path / "x.zip"])(0)
    _, offset, length, inflated = index["where"][0].tolist()
    stat = os.stat(tmp_path / "x.zip")
    member = shard_index.Member(
        str(tmp_path / "x.zip"), "a/1.png", (stat.st_size, stat.st_mtime_ns), offset, length, 1000
    )
    assert (inflated, len(member.read()), len(member.read(0, 10))) == (200_000, 1000, 10)


def test_errors_are_the_users(tmp_path: Path) -> None:
    with pytest.raises(AiexpError) as caught:
        make(tmp_path / "none.tar")
    assert caught.value.exit_code == 3
