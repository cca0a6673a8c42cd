"""Small files that a run carries along of its pretrained model: sizes and tokenizer, without the weights.

With them its network is built again where the pretrained model is not; the weights are those of a checkpoint.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from aiexp.errors import DataError

MOST_BYTES = 100_000_000

_collected: ContextVar[dict[str, bytes] | None] = ContextVar("collected", default=None)
_folder: ContextVar[Path | None] = ContextVar("folder", default=None)


@contextmanager
def collecting() -> Generator[dict[str, bytes]]:
    """A body that builds a model; gives what `carry` was told, file name to content."""
    files: dict[str, bytes] = {}
    token = _collected.set(files)
    try:
        yield files
    finally:
        _collected.reset(token)


def carry(folder: Path, patterns: Sequence[str]) -> None:
    """Lets a run carry files of a model's folder, unless they are larger than descriptions are."""
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    carry_files({path.name: path.read_bytes() for path in paths if path.stat().st_size <= MOST_BYTES})


def carry_files(files: Mapping[str, bytes]) -> None:
    """Lets a run carry such files, by their names."""
    collected = _collected.get()
    if collected is not None and not is_carried():
        collected.update(files)


@contextmanager
def carried_by(folder: Path) -> Generator[None]:
    """A body that builds the model of a run: from the files in `folder`, without weights."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def is_carried() -> bool:
    """Whether a model is built to get weights of a checkpoint: reading pretrained ones would be in vain."""
    return _folder.get() is not None


def carried_folder() -> Path | None:
    """Where the run's files of its model lie; None where no run is loaded.

    Raises:
        DataError: a run is loaded that has none.
    """
    folder = _folder.get()
    if folder is not None and not folder.is_dir():
        raise DataError("the run has not kept the files of its model", where=str(folder))
    return folder
