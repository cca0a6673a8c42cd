import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aiexp.errors import ConfigError, DataError, StorageError
from aiexp.source import cache
from aiexp.source import fetch as fetching
from aiexp.source.catalog.entry import Entry
from aiexp.source.fetch import fetch
from tests.source.toy import CONTENT, archive, entry, index_page, serving, tarred, wheel

Add = Callable[[Entry], Entry]


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch):
    """A package index that has the toy's wheel, and is the only one."""
    data = wheel()
    name = archive(data).filename
    pages = {
        "/simple/toy-package/": index_page(name, f"../../files/{name}", None),
        f"/files/{name}": ("b", data),
    }
    with serving(pages) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple/")
        yield server


def assert_is_toy(folder: Path) -> None:
    assert {p: (folder / p).read_bytes() for p in CONTENT} == CONTENT
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert found == {*CONTENT, ".verified.json"}


def leftovers(data_dir: Path) -> list[str]:
    return [p.name for p in data_dir.rglob("*") if p.name.endswith((".part", ".broken", ".whl"))]


def test_fetches_from_the_index_once(index, add_entry: Add, data_dir: Path, capsys) -> None:
    add_entry(entry(archive(wheel())))
    folder = fetch("toy")
    assert_is_toy(folder)
    assert fetch("toy") == folder
    assert len(index.asked) == 2  # the page and the file
    assert leftovers(data_dir) == []
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("bad", [b"", b"not an archive", wheel()[:-1], wheel() + b"x", wheel()[:-1] + b"x"])
def test_wrong_archive_is_not_opened_and_the_next_source_is_used(
    bad: bytes, index, add_entry: Add, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = tarred({f"data/{p}": d for p, d in CONTENT.items()})
    name = archive(wheel()).filename
    index.pages[f"/files/{name}"] = ("b", bad)
    index.pages["/simple/toy-two/"] = index_page("toy-2.tar.gz", "/files/toy-2.tar.gz", None)
    index.pages["/files/toy-2.tar.gz"] = ("b", good)
    opened: list[str] = []
    extract = fetching.extract
    monkeypatch.setattr(
        fetching, "extract", lambda path, *rest: (opened.append(path.name), extract(path, *rest))
    )
    add_entry(
        entry(archive(wheel()), archive(good, package="toy-two", filename="toy-2.tar.gz", folder="data"))
    )
    assert_is_toy(fetch("toy"))
    assert opened == ["toy-2.tar.gz"]
    assert leftovers(data_dir) == []


def test_index_that_announces_another_sha256_is_not_downloaded(index, add_entry: Add) -> None:
    name = archive(wheel()).filename
    index.pages["/simple/toy-package/"] = index_page(name, f"/files/{name}", "0" * 64)
    add_entry(entry(archive(wheel())))
    with pytest.raises(DataError, match="wrong sha256 000000000000"):
        fetch("toy")
    assert f"/files/{name}" not in index.asked


def test_download_that_breaks_off_is_not_used(index, add_entry: Add, data_dir: Path) -> None:
    index.cut_at = 100
    add_entry(entry(archive(wheel())))
    with pytest.raises(DataError, match=r"100 instead of|broke off"):
        fetch("toy")
    assert leftovers(data_dir) == []
    index.cut_at = None
    assert_is_toy(fetch("toy"))


def test_everything_fails_in_one_line_that_says_what_to_do(
    add_entry: Add, data_dir: Path, monkeypatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    npm = archive(wheel(), index="npm", filename="toy-1.tgz")
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.delenv("npm_config_registry", raising=False)
    monkeypatch.delenv("NPM_CONFIG_REGISTRY", raising=False)
    add_entry(entry(archive(wheel()), npm, archive(wheel(), index="debian", filename="toy_1.deb")))
    with pytest.raises(DataError) as caught:
        fetch("toy")
    line = caught.value.line()
    assert caught.value.exit_code == 3
    assert "\n" not in line
    for part in ("127.0.0.1:9/simple/toy-package/ is unreachable", "npm is not installed", "apt-get is not"):
        assert part in line
    assert "aiexp data fetch toy" in line
    assert str(data_dir / "archives") in line
    assert leftovers(data_dir) == []


def test_damaged_cache_is_replaced(index, add_entry: Add) -> None:
    add_entry(entry(archive(wheel())))
    target = fetch("toy") / "words.txt"
    target.write_bytes(b"X" + target.read_bytes()[1:])  # same size
    assert_is_toy(fetch("toy"))


def test_damaged_cache_is_named_when_nothing_replaces_it(index, add_entry: Add) -> None:
    add_entry(entry(archive(wheel())))
    target = fetch("toy") / "words.txt"
    target.write_bytes(b"")
    index.pages.clear()
    with pytest.raises(DataError, match=r"cache: words.txt has 0 bytes instead of 4000.*404"):
        fetch("toy")


def test_touched_but_equal_files_are_verified_again_not_fetched(index, add_entry: Add) -> None:
    add_entry(entry(archive(wheel())))
    folder = fetch("toy")
    os.utime(folder / "words.txt", ns=(1, 1))
    asked = len(index.asked)
    assert fetch("toy") == folder
    assert len(index.asked) == asked


def test_archive_put_by_hand_is_used_offline_and_kept(add_entry: Add, data_dir: Path, monkeypatch) -> None:
    monkeypatch.setenv("AIEXP_OFFLINE", "1")
    source = archive(wheel())
    add_entry(entry(source))
    path = data_dir / "archives" / source.filename
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=f"{source.filename}: has 0 bytes instead of {source.size_bytes}"):
        fetch("toy")
    path.write_bytes(wheel())
    assert_is_toy(fetch("toy"))
    assert path.read_bytes() == wheel()


def test_files_put_by_hand_are_verified(add_entry: Add, data_dir: Path) -> None:
    add_entry(entry())
    folder = data_dir / "archives" / "toy"
    for name, data in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "words.txt").write_bytes(b"X" * 4000)
    with pytest.raises(DataError, match=r"words.txt has the wrong sha256"):
        fetch("toy")
    (folder / "words.txt").write_bytes(CONTENT["words.txt"])
    assert_is_toy(fetch("toy"))


