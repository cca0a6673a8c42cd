"""Data sets that torchvision has: its files on this machine, or its own download.

Only CIFAR-10 needs torchvision itself to be read: its files are pickles, which torchvision opens after
checking their md5. Whatever is read becomes the files of the catalog entry, whose sha256 `fetch` checks.
"""

import contextlib
import io
import os
import shutil
import socket
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from aiexp.errors import reason_of
from aiexp.source.cache import data_dir
from aiexp.source.catalog.entry import Entry, Torchvision
from aiexp.source.convert import write_cifar
from aiexp.source.download import TIMEOUT_SECONDS, is_offline
from aiexp.source.failure import SourceFailed
from aiexp.source.probe import why_silent
from aiexp.text.terminal import say

# Folder of each data set below torchvision's `root`.
_FOLDERS = {"MNIST": "MNIST/raw", "FashionMNIST": "FashionMNIST/raw", "CIFAR10": "cifar-10-batches-py"}
_BATCH = 10_000


def usual_roots() -> list[Path]:
    """Where people keep torchvision's files; its own `root`s.

    They are `torchvision` in the data folder, `data` where the program was started (torchvision's examples
    use it), and `datasets` in torch's own cache (`$TORCH_HOME`).
    """
    xdg = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    torch_home = Path(os.environ.get("TORCH_HOME") or Path(xdg) / "torch").expanduser()
    return [data_dir() / "torchvision", Path("data").absolute(), torch_home / "datasets"]


def local_roots(source: Torchvision) -> list[Path]:
    """Those of the usual roots that have files of this data set."""
    return [root for root in usual_roots() if (root / _FOLDERS[source.dataset]).is_dir()]


def read_files(source: Torchvision, root: Path, entry: Entry, target: Path) -> None:
    """Writes the files of `entry` from torchvision's into the folder `target`; the caller verifies them.

    Raises:
        SourceFailed: a file is missing or damaged, or torchvision is needed and not installed.
    """
    folder = root / _FOLDERS[source.dataset]
    if source.dataset == "CIFAR10":
        return _read_cifar(root, target)
    for file in entry.files:
        if not (folder / file.path).is_file():
            raise SourceFailed(f"{folder / file.path} is missing")
        shutil.copyfile(folder / file.path, target / file.path)


def download_files(source: Torchvision, entry: Entry, target: Path) -> None:
    """Lets torchvision download, then reads its files into the folder `target` and removes them.

    Raises:
        SourceFailed: not installed, forbidden, or its servers do not answer.
    """
    if is_offline():
        raise SourceFailed("AIEXP_OFFLINE forbids the network")
    dataset = getattr(_torchvision(), source.dataset)
    servers = [dataset.url] if source.dataset == "CIFAR10" else list(dataset.mirrors)
    problems = [why_silent(str(server)) for server in servers]
    if all(problems):
        raise SourceFailed(f"its server {problems[0]}")
    root = target / ".torchvision"
    try:
        say(f"torchvision downloads {source.dataset}")
        with bounded_download():
            dataset(str(root), download=True)
    except Exception as error:  # urllib, tarfile and torchvision raise what they like; all mean "next source"
        raise SourceFailed(f"torchvision: {reason_of(error)}") from None
    read_files(source, root, entry, target)
    shutil.rmtree(root)


@contextlib.contextmanager
def bounded_download() -> Generator[None, None, None]:
    """Torchvision's requests get a timeout, which they lack; its messages go to a terminal or nowhere."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        shown = sys.stderr if sys.stderr.isatty() else io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
            yield
    finally:
        socket.setdefaulttimeout(before)


def _read_cifar(root: Path, target: Path) -> None:
    """Through torchvision's class, which checks the md5 of every pickle before it opens one."""
    import numpy as np

    for part, is_train in (("train", True), ("t10k", False)):
        try:
            dataset = _torchvision().CIFAR10(str(root), train=is_train, download=False)
        except Exception as error:  # pickle raises anything; torchvision a RuntimeError
            raise SourceFailed(str(error).split(". You can")[0]) from None
        pixels = dataset.data  # (N, H, W, C) uint8

        def parts(pixels: Any = pixels) -> Iterator[bytes]:
            for start in range(0, len(pixels), _BATCH):
                yield np.ascontiguousarray(pixels[start : start + _BATCH].transpose(0, 3, 1, 2)).tobytes()

        write_cifar(target, part, parts(), bytes(dataset.targets))


def _torchvision() -> ModuleType:
    """torchvision.datasets, which takes seconds to import.

    Raises:
        SourceFailed: not installed.
    """
    try:
        from torchvision import datasets
    except ImportError as error:
        raise SourceFailed(f"torchvision cannot be imported: {error}") from None
    return datasets
