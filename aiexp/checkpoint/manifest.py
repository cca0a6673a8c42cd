"""The manifest that makes a folder of files a checkpoint. Imports no torch: `aiexp doctor` is quick."""

import hashlib
import re
from pathlib import Path
from typing import Any

from aiexp.errors import CheckpointError, OtherFormatError
from aiexp.storage.reader import StoredFile, read_file
from aiexp.storage.shape import Shape, anything, fields, flag, list_of, map_of, number, pair, text, whole

FORMAT = 2  # a change that an older aiexp would misread gets the next number
MANIFEST, STATE, RANKS, SHARDS = "manifest.json", "state.json", "ranks", "shards"
FILES = ("model.safetensors", "training.safetensors", STATE)
STEP = re.compile(r"step-([0-9]{8,18})")  # \d would take the digits of every script

_ANY_MAP = map_of(anything)
_CHECKSUM = fields({"bytes": whole(0), "sha256": text})
_BLOCKS = fields({"shape": list_of(whole(0)), "dtype": text, "block_rows": whole(1), "num_rows": whole(0)})
_SCALER = fields(
    None, scale=number, growth_factor=number, backoff_factor=number, growth_interval=whole(1),
    _growth_tracker=whole(0),
)  # fmt: skip
# What the trainer saves.
_TRAINING: dict[str, Shape] = {
    "step": whole(0),
    "evaluated": flag,
    "metrics": map_of(number),
    "task": _ANY_MAP,
    "dataset": _ANY_MAP,
    # What an optimizer saves is its own; that it fits the one that is built, the stepper finds out.
    "stepper": fields({"optimizers": map_of(_ANY_MAP), "window": map_of(pair)}, scaler=_SCALER),
    "random": fields({"python": _ANY_MAP, "numpy": _ANY_MAP, "torch": _ANY_MAP, "cuda": list_of(anything)}),
    "selection": fields({"evaluations_since_best": whole(0)}, best=list_of(number)),
    "session": fields(
        {"metrics_bytes": whole(0), "metrics_sha256": text, "elapsed_seconds": number, "config": _ANY_MAP}
    ),
}


def _training(value: Any, key: str) -> None:
    """What the trainer saves; that all is there, it finds out itself."""
    _ANY_MAP(value, key)
    for name in _TRAINING.keys() & value.keys():
        _TRAINING[name](value[name], f"{key}.{name}")


_MANIFEST = StoredFile(
    format=FORMAT,
    whole="checkpoint",
    shape=fields({"format": whole(0), "files": map_of(_CHECKSUM)}, step=whole(0), torch=text, ranks=whole(2)),
)
# A task's own state may be deep and large: its replay buffer may stand in it as lists.
_STATE = StoredFile(
    shape=fields({"state": _training, "blocks": list_of(_BLOCKS)}),
    most_bytes=2_000_000_000,
    deepest=100,
)


