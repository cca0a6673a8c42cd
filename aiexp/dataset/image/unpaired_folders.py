"""The user's own pictures of two kinds: folders trainA and trainB, perhaps testA and testB."""

from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.image.file import find_images, is_hidden
from aiexp.dataset.image.folder import FolderPictures
from aiexp.dataset.image.labelled import Collection, Decoding, Part, decoded
from aiexp.dataset.image.picture import NamesWriter
from aiexp.dataset.image.unpaired import Side, Sides, UnpairedBatching, UnpairedDataset, first_by_hash
from aiexp.errors import ConfigError, DataError
from aiexp.ranges import NonNegativeInt

_WANTED = ("trainA", "trainB", "testA", "testB")


class UnpairedPictures(UnpairedBatching, Decoding):
    """Arguments of unpaired pictures in files."""


def unpaired_folders(
    *, folder: str, num_eval: NonNegativeInt, **batching: Unpack[UnpairedPictures]
) -> UnpairedDataset:
    """Training pictures of trainA and trainB, test pictures of testA and testB.

    Test pictures are paired by position in the order of their names and end with the shorter side; nobody
    says that such a pair shows the same thing (`aligned` is false). Validation pictures are cut off the
    training folders: those with the lowest sha256 of their names, never the test pictures.

    Args:
        folder: Has the sub-folders, in upper or lower case; each may have sub-folders of its own.
        num_eval: Pictures of each training folder held out for validation, 0 for none.
        batching: See `UnpairedBatching` and `Decoding`.

    Raises:
        DataError: a folder is missing or has no pictures, or a picture cannot be read.
        ConfigError: more are held out than there are.
        MemoryFullError: the pictures do not fit into memory.
    """
    root = Path(folder).expanduser()
    parts = _parts(root, num_eval)
    if (limit := batching["limit"]) is not None:
        parts = {name: part.at(_first(part, limit)) for name, part in parts.items()}
    images = decoded(parts, folder, batching)
    sides = {
        name: Side(images=found.images, names=found.names or [], digests=found.digests)
        for name, found in images.items()
    }
    shared: Any = {key: batching[key] for key in UnpairedBatching.__annotations__}
    return UnpairedDataset(
        splits={
            split: Sides(a=sides[f"{split}A"], b=sides[f"{split}B"])
            for split in ("train", "eval", "test")
            if f"{split}A" in sides
        },
        aligned=False,
        source=folder,
        **shared,
    )


def _parts(root: Path, num_eval: int) -> dict[str, Part]:
    """The pictures of trainA, trainB and, where they exist, evalA, evalB, testA and testB."""
    parts = {name: _pictures(path, root, name) for name, path in _folders(root).items()}
    if num_eval:
        for side in "AB":
            train = parts[f"train{side}"]
            if num_eval >= len(train):
                raise ConfigError(
                    f"num_eval is {num_eval}, but train{side} has {len(train)} pictures",
                    where="num_eval", fix=f"a number below {len(train)}",
                )  # fmt: skip
            held_out = _first(train, num_eval)
            parts[f"eval{side}"] = train.at(held_out)
            parts[f"train{side}"] = train.at(np.delete(np.arange(len(train)), held_out))
    return parts


def _folders(root: Path) -> dict[str, Path]:
    """The sub-folders by what they are for, whatever the case of their names."""
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise DataError(
            f"{root} {what}", where="folder",
            fix="folder=<folder with trainA and trainB>",
        )  # fmt: skip
    found: dict[str, Path] = {}
    below = sorted(path for path in root.iterdir() if path.is_dir() and not is_hidden(path.name))
    for path in below:
        for wanted in _WANTED:
            if path.name.lower() == wanted.lower():
                if wanted in found:
                    raise DataError(
                        f"{found[wanted].name} and {path.name} are both there", where=str(root),
                        fix="keep one of them",
                    )  # fmt: skip
                found[wanted] = path
    needed = [wanted for wanted in _WANTED if wanted.startswith("train") or len(found.keys() & _TEST) == 1]
    if missing := [wanted for wanted in needed if wanted not in found]:
        others = ", ".join(path.name for path in below[:8])
        raise DataError(
            f"{root} has no {' and no '.join(missing)}{f', only {others}' if others else ''}",
            where="folder",
            fix=f"make the folder {missing[0]} with pictures of side {missing[0][-1]}",
        )  # fmt: skip
    return found


_TEST = frozenset(("testA", "testB"))


def _pictures(folder: Path, root: Path, name: str) -> Part:
    """All pictures of a sub-folder, with their paths below `root` as names."""
    paths = find_images(folder)
    if not paths:
        raise DataError(
            f"{folder.name} has no pictures", where=str(root), fix="put PNG or JPEG files into it"
        )
    names = NamesWriter()
    for path in paths:
        names.add(path.relative_to(root).as_posix())
    found = [path.stat() for path in paths]
    stamps = np.array([(status.st_size, status.st_mtime_ns) for status in found], np.int64)
    listed = names.finish()
    collection = Collection(
        pictures=FolderPictures(str(root), listed, stamps),
        names=listed,
        stamps=stamps,
        source=f"{root} ({name})",
    )
    rows = np.arange(len(paths))
    return Part(collection=collection, rows=rows, labels=np.zeros_like(rows))


def _first(part: Part, count: int) -> NDArray[np.int64]:
    """The places of `count` pictures, or all: those whose names have the lowest sha256."""
    return np.array(first_by_hash(list(part.names), count), np.int64)
