"""A checkpoint on its way to the disk: begun by all ranks, written by each, published by the leader."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from aiexp.checkpoint.blocks import Blocks
from aiexp.checkpoint.manifest import (
    FORMAT,
    MANIFEST,
    RANKS,
    SHARDS,
    STATE,
    block_name,
    blocks_folder,
    rank_name,
    shard_name,
)
from aiexp.checkpoint.part import Part, saved_form
from aiexp.checkpoint.staging import Staging
from aiexp.checkpoint.state import split
from aiexp.checkpoint.tensors import write_bytes, write_safetensors
from aiexp.storage.files import storage_errors, sync_directory
from aiexp.world.world import World

Records = dict[str, dict[str, int | str]]  # size and sha256 of files, by their names in the checkpoint


@final
class Writing:
    """One checkpoint: all ranks make this together, each does `write`, all together `publish`.

    Until then there is a folder that nobody takes for a checkpoint. `write` may run in a thread.

    Args:
        path: Where it will lie; the folder above is made if need be.
        step: Its number.
        model: Tensors by name.
        training: The rest.
        world: The ranks.
        staging: Takes copies of all tensors, so that they may change while they are written; None writes
            them as they are.

    Raises:
        StorageError: the disk is full or read-only; older checkpoints are untouched.
    """

    def __init__(
        self, path: Path, step: int, model: dict[str, Tensor], training: dict[str, Any], world: World,
        staging: Staging | None = None,
    ) -> None:  # fmt: skip
        self.path, self.step, self.world = path, step, world
        self.temporary = path.parent / f".tmp-{path.name}"
        self.tensors, self.state, self.blocks = _contents(model, training, world)
        with self._storage_errors():
            if world.is_leader:
                path.parent.mkdir(exist_ok=True)
                shutil.rmtree(self.temporary, ignore_errors=True)
                self.temporary.mkdir()
            world.barrier()  # the folder is there
            for name in self.tensors:
                (self.temporary / name).parent.mkdir(exist_ok=True)
        # Blocks are written now, whoever writes the rest: only those are that changed.
        self.saved_blocks = self._guarded(self._save_blocks)
        if staging is not None:
            self.tensors = {file: staging.copies(file, tensors) for file, tensors in self.tensors.items()}
        self.records: Records = {}

    def write(self) -> None:
        """Writes this rank's files durably; nothing of torch.distributed is called.

        Raises:
            StorageError: the disk is full or read-only.
        """
        self._guarded(self._write)

    def publish(self) -> None:
        """Makes it a checkpoint, once all ranks have written; an existing one of the same step is replaced.

        Raises:
            StorageError: the disk is full or read-only.
        """
        records: Records = {}
        for each in self.world.gather(self.records):
            records |= each
        if self.world.is_leader:
            self._guarded(lambda: self._write_manifest(records))
            with self._storage_errors():
                self._rename()
        self.world.barrier()
        for array in self.blocks:
            array.moved(self.path / blocks_folder(self.world.rank))

    def _storage_errors(self) -> AbstractContextManager[None]:
        return storage_errors(f"writing the checkpoint of step {self.step}", self.path)

    def _guarded(self, body: Callable[[], Any]) -> Any:
        """Runs a body that writes into the temporary folder, which goes if it cannot."""
        with self._storage_errors():
            try:
                return body()
            except OSError:
                if self.world.is_leader:
                    shutil.rmtree(self.temporary, ignore_errors=True)
                raise

    def _save_blocks(self) -> Records:
        """Puts the blocks of large arrays into the folder."""
        if not self.blocks:
            return {}
        folder = self.temporary / blocks_folder(self.world.rank)
        folder.mkdir(parents=True)
        names = {
            block_name(i, k, self.world.rank): (array, k)
            for i, array in enumerate(self.blocks)
            for k in range(array.num_blocks)
        }
        records = {name: array.save(block, self.temporary / name) for name, (array, block) in names.items()}
        sync_directory(folder)
        return records

    def _write(self) -> None:
        records = {name: write_safetensors(self.temporary / name, t) for name, t in self.tensors.items()}
        name = STATE if self.world.is_leader else rank_name(self.world.rank, "json")
        records[name] = write_bytes(self.temporary / name, json.dumps(self.state).encode())
        self.records = records | self.saved_blocks

    def _write_manifest(self, records: Records) -> None:
        manifest = {"format": FORMAT, "step": self.step, "torch": str(torch.__version__), "files": records}
        if self.world.size > 1:
            manifest["ranks"] = self.world.size
            for folder in (RANKS, SHARDS):
                if (self.temporary / folder).exists():
                    sync_directory(self.temporary / folder)
        write_bytes(self.temporary / MANIFEST, json.dumps(manifest, indent=2).encode())

    def _rename(self) -> None:
        sync_directory(self.temporary)
        aside = self.path.parent / f".old-{self.path.name}"
        if self.path.exists():
            os.rename(self.path, aside)
        os.rename(self.temporary, self.path)
        sync_directory(self.path.parent)
        shutil.rmtree(aside, ignore_errors=True)


def _contents(
    model: dict[str, Tensor], training: dict[str, Any], world: World
) -> tuple[dict[str, dict[str, Tensor | Part]], Any, list[Blocks]]:
    """What a rank writes: the tensors of each file, the JSON of its state, and large arrays."""
    weights = {name: saved_form(tensor) for name, tensor in model.items()}
    skeleton, tensors, blocks = split(training)
    everything = weights | tensors  # a path in the training state begins with a slash, no weight's name does
    parts: dict[str, Tensor | Part] = {n: t for n, t in everything.items() if isinstance(t, Part)}
    if world.is_leader:
        files = {"model.safetensors": weights, "training.safetensors": tensors}
        files = {file: {n: t for n, t in held.items() if n not in parts} for file, held in files.items()}
    else:
        own = {"random": training["random"], "task": training["task"]}
        skeleton, own_tensors, blocks = split(own | {"window": training["stepper"]["window"]})
        files = {rank_name(world.rank, "safetensors"): own_tensors}
    state = {"state": skeleton, "blocks": [b.shape() for b in blocks]}
    return files | ({shard_name(world.rank): parts} if parts else {}), state, blocks
