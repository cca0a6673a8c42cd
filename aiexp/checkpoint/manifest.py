"""The manifest that makes a folder of files a checkpoint. Imports no torch: `aiexp doctor` is quick."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, cast

from aiexp.errors import CheckpointError

FORMAT = 2
FILES = ("model.safetensors", "training.safetensors", "state.json")


class OtherFormatError(CheckpointError):
    """A checkpoint of a newer or an older aiexp: nothing is wrong with it."""


def saved_steps(directory: Path) -> list[int]:
    """Steps with a checkpoint folder below `directory`, oldest first; not yet verified."""
    names = [p.name for p in directory.glob("step-*") if p.is_dir()]
    return sorted(int(n[5:]) for n in names if n[5:].isdigit())


def verify(path: Path) -> None:
    """Checks that every file of a checkpoint has its recorded size and sha256.

    Raises:
        CheckpointError: incomplete, damaged, or of a newer format.
    """
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        files = cast(dict[str, dict[str, Any]], manifest["files"])
        found = int(manifest["format"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError("checkpoint is incomplete: no readable manifest", where=str(path)) from error
    if found != FORMAT:
        raise OtherFormatError(
            f"checkpoint has format {found}, this aiexp reads {FORMAT}",
            where=str(path),
            fix="update aiexp" if found > FORMAT else "resume with the aiexp that wrote it",
        )
    if names := [name for name in files if name not in FILES and not is_block(name)]:
        raise CheckpointError(f"manifest names a file that is none of ours: {names[0]!r}", where=str(path))
    for name in (*FILES, *(name for name in files if is_block(name))):
        try:
            verify_file(path / name, files[name])
        except (OSError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"checkpoint file cannot be verified: {error}", where=str(path / name)
            ) from error


def block_name(array: int, block: int) -> str:
    """Path inside a checkpoint of a block of one of its large arrays."""
    return f"blocks/{array}-{block:06d}.bin"


def is_block(name: str) -> bool:
    """Whether `name` is what `block_name` makes."""
    return re.fullmatch(r"blocks/\d+-\d{6,}\.bin", name, re.ASCII) is not None


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
