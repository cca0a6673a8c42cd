"""Pictures in tar, zip and Parquet shards; every shard is generated here."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from aiexp.dataset.image.shards import find_shards
from aiexp.errors import DataError
from tests.dataset.image.shards import (
    CLASSES,
    COUNT,
    assert_same,
    make,
    numbers,
    picture,
    samples,
    take,
    tars,
    write_tar,
)


def test_every_picture_with_its_class(files: str) -> None:
    dataset = make(files)
    assert dataset.class_names == (["0", "1"] if files.endswith(".tar") else CLASSES)
    batches = list(dataset.eval_batches("train"))
    assert sorted(i for batch in batches for i in numbers(batch["images"])) == list(range(COUNT))
    for batch in batches:
        assert batch["labels"].tolist() == [i % 2 for i in numbers(batch["images"])]
    assert len(set(dataset.names("train"))) == COUNT


def test_lazy_resident_and_workers_make_the_same_batches(files: str) -> None:
    lazy, held, worked = make(files), make(files, memory="resident"), make(files, num_workers=2)
    assert_same(take(lazy, 0, 7), take(held, 0, 7))
    assert_same(take(lazy, 2, 5), take(worked, 2, 5))
    assert lazy.fingerprint() == held.fingerprint() == worked.fingerprint()


def test_shards_are_read_through_once(files: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(files)
    with monkeypatch.context() as patch:
        for name in ("ShardIndex", "copy_parquet"):
            patch.setattr(f"aiexp.dataset.image.shards.{name}", None)
        assert make(files, eval_fraction=0.25, batch_size=3).num_examples("eval") == 6
        assert make(files).fingerprint() == first.fingerprint()


def test_parts_and_files_of_their_own(files: str) -> None:
    dataset = make(files, eval_fraction=0.25, test_fraction=0.25)
    assert [dataset.num_examples(split) for split in ("train", "eval", "test")] == [12, 6, 6]
    assert np.bincount(dataset.labels("eval").numpy()).tolist() == [3, 3]
    one = find_shards(files, "train_files")[0]
    assert make(files, test_files=str(one)).num_examples("test") == 8


def test_class_names_are_given_names_or_positions(tmp_path: Path) -> None:
    assert make(tars(tmp_path), class_names=["no", "yes"]).class_names == ["no", "yes"]
    path = write_tar(tmp_path / "named.tar", samples(range(9), lambda i: ("dog", "cat", "owl")[i % 3]))
    assert make(path).class_names == ["cat", "dog", "owl"]
    assert make(path, class_names=["owl", "dog", "cat"]).labels("train")[:3].tolist() == [1, 2, 0]
    with pytest.raises(DataError, match="'owl' is not a class: they are dog, cat"):
        make(path, class_names=["dog", "cat"])
    with pytest.raises(DataError, match="'dog' is not a class"):
        make(tars(tmp_path), test_files=str(path))
    mixed = write_tar(tmp_path / "mixed.tar", samples(range(9), lambda i: ("dog", "7")[i % 2]))
    with pytest.raises(DataError, match="classes are numbers and names"):
        make(mixed)


def test_patterns(tmp_path: Path) -> None:
    for name in ("a-08.tar", "a-09.tar", "a-10.tar", "b.tar", "x.txt", "c.tar.gz", "d.zip"):
        (tmp_path / name).touch()

    def found(pattern: str) -> list[str]:
        return [path.name for path in find_shards(f"{tmp_path}/{pattern}", "train_files")]

    assert found("b.tar") == ["b.tar"]
    assert found("a-{08..10}.tar") == found("a-*.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert found("{b,a-10}.t{a}r") == ["b.tar", "a-10.tar"]
    for pattern, message in {
        "a-{08..11}.tar": "no such file: .*a-11.tar",
        "z*.tar": "no such file: .*z",
        "{a-09..b}.tar": "no such file",
        "a-{1..0}.tar": "means 0 files",
        "a-{0..99999999999}.tar": "means 100,000,000,000 files",
        "x.txt": "x.txt is no shard",
        "c.tar.gz": "c.tar.gz is compressed",
        "{b.tar,d.zip}": "shards of several kinds",
    }.items():
        with pytest.raises(DataError, match=message) as caught:
            found(pattern)
        assert caught.value.where == "train_files"
        assert caught.value.fix


def test_odd_members_of_a_tar_are_left_out(tmp_path: Path) -> None:
    members = samples(range(4))
    path = write_tar(tmp_path / "train.tar", members)
    with tarfile.open(path, "a") as archive:
        for name, kind in (
            ("9.png", tarfile.SYMTYPE),
            ("8.png", tarfile.LNKTYPE),
            ("7.png", tarfile.FIFOTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name in ("._0001.png", "__MACOSX/6.png"):
            archive.addfile(tarfile.TarInfo(name))
        long = tarfile.TarInfo("../" * 40 + "long" * 30 + ".png")
        long.size = len(picture(5))
        archive.addfile(long, io.BytesIO(picture(5)))
        label = tarfile.TarInfo("../" * 40 + "long" * 30 + ".cls")
        label.size = 1
        archive.addfile(label, io.BytesIO(b"1"))
    before = sorted(tmp_path.rglob("*"))
    dataset = make(path)
    assert sorted(numbers(next(dataset.eval_batches("train"))["images"])) == [0, 1, 2, 3, 5]
    assert [p for p in sorted(tmp_path.rglob("*")) if "data" not in str(p)] == before, "nothing is unpacked"


def test_plain_bytes_in_parquet(tmp_path: Path) -> None:
    table = pa.table({"jpg": [picture(i) for i in range(6)], "kind": ["a", "b"] * 3})
    pq.write_table(table, tmp_path / "x.parquet")
    dataset = make(tmp_path / "x.parquet", image_column="jpg", label_column="kind")
    assert dataset.class_names == ["a", "b"]
    assert numbers(dataset.images("train")[torch.arange(6)]) == list(range(6))