def saved_steps(directory: Path) -> list[int]:
    """Steps with a checkpoint folder below `directory`, oldest first; not yet verified."""
    found = [
        match for path in directory.glob("step-*") if (match := STEP.fullmatch(path.name)) and path.is_dir()
    ]
    return sorted(int(match[1]) for match in found if match[0] == f"step-{int(match[1]):08d}")


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint; raises `CheckpointError` unless it is whole."""
    return read_file(path / MANIFEST, _MANIFEST)


def read_state(path: Path) -> dict[str, Any]:
    """What is no tensor in a checkpoint; raises `CheckpointError` unless it has its shape."""
    return read_file(path / STATE, _STATE)


def read_rank(path: Path, rank: int) -> dict[str, Any]:
    """The same of a rank other than the leader."""
    return read_file(path / rank_name(rank, "json"), _STATE)


def verify(path: Path) -> None:
    """Checks that every file of a checkpoint has its recorded size and sha256.

    Raises:
        CheckpointError: incomplete or damaged.
        OtherFormatError: written by another aiexp, so not damaged.
    """
    files = _recorded_files(path)
    _verify_files(path, files, [*FILES, *(name for name in files if name not in FILES)])


def verify_weights(path: Path) -> None:
    """The same of the files that hold weights alone."""
    files = _recorded_files(path)
    _verify_files(path, files, [FILES[0], *(name for name in files if name.startswith(f"{SHARDS}/"))])


def _recorded_files(path: Path) -> dict[str, dict[str, Any]]:
    """Size and sha256 of each file that the manifest names."""
    try:
        files: dict[str, dict[str, Any]] = read_manifest(path)["files"]
    except OtherFormatError:
        raise
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint is incomplete: {error.what}", where=str(path)) from error
    if names := [name for name in files if name not in FILES and not is_ours(name)]:
        raise CheckpointError(f"manifest names a file that is none of ours: {names[0]!r}", where=str(path))
    return files


def _verify_files(path: Path, files: dict[str, dict[str, Any]], names: list[str]) -> None:
    for name in names:
        try:
            verify_file(path / name, files[name])
        except (OSError, KeyError) as error:
            raise CheckpointError(
                f"checkpoint file cannot be verified: {error}", where=str(path / name)
            ) from error


def verify_state(path: Path) -> dict[str, Any]:
    """What the state.json of a checkpoint says, which is what the trainer writes, not only what was hashed.

    Raises:
        CheckpointError: it does not.
    """
    state = read_state(path)["state"]
    if state.get("step", int(path.name[5:])) != int(path.name[5:]):
        raise CheckpointError(f"state.json is of step {state['step']}", where=str(path))
    return state


def block_name(array: int, block: int, rank: int = 0) -> str:
    """Path inside a checkpoint of a block of one of a rank's large arrays."""
    return f"{blocks_folder(rank)}/{array}-{block:06d}.bin"


def blocks_folder(rank: int) -> str:
    """Where those of a rank lie."""
    return f"{RANKS}/{rank:05d}" if rank else "blocks"


def rank_name(rank: int, suffix: str) -> str:
    """Path inside a checkpoint of what a rank other than the leader has to itself."""
    return f"{RANKS}/{rank:05d}.{suffix}"


def shard_name(rank: int) -> str:
    """Path inside a checkpoint of a rank's rows of what is sharded."""
    return f"{SHARDS}/{rank:05d}.safetensors"


def shard_files(path: Path) -> list[Path]:
    """The rows of all ranks in a checkpoint, in order; none where nothing was sharded."""
    names = [name for name in read_manifest(path)["files"] if name.startswith(f"{SHARDS}/")]
    return [path / name for name in sorted(names, key=lambda name: (len(name), name))]


def weights_digest(path: Path) -> str:
    """What the weights of a checkpoint are known by: the sha256 of their file, or of those of all shards."""
    files = read_manifest(path)["files"]
    held = [files[name]["sha256"] for name in sorted(files) if name == FILES[0] or name.startswith(SHARDS)]
    return held[0] if len(held) == 1 else hashlib.sha256("".join(held).encode()).hexdigest()


def is_ours(name: str) -> bool:
    """Whether `name` is what `block_name`, `rank_name` or `shard_name` makes."""
    block, tensors = r"\d+-\d{6,}\.bin", r"\.safetensors"
    kinds = rf"blocks/{block}|ranks/\d{{5,}}(\.json|{tensors}|/{block})|shards/\d{{5,}}{tensors}"
    return re.fullmatch(kinds, name, re.ASCII) is not None


def verify_file(file: Path, recorded: dict[str, Any]) -> None:
    """Raises `CheckpointError` unless a file has its recorded size and sha256."""
    size = file.stat().st_size if file.is_file() else -1
    if size < 0:
        raise CheckpointError("checkpoint file is missing", where=str(file))
    if size != recorded["bytes"]:
        raise CheckpointError(
            f"checkpoint file has {size} bytes, {recorded['bytes']} were written", where=str(file)
        )
    with file.open("rb") as handle:
        if hashlib.file_digest(handle, "sha256").hexdigest() != recorded["sha256"]:
            raise CheckpointError("checkpoint file is damaged (sha256 differs)", where=str(file))