def test_offline_asks_no_server(index, add_entry: Add, monkeypatch) -> None:
    monkeypatch.setenv("AIEXP_OFFLINE", "1")
    add_entry(entry(archive(wheel())))
    with pytest.raises(DataError, match="AIEXP_OFFLINE forbids the network"):
        fetch("toy")
    assert index.asked == []


def test_offline_still_reads_an_index_in_a_folder(add_entry: Add, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("AIEXP_OFFLINE", "1")
    source = archive(wheel())
    (tmp_path / "simple" / "toy-package").mkdir(parents=True)
    (tmp_path / source.filename).write_bytes(wheel())
    (tmp_path / "simple/toy-package/index.html").write_text(f'<a href="../../{source.filename}">x</a>')
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    add_entry(entry(source))
    assert_is_toy(fetch("toy"))


def test_unwritable_data_folder(add_entry: Add, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "file" / "data"))
    add_entry(entry(archive(wheel())))
    with pytest.raises(StorageError, match="AIEXP_DATA_DIR"):
        fetch("toy")


def test_unknown_name_says_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'minilm'") as caught:
        fetch("minlm")
    assert caught.value.exit_code == 2


def fork(action: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            action()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return pid


def test_processes_at_once_share_one_download(index, add_entry: Add) -> None:
    add_entry(entry(archive(wheel())))
    index.before = lambda: time.sleep(0.05)
    children = [fork(lambda: assert_is_toy(fetch("toy"))) for _ in range(4)]
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    assert len(index.asked) == 2


def test_without_locks_the_same_files_arrive(index, add_entry: Add, data_dir: Path, monkeypatch) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    add_entry(entry(archive(wheel())))
    children = [fork(lambda: assert_is_toy(fetch("toy"))) for _ in range(4)]
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    assert leftovers(data_dir) == []


def test_killed_process_leaves_nothing_that_is_used(
    index, add_entry: Add, data_dir: Path, monkeypatch
) -> None:
    add_entry(entry(archive(wheel())))
    install = cache.install
    monkeypatch.setattr(cache, "install", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    pid = fork(lambda: fetch("toy"))
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    assert leftovers(data_dir)
    monkeypatch.setattr(cache, "install", install)
    assert_is_toy(fetch("toy"))
    assert leftovers(data_dir) == []


def test_a_flipped_bit_under_an_old_time_stamp(
    index, add_entry: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small files are hashed at every start; of large ones the size and the time of change are believed."""
    toy = add_entry(entry(archive(wheel())))
    path = fetch("toy") / next(iter(CONTENT))
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not cache.is_complete(toy)
    assert cache.is_complete(toy, is_quick=True), "a list does not read every file"
    monkeypatch.setattr(cache, "HASHED_BYTES", 1)
    assert cache.is_complete(toy)
