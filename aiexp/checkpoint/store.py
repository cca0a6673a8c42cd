"""Checkpoints: safetensors and JSON under a sha256 manifest, renamed into place once they are whole.

    checkpoints/step-00001234/
        model.safetensors      parameters and buffers of the task
        training.safetensors   optimizer moments, random generators and other tensors
        state.json             everything that is not a tensor
        blocks/                large arrays, if any; unchanged parts are hard links (see blocks.py)
        ranks/                 of a run on several ranks: what each but the leader has to itself, blocks too
        manifest.json          size and sha256 of all of them; written last

A directory without a manifest that verifies is not a checkpoint. Nothing is pickled.
"""

import hashlib
import json
import os
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from aiexp.checkpoint.blocks import Blocks
from aiexp.checkpoint.manifest import (
    FORMAT,
    MANIFEST,
    RANKS,
    STATE,
    block_name,
    blocks_folder,
    rank_name,
    read_manifest,
    read_rank,
    read_state,
    saved_steps,
    verify,
    verify_state,
)
from aiexp.checkpoint.state import join, split, tensor_names
from aiexp.errors import CheckpointError, OtherFormatError
from aiexp.ranges import PositiveInt
from aiexp.storage.files import storage_errors, sync_directory
from aiexp.storage.reader import UNPARSABLE
from aiexp.world.world import World

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8", torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.complex64: "C64",
}  # fmt: skip


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointPolicy:
    """When checkpoints are written and which are kept.

    Args:
        every: "epoch", or a number of optimizer steps.
        keep_last: How many of the newest to keep (at least 1); the best one is kept besides.
    """

    every: PositiveInt | Literal["epoch"]
    keep_last: PositiveInt


