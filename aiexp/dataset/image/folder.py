"""The user's own labelled pictures: one folder for each class."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from aiexp.dataset.class_labels import note_case
from aiexp.dataset.image.dataset import ImageBatching, ImageDataset, Images
from aiexp.dataset.image.file import find_images, is_hidden
from aiexp.dataset.image.reader import check_memory, read_images
from aiexp.dataset.subset import even_subset
from aiexp.dataset.text.examples import Examples
from aiexp.dataset.text.split import stratified
from aiexp.errors import DataError
from aiexp.ranges import PositiveInt, Share

logger = logging.getLogger(__name__)

# Names in a message before the rest is cut.
_SHOWN = 8


def image_folder(
    *,
    train_folder: str,
    eval_folder: str | None,
    test_folder: str | None,
    eval_fraction: Share,
    test_fraction: Share,
    on_bad_sample: Literal["error", "skip"],
    image_size: PositiveInt,
    channels: Literal[1, 3],
    **batching: Unpack[ImageBatching],
) -> ImageDataset:
    """Pictures of one, two or three folders; what has no folder of its own is cut off the training folder.

    Args:
        train_folder: Has a sub-folder for each class; their sorted names are the classes.
        eval_folder: Likewise for validation, None to cut it off.
        test_folder: Likewise for the test, None to cut it off.
        eval_fraction: Share of each class, by the hash of the file names, when there is no `eval_folder`.
        test_fraction: Likewise when there is no `test_folder`.
        on_bad_sample: Stop at a picture that cannot be read, or leave it out and log how many.
        image_size: Height and width in pixels; see `aiexp.dataset.image.file.read_image`.
        channels: 1 or 3.
        batching: See `ImageBatching`.

    Raises:
        DataError: a folder or picture cannot be used; names it.
        ConfigError: nothing would be left for training.
        MemoryFullError: the pictures do not fit into memory.
    """
    given = {"train": train_folder, "eval": eval_folder, "test": test_folder}
    files, class_names = _list_splits(given, {"eval": eval_fraction, "test": test_fraction})
    if (limit := batching["limit"]) is not None:
        files = {
            split: part.at(even_subset(part.labels, min(limit, len(part)))) for split, part in files.items()
        }
    check_memory((sum(map(len, files.values())), channels, image_size, image_size), train_folder)
    splits = {
        split: _read(part, image_size, channels, on_bad_sample == "skip") for split, part in files.items()
    }
    _require_every_class(files["train"], splits["train"], class_names)
    _warn_of_repeats(splits, train_folder)
    return ImageDataset(
        splits=splits,
        class_names=class_names,
        source=train_folder,
        **batching,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """Labelled picture files of one split.

    Args:
        folder: Folder that has the class folders.
        names: (N,) paths below it with forward slashes: "cat/1.png".
        labels: (N,) int64, index into the class names.
    """

    folder: Path
    names: list[str]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    def at(self, rows: NDArray[np.int64]) -> "Files":
        """The files in these rows, in this order."""
        return Files(folder=self.folder, names=[self.names[i] for i in rows], labels=self.labels[rows])


def _list_splits(
    folders: dict[str, str | None], fractions: dict[str, float]
) -> tuple[dict[str, Files], list[str]]:
    """The files of each split and the names of the classes."""
    files: dict[str, Files] = {}
    class_names: list[str] = []
    for split, folder in folders.items():
        if folder is not None:
            key = f"{split}_folder"
            files[split], names = _list_classes(Path(folder).expanduser(), key)
            if split == "train":
                class_names = names
            elif names != class_names:
                raise _other_classes(names, class_names, key, folder)
    wanted = {split: part for split, part in fractions.items() if split not in files and part > 0}
    if wanted:
        train = files.pop("train")
        # Split as texts are; a file's text is its name.
        row_of = {name: row for row, name in enumerate(train.names)}
        for split, part in stratified(Examples(texts=train.names, labels=train.labels), wanted).items():
            if len(part):
                files[split] = train.at(np.array([row_of[name] for name in part.texts], np.int64))
    return files, class_names


def _list_classes(folder: Path, key: str) -> tuple[Files, list[str]]:
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
    names: list[str] = []
    labels: list[int] = []
    for label, path in enumerate(below):
        found = find_images(path)
        if not found:
            raise DataError(
                f"class folder {path.name} has no pictures", where=str(folder),
                fix="put PNG or JPEG files into it, or remove it",
            )  # fmt: skip
        names += [image.relative_to(folder).as_posix() for image in found]
        labels += [label] * len(found)
    if len(below) < 2:
        raise DataError(
            f"only one class: {below[0].name}", where=str(folder),
            fix="make one sub-folder for each of at least two classes",
        )  # fmt: skip
    class_names = [path.name for path in below]
    note_case(class_names, str(folder))
    return Files(folder=folder, names=names, labels=np.array(labels, np.int64)), class_names


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


def _read(files: Files, image_size: int, channels: int, skip_bad: bool) -> Images:
    paths = [files.folder / name for name in files.names]
    images, rows = read_images(paths, image_size, channels, skip_bad=skip_bad, source=str(files.folder))
    kept = files.at(rows)
    return Images(images=images, labels=torch.from_numpy(kept.labels), names=kept.names)


def _require_every_class(files: Files, images: Images, class_names: list[str]) -> None:
    """Leaving out broken pictures must not leave out a class."""
    lost = np.setdiff1d(files.labels, images.labels.numpy())
    if lost.size:
        raise DataError(
            f"no picture of class {class_names[int(lost[0])]} can be read", where=str(files.folder),
            fix="repair them, or remove the class folder",
        )  # fmt: skip


def _warn_of_repeats(splits: dict[str, Images], source: str) -> None:
    """Pictures on both sides of a split make results look better than they are."""
    hashes = {
        split: [hashlib.sha256(image.numpy().data).digest() for image in part.images]
        for split, part in splits.items()
    }
    seen = set(hashes.pop("train"))
    for split, others in hashes.items():
        if shared := sum(digest in seen for digest in others):
            logger.warning(
                "%s: %d pictures of split %s also occur in the training split", source, shared, split
            )
