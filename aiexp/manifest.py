"""The manifest that makes a folder of files a checkpoint. Imports no torch: `aiexp doctor` is quick."""

import hashlib
import json
from pathlib import Path
from typing import Any, cast

from aiexp.errors import CheckpointError

FORMAT = 1
FILES = ("model.safetensors", "training.safetensors", "state.json")


class NewerFormatError(CheckpointError):
    """A checkpoint of a newer aiexp: nothing is wrong with it."""


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
        is_newer = manifest["format"] > FORMAT
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError("checkpoint is incomplete: no readable manifest", where=str(path)) from error
    if is_newer:
        raise NewerFormatError(
            f"checkpoint format {manifest['format']} is newer than this aiexp knows ({FORMAT})",
            where=str(path),
            fix="update aiexp",
        )
    for name in FILES:
        try:
            verify_file(path / name, files[name])
        except (OSError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"checkpoint file cannot be verified: {error}", where=str(path / name)
            ) from error


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
