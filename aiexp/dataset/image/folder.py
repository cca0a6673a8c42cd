"""The user's own labelled pictures: one folder for each class."""

import os
from array import array
from pathlib import Path
from stat import S_ISREG
from typing import Unpack, final

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.class_labels import note_case
from aiexp.dataset.image.dataset import ImageDataset
from aiexp.dataset.image.file import SUFFIXES, find_images, is_hidden
from aiexp.dataset.image.labelled import Collection, Part, PictureBatching, cut_off, picture_dataset
from aiexp.dataset.image.picture import FilePicture, Names, NamesWriter
from aiexp.errors import DataError
from aiexp.ranges import Share

# Names in a message before the rest is cut.
_SHOWN = 8


def image_folder(
    *,
    train_folder: str,
    eval_folder: str | None,
    test_folder: str | None,
    eval_fraction: Share,
    test_fraction: Share,
    **batching: Unpack[PictureBatching],
) -> ImageDataset:
    """Pictures of one, two or three folders; what has no folder of its own is cut off the training folder.

    Args:
        train_folder: Has a sub-folder for each class; their sorted names are the classes.
        eval_folder: Likewise for validation, None to cut it off.
        test_folder: Likewise for the test, None to cut it off.
        eval_fraction: Share of each class, by the hash of the file names, when there is no `eval_folder`.
        test_fraction: Likewise when there is no `test_folder`.
        batching: See `PictureBatching`.

    Raises:
        DataError: a folder or picture cannot be used; names it.
        ConfigError: nothing would be left for training.
        MemoryFullError: the pictures do not fit into memory.
    """
    given = {"train": train_folder, "eval": eval_folder, "test": test_folder}
    parts: dict[str, Part] = {}
    class_names: list[str] = []
    for split, folder in given.items():
        if folder is not None:
            key = f"{split}_folder"
            parts[split], names = _list_classes(Path(folder).expanduser(), key)
            if split == "train":
                class_names = names
            elif names != class_names:
                raise _other_classes(names, class_names, key, folder)
    fractions = {"eval": eval_fraction, "test": test_fraction}
    wanted = {split: share for split, share in fractions.items() if split not in parts and share > 0}
    if wanted:
        parts |= cut_off(parts["train"], wanted)
    return picture_dataset(parts, class_names, train_folder, **batching)


@final
class FolderPictures:
    """The picture files below a folder, as they were when it was listed.

    Args:
        folder: The folder.
        names: (N,) paths below it with forward slashes: "cat/1.png".
        stamps: (N, 2) int64, size in bytes and time of the last change in nanoseconds.
    """

    def __init__(self, folder: str, names: Names, stamps: NDArray[np.int64]) -> None:
        self._folder, self._names, self._stamps = folder, names, stamps

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, row: int, /) -> FilePicture:
        size, modified = self._stamps[row].tolist()
        return FilePicture(f"{self._folder}/{self._names[row]}", size, modified)


def _list_classes(folder: Path, key: str) -> tuple[Part, list[str]]:
    """The pictures of a folder with class folders, and the names of these."""
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}", where=key, fix=f"{key}=<folder with one sub-folder a class>")
    try:
        below = sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))
    except OSError as error:
        raise DataError(f"the folder cannot be listed: {error.strerror}", where=str(folder)) from error
    if not below:
        found = find_images(folder)
        raise DataError(
            f"{folder} has {len(found)} pictures but no class folders" if found else f"{folder} is empty",
            where=key, fix="make one sub-folder a class and put its pictures there",
        )  # fmt: skip
    listing = _Listing()
    ends: list[int] = []
    for path in below:
        listing.add(str(path), f"{path.name}/")
        ends.append(len(listing.stamps) // 2)
        if ends[-1] == (ends[-2] if len(ends) > 1 else 0):
            raise DataError(
                f"class folder {path.name} has no pictures", where=str(folder),
                fix="put PNG or JPEG files into it, or remove it",
            )  # fmt: skip
    if len(below) < 2:
        raise DataError(
            f"only one class: {below[0].name}", where=str(folder),
            fix="make one sub-folder for each of at least two classes",
        )  # fmt: skip
    class_names = [path.name for path in below]
    note_case(class_names, str(folder))
    labels = np.repeat(np.arange(len(below)), np.diff(ends, prepend=0))
    return Part(
        collection=listing.finish(str(folder)), rows=np.arange(len(labels)), labels=labels
    ), class_names


@final
class _Listing:
    """Picture files in the order of their paths; hidden ones, pipes and devices are left out."""

    def __init__(self) -> None:
        self._names, self.stamps = NamesWriter(), array("q")

    def add(self, folder: str, prefix: str) -> None:
        """Adds the pictures of a folder and its sub-folders; links are followed to files, not to folders."""
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(f"the folder cannot be listed: {error.strerror}", where=folder) from error
        for entry in listed:
            if is_hidden(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                self.add(entry.path, f"{prefix}{entry.name}/")
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                try:
                    found = entry.stat()
                except OSError:  # a link to nowhere
                    continue
                if S_ISREG(found.st_mode):
                    self._names.add(prefix + entry.name)
                    self.stamps.extend((found.st_size, found.st_mtime_ns))

    def finish(self, folder: str) -> Collection:
        """All of them."""
        names, stamps = self._names.finish(), np.array(self.stamps, np.int64).reshape(-1, 2)
        return Collection(
            pictures=FolderPictures(folder, names, stamps), names=names, stamps=stamps, source=folder
        )


def _other_classes(names: list[str], class_names: list[str], key: str, folder: str) -> DataError:
    """An evaluation folder has other classes than the training folder."""
    parts = [
        f"{word} {', '.join(group[:_SHOWN])}{', ...' if len(group) > _SHOWN else ''}"
        for word, group in (
            ("it lacks", sorted(set(class_names) - set(names))),
            ("it has", sorted(set(names) - set(class_names))),
        )
        if group
    ]
    return DataError(
        f"{folder} does not have the classes of the training folder: {' and '.join(parts)}",
        where=key, fix="give both folders the same sub-folders",
    )  # fmt: skip
