"""A checkpoint as the first one of another run: the same files, some of what is no tensor changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiexp.checkpoint.manifest import MANIFEST, STATE, read_manifest, read_state
from aiexp.checkpoint.tensors import write_bytes
from aiexp.storage.files import storage_errors


def copy_checkpoint(source: Path, target: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Copies a checkpoint as it is but for its state; what else it holds is verified when it is loaded.

    Args:
        source: Its folder, which is left as it is.
        target: Its new folder, which is not there yet.
        edit: Changes the state in place, as JSON (see `aiexp.checkpoint.state`).

    Raises:
        CheckpointError: it is damaged.
        StorageError: the disk is full or read-only.
    """
    temporary = target.with_name(f".tmp-{target.name}")
    with storage_errors("copying a checkpoint", target):
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, temporary)
        state, manifest = read_state(temporary), read_manifest(temporary)
        edit(state["state"])
        manifest["files"][STATE] = write_bytes(temporary / STATE, json.dumps(state).encode())
        write_bytes(temporary / MANIFEST, json.dumps(manifest, indent=2).encode())
        temporary.rename(target)
