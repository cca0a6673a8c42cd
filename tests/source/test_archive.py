from collections.abc import Callable
from pathlib import Path

import pytest

from aiexp.source.archive import extract
from aiexp.source.failure import SourceFailed
from tests.source.toy import CONTENT, PICTURES, debian, entry, tarred, tree, zipped

PLACED = {f"a/b/{name}": data for name, data in CONTENT.items()}


def unpack(data: bytes, tmp_path: Path, inside: tuple[str, ...] = (), folder: str = "a/b", **changes) -> Path:
    (tmp_path / "archive").write_bytes(data)
    target = tmp_path / "target"
    target.mkdir()
    extract(tmp_path / "archive", inside, folder, entry(**changes), target)
    return target


@pytest.mark.parametrize(
    "pack",
    [
        zipped,
        tarred,
        debian,
        lambda c: tarred(c, "w:xz"),
        lambda c: tarred(c, "w:bz2"),
        lambda c: tarred(c, "w"),
    ],
)
def test_reads_every_kind(pack: Callable[[dict[str, bytes]], bytes], tmp_path: Path) -> None:
    target = unpack(pack({**PLACED, "a/b/other": b"not wanted"}), tmp_path)
    assert {
        p.relative_to(target).as_posix(): p.read_bytes() for p in target.rglob("*") if p.is_file()
    } == CONTENT


def test_reads_an_archive_in_an_archive_in_an_archive(tmp_path: Path) -> None:
    inner = zipped({"x/middle.tar.gz": tarred({"inner.zip": zipped(PLACED)})})
    target = unpack(inner, tmp_path, inside=("x/middle.tar.gz", "inner.zip"))
    assert sorted(p.name for p in target.iterdir()) == ["deep", "words.txt"]
    assert (tmp_path / "archive").exists()


def test_reads_a_folder_of_many_files(tmp_path: Path) -> None:
    content = {
        **PLACED,
        **{f"a/b/pictures/{n}": d for n, d in PICTURES.items()},
        "a/b/pictures/deep/x.png": b"",
    }
    target = unpack(tarred(content), tmp_path, trees=(tree(),))
    assert {p.name: p.read_bytes() for p in (target / "pictures").iterdir()} == PICTURES


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/b/../../../evil", "a\\..\\evil"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_refuses_unsafe_paths(name: str, pack: Callable[[dict[str, bytes]], bytes], tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="unsafe path"):
        unpack(pack({name: b"x", **PLACED}), tmp_path)
    assert not list(tmp_path.rglob("evil"))


def test_refuses_links(tmp_path: Path) -> None:
    data = tarred(
        {"a/b/deep/numbers.bin": CONTENT["deep/numbers.bin"]}, links={"a/b/words.txt": "/etc/hosts"}
    )
    with pytest.raises(SourceFailed, match=r"a/b/words.txt is not a regular file"):
        unpack(data, tmp_path)


def test_stops_at_the_expected_size(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="larger than 4000 bytes"):
        unpack(zipped({**PLACED, "a/b/words.txt": b"0" * 50_000_000}), tmp_path)
    assert sum(p.stat().st_size for p in (tmp_path / "target").rglob("*") if p.is_file()) < 20_000


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cannot be read"),
        (b"PK\x03\x04 nonsense", "cannot be read"),
        (tarred(PLACED)[:-30], "cannot be read"),
        (b"!<arch>\nshort", "no data.tar"),
        (zipped({"a/b/words.txt": b""}), r"lacks a/b/deep/numbers.bin"),
    ],
)
def test_damaged_archives_say_so(data: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match=reason):
        unpack(data, tmp_path)