@final
class CheckpointStore:
    """The checkpoints of one run directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.directory / f"step-{step:08d}"

    def steps(self) -> list[int]:
        """Steps that have a checkpoint directory, oldest first; not yet verified."""
        return saved_steps(self.directory)

    def save(
        self, step: int, model: dict[str, Tensor], training: dict[str, Any], world: World | None = None
    ) -> Path:
        """Writes the checkpoint of a step; an existing valid one of the same step is replaced.

        Args:
            step: Its number.
            model: Tensors by name.
            training: The rest.
            world: Whose leader this is; meanwhile the others are in `save_rank`. None: there are none.

        Raises:
            StorageError: the disk is full or read-only; older checkpoints are untouched.
        """
        world = world or World()
        final_path, temporary = self.path(step), self.directory / f".tmp-step-{step:08d}"
        skeleton, tensors, blocks = split(training)
        state = {"state": skeleton, "blocks": [b.shape() for b in blocks]}
        with storage_errors(f"writing the checkpoint of step {step}", final_path):
            self.directory.mkdir(exist_ok=True)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            world.barrier()
            try:
                files = {
                    "model.safetensors": write_safetensors(temporary / "model.safetensors", model),
                    "training.safetensors": write_safetensors(temporary / "training.safetensors", tensors),
                    STATE: write_bytes(temporary / STATE, json.dumps(state).encode()),
                }
                files |= save_blocks(temporary, blocks)
                for others in world.gather({})[1:]:
                    files |= others
                manifest = {"format": FORMAT, "step": step, "torch": str(torch.__version__), "files": files}
                if world.size > 1:
                    sync_directory(temporary / RANKS)
                    manifest["ranks"] = world.size
                write_bytes(temporary / MANIFEST, json.dumps(manifest, indent=2).encode())
            except OSError:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            sync_directory(temporary)
            aside = self.directory / f".old-step-{step:08d}"
            if final_path.exists():
                os.rename(final_path, aside)
            os.rename(temporary, final_path)
            sync_directory(self.directory)
            for array in blocks:
                array.moved(final_path / blocks_folder(0))
            shutil.rmtree(aside, ignore_errors=True)
        world.barrier()
        return final_path

    def save_rank(self, step: int, training: dict[str, Any], world: World) -> None:
        """Adds what a rank has to itself to the checkpoint that the leader is in `save` for.

        Raises:
            StorageError: it cannot be written; then there is no checkpoint.
        """
        temporary = self.directory / f".tmp-step-{step:08d}"
        skeleton, tensors, blocks = split(training)
        state = {"state": skeleton, "blocks": [b.shape() for b in blocks]}
        world.barrier()  # the folder is there
        json_name, tensors_name = (rank_name(world.rank, suffix) for suffix in ("json", "safetensors"))
        with storage_errors(f"writing the checkpoint of step {step}", temporary):
            (temporary / RANKS).mkdir(exist_ok=True)
            files = {
                json_name: write_bytes(temporary / json_name, json.dumps(state).encode()),
                tensors_name: write_safetensors(temporary / tensors_name, tensors),
                **save_blocks(temporary, blocks, world.rank),
            }
        world.gather(files)
        world.barrier()  # it is whole
        for array in blocks:
            array.moved(self.path(step) / blocks_folder(world.rank))

    def load(self, step: int, rank: int = 0) -> tuple[dict[str, Tensor], Any]:
        """The model's tensors and the training state of a step, verified first.

        Args:
            step: Its number.
            rank: Who had to itself what the state is to hold; 0 is the leader.

        Raises:
            CheckpointError: missing, incomplete or damaged.
        """
        path = self.path(step)
        self.verify(step)
        try:
            model = read_safetensors(path / "model.safetensors")
            tensors = read_safetensors(path / "training.safetensors")
            state = read_state(path)
            if lost := tensors.keys() - tensor_names(state["state"]):
                raise ValueError(f"{STATE} does not say what {min(lost)} is")  # it would be forgotten
            if rank:  # its own instead of the leader's, whose large arrays stay where they are
                state["state"]["task"] = None
                return model, join(state["state"], tensors) | self.load_rank(step, rank)
            return model, join(state["state"], tensors, load_blocks(path, state["blocks"]))
        except (SafetensorError, OSError, *UNPARSABLE) as error:
            raise CheckpointError(f"checkpoint cannot be read: {error}", where=str(path)) from error

    def num_ranks(self, step: int) -> int:
        """How many ranks have saved a step."""
        return read_manifest(self.path(step)).get("ranks") or 1

    def load_rank(self, step: int, rank: int) -> dict[str, Any]:
        """What a rank other than the leader had to itself at a step that was verified.

        Raises:
            CheckpointError: it cannot be read.
        """
        path = self.path(step)
        try:
            state, tensors = read_rank(path, rank), read_safetensors(path / rank_name(rank, "safetensors"))
            return join(state["state"], tensors, load_blocks(path, state["blocks"], rank))
        except (SafetensorError, OSError, *UNPARSABLE) as error:
            raise CheckpointError(f"checkpoint cannot be read: {error}", where=str(path)) from error

    def verify(self, step: int) -> None:
        """Raises `CheckpointError` unless every file of the checkpoint is what was written, and of use."""
        verify(self.path(step))
        verify_state(self.path(step))

    def newest_valid(self) -> tuple[int | None, list[CheckpointError]]:
        """The newest step whose checkpoint verifies, and what was wrong with the newer ones.

        Raises:
            OtherFormatError: written by another aiexp, so not damaged.
        """
        problems: list[CheckpointError] = []
        for step in reversed(self.steps()):
            try:
                self.verify(step)
            except OtherFormatError:
                raise
            except CheckpointError as error:
                problems.append(error)
            else:
                return step, problems
        return None, problems

    def prune(self, keep_last: int, best: int | None) -> None:
        """Deletes all but the newest `keep_last` and the best; a failed delete stops nothing."""
        steps = self.steps()
        for step in set(steps[:-keep_last]) - {best}:
            self.remove(step)

    def set_apart(self, step: int) -> None:
        """Renames a damaged checkpoint, so that it is never taken for one but can still be looked at."""
        damaged = self.directory / f"damaged-step-{step:08d}"
        shutil.rmtree(damaged, ignore_errors=True)
        os.rename(self.path(step), damaged)

    def remove(self, step: int) -> None:
        """Deletes a checkpoint so that a half-deleted one is never taken for one."""
        trash = self.directory / f".trash-step-{step:08d}"
        shutil.rmtree(trash, ignore_errors=True)
        try:
            os.rename(self.path(step), trash)
        except OSError:
            return
        shutil.rmtree(trash, ignore_errors=True)

    def clean(self) -> None:
        """Tidies what an interrupted save or delete left behind; a checkpoint set aside comes back."""
        for aside in self.directory.glob(".old-step-*"):
            name = aside.name.removeprefix(".old-")
            if (self.directory / name).exists():
                shutil.rmtree(aside, ignore_errors=True)
            else:
                os.rename(aside, self.directory / name)
        for leftover in [*self.directory.glob(".tmp-step-*"), *self.directory.glob(".trash-step-*")]:
            shutil.rmtree(leftover, ignore_errors=True)


def save_blocks(folder: Path, arrays: list[Blocks], rank: int = 0) -> dict[str, dict[str, int | str]]:
    """Puts the blocks of large arrays into a checkpoint being written; returns what the manifest says."""
    if not arrays:
        return {}
    (folder / blocks_folder(rank)).mkdir()
    names = {
        block_name(i, k, rank): (array, k) for i, array in enumerate(arrays) for k in range(array.num_blocks)
    }
    records = {name: array.save(block, folder / name) for name, (array, block) in names.items()}
    sync_directory(folder / blocks_folder(rank))
    return records


def load_blocks(folder: Path, shapes: list[dict[str, Any]], rank: int = 0) -> list[Blocks]:
    """The large arrays of a checkpoint that was verified."""
    recorded = read_manifest(folder)["files"]
    arrays: list[Blocks] = []
    for number, shape in enumerate(shapes):
        names = sorted(name for name in recorded if name.startswith(f"{blocks_folder(rank)}/{number}-"))
        arrays.append(Blocks.load(shape, [(folder / name, recorded[name]) for name in names]))
    return arrays


def write_bytes(path: Path, data: bytes) -> dict[str, int | str]:
    """Writes and fsyncs a small file; returns its size and sha256."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def write_safetensors(path: Path, tensors: dict[str, Tensor]) -> dict[str, int | str]:
    """Writes tensors in the safetensors format, hashing and fsyncing in the same pass.

    The library's own writer gives files mode 0600, does not fsync and would need a second read for
    the hash. Layout: u64 header length, JSON header, raw little-endian data (safetensors format 1).
    """
    # Wide elements first, as the library does, so that every tensor starts aligned; then by name, so that
    # the same state is the same bytes in whatever order it was collected.
    tensors = dict(sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])))
    header: dict[str, Any] = {}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        chunks = [struct.pack("<Q", len(head)), head]
        chunks += [memoryview(raw_bytes(t)) for t in tensors.values() if t.numel()]
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": 8 + len(head) + offset, "sha256": digest.hexdigest()}


def raw_bytes(tensor: Tensor) -> Any:
    """The bytes of a tensor as a flat uint8 array, on the CPU (no copy for a contiguous CPU tensor)."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, on the CPU."""
    if path.stat().st_size == 8 + 2 + 6:  # an empty header, padded to 8
        return {}
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
