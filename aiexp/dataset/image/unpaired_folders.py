"""The user's own pictures of two kinds: folders trainA and trainB, perhaps testA and testB."""

from pathlib import Path
from typing import Literal, Unpack

from aiexp.dataset.image.file import find_images, is_hidden
from aiexp.dataset.image.picture import file_pictures
from aiexp.dataset.image.reader import check_memory, read_images
from aiexp.dataset.image.unpaired import Side, Sides, UnpairedBatching, UnpairedDataset, first_by_hash
from aiexp.errors import ConfigError, DataError
from aiexp.ranges import NonNegativeInt, PositiveInt

_WANTED = ("trainA", "trainB", "testA", "testB")


def unpaired_folders(
    *,
    folder: str,
    num_eval: NonNegativeInt,
    on_bad_sample: Literal["error", "skip"],
    image_size: PositiveInt,
    channels: Literal[1, 3],
    **batching: Unpack[UnpairedBatching],
) -> UnpairedDataset:
    """Training pictures of trainA and trainB, test pictures of testA and testB.

    Test pictures are paired by position in the order of their names and end with the shorter side; nobody
    says that such a pair shows the same thing (`aligned` is false). Validation pictures are cut off the
    training folders: those with the lowest sha256 of their names, never the test pictures.

    Args:
        folder: Has the sub-folders, in upper or lower case; each may have sub-folders of its own.
        num_eval: Pictures of each training folder held out for validation, 0 for none.
        on_bad_sample: Stop at a picture that cannot be read, or leave it out and log how many.
        image_size: Height and width in pixels; see `aiexp.dataset.image.file.read_image`.
        channels: 1 or 3.
        batching: See `UnpairedBatching`.

    Raises:
        DataError: a folder is missing or has no pictures, or a picture cannot be read.
        ConfigError: more are held out than there are.
        MemoryFullError: the pictures do not fit into memory.
    """
    root = Path(folder).expanduser()
    files = _files(root, num_eval)
    if (limit := batching["limit"]) is not None:
        files = {part: [paths[i] for i in _rows(root, paths, limit)] for part, paths in files.items()}
    check_memory((sum(map(len, files.values())), channels, image_size, image_size), folder)

    def side(part: str) -> Side:
        paths = files[part]
        images, rows, _ = read_images(
            file_pictures(paths),
            image_size,
            channels,
            skip_bad=on_bad_sample == "skip",
            source=f"{folder} ({part})",
        )
        return Side(images=images, names=[_name(root, paths[int(i)]) for i in rows])

    return UnpairedDataset(
        splits={
            split: Sides(a=side(f"{split}A"), b=side(f"{split}B"))
            for split in ("train", "eval", "test")
            if f"{split}A" in files
        },
        aligned=False,
        source=folder,
        **batching,
    )


def _files(root: Path, num_eval: int) -> dict[str, list[Path]]:
    """The pictures of trainA, trainB and, where they exist, evalA, evalB, testA and testB."""
    files = {part: _pictures(path, root) for part, path in _folders(root).items()}
    if num_eval:
        for side in "AB":
            train = files[f"train{side}"]
            if num_eval >= len(train):
                raise ConfigError(
                    f"num_eval is {num_eval}, but train{side} has {len(train)} pictures",
                    where="num_eval", fix=f"a number below {len(train)}",
                )  # fmt: skip
            held_out = set(_rows(root, train, num_eval))
            files[f"eval{side}"] = [path for i, path in enumerate(train) if i in held_out]
            files[f"train{side}"] = [path for i, path in enumerate(train) if i not in held_out]
    return files


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


def _pictures(folder: Path, root: Path) -> list[Path]:
    paths = find_images(folder)
    if not paths:
        raise DataError(
            f"{folder.name} has no pictures", where=str(root), fix="put PNG or JPEG files into it"
        )
    return paths


def _rows(root: Path, paths: list[Path], count: int) -> list[int]:
    return first_by_hash([_name(root, path) for path in paths], count)


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
