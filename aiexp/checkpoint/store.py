"""Checkpoints: safetensors and JSON under a sha256 manifest, renamed into place once they are whole.

    checkpoints/step-00001234/
        model.safetensors      parameters and buffers of the task
        training.safetensors   optimizer moments, random generators and other tensors
        state.json             everything that is not a tensor
        blocks/                large arrays, if any; unchanged parts are hard links (see blocks.py)
        ranks/                 of a run on several ranks: what each but the leader has to itself, blocks too
        shards/                of a sharded run: the rows of weights and moments that each rank has
        manifest.json          size and sha256 of all of them; written last

A directory without a manifest that verifies is not a checkpoint. Nothing is pickled.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from safetensors import SafetensorError
from torch import Tensor

from aiexp.checkpoint.blocks import Blocks
from aiexp.checkpoint.manifest import (
    FILES,
    STATE,
    blocks_folder,
    rank_name,
    read_manifest,
    read_rank,
    read_state,
    saved_steps,
    shard_files,
    verify,
    verify_state,
    verify_weights,
)
from aiexp.checkpoint.staging import Staging
from aiexp.checkpoint.state import join, tensor_names
from aiexp.checkpoint.tensors import read_safetensors, read_shards
from aiexp.checkpoint.writing import Writing
from aiexp.errors import CheckpointError, OtherFormatError
from aiexp.ranges import PositiveInt
from aiexp.storage.files import delete_folder
from aiexp.storage.reader import UNPARSABLE
from aiexp.world.world import World


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointPolicy:
    """When checkpoints are written and which are kept.

    Args:
        every: "epoch", or a number of optimizer steps.
        keep_last: How many of the newest to keep (at least 1); the best one is kept besides.
        asynchronous: Write while training goes on: it waits only for a copy of the state, for which the
            machine must have memory.
    """

    every: PositiveInt | Literal["epoch"]
    keep_last: PositiveInt
    asynchronous: bool


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
            world: The ranks, which all call this together. None: there is one.

        Raises:
            StorageError: the disk is full or read-only; older checkpoints are untouched.
        """
        writing = self.begin(step, model, training, world)
        writing.write()
        writing.publish()
        return writing.path

    def begin(
        self, step: int, model: dict[str, Tensor], training: dict[str, Any], world: World | None = None,
        staging: Staging | None = None,
    ) -> Writing:  # fmt: skip
        """A checkpoint that is yet to be written and published, by all ranks; see `Writing`."""
        return Writing(self.path(step), step, model, training, world or World(), staging)

    def load(self, step: int, world: World | None = None, rank: int = 0) -> tuple[dict[str, Any], Any]:
        """The model's tensors and the training state of a step, verified first.

        Args:
            step: Its number.
            world: Where it is sharded, what was saved so is a `Part`, the rows of this rank; else whole.
            rank: Who had to itself what the state is to hold; 0 is the leader.

        Raises:
            CheckpointError: missing, incomplete or damaged.
        """
        path = self.path(step)
        self.verify(step)
        try:
            model: dict[str, Any] = dict(read_safetensors(path / "model.safetensors"))
            tensors: dict[str, Any] = dict(read_safetensors(path / "training.safetensors"))
            state = read_state(path)
            for name, tensor in read_shards(shard_files(path), world or World()).items():
                (tensors if name.startswith("/") else model)[name] = tensor
            if lost := tensors.keys() - tensor_names(state["state"]):
                raise ValueError(f"{STATE} does not say what {min(lost)} is")  # it would be forgotten
            if rank:  # its own instead of the leader's, whose large arrays stay where they are
                state["state"]["task"] = None
                return model, join(state["state"], tensors) | self.load_rank(step, rank)
            return model, join(state["state"], tensors, load_blocks(path, state["blocks"]))
        except (SafetensorError, OSError, *UNPARSABLE) as error:
            raise CheckpointError(f"checkpoint cannot be read: {error}", where=str(path)) from error

    def load_weights(self, step: int) -> dict[str, Tensor]:
        """The model's tensors of a step alone, whole, for using what was learned.

        Raises:
            CheckpointError: missing, incomplete or damaged.
        """
        path = self.path(step)
        verify_weights(path)
        try:
            return dict(read_safetensors(path / FILES[0])) | {
                name: tensor
                for name, tensor in read_shards(shard_files(path), World()).items()
                if not name.startswith("/") and isinstance(tensor, Tensor)  # whole: one rank holds all
            }
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

    def prune(
        self, keep_last: int, best: int | None, delete: Callable[[Path], object] = delete_folder
    ) -> None:
        """Deletes all but the newest `keep_last` and the best; a failed delete stops nothing.

        Args:
            keep_last: At least 1.
            best: The step of another one to keep, if any.
            delete: Deletes a folder, at once or later.
        """
        steps = self.steps()
        for step in set(steps[:-keep_last]) - {best}:
            self.remove(step, delete)

    def set_apart(self, step: int) -> None:
        """Renames a damaged checkpoint, so that it is never taken for one but can still be looked at."""
        damaged = self.directory / f"damaged-step-{step:08d}"
        shutil.rmtree(damaged, ignore_errors=True)
        os.rename(self.path(step), damaged)

    def remove(self, step: int, delete: Callable[[Path], object] = delete_folder) -> None:
        """Deletes a checkpoint so that a half-deleted one is never taken for one."""
        trash = self.directory / f".trash-step-{step:08d}"
        delete_folder(trash)
        try:
            os.rename(self.path(step), trash)
        except OSError:
            return
        delete(trash)

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


def load_blocks(folder: Path, shapes: list[dict[str, Any]], rank: int = 0) -> list[Blocks]:
    """The large arrays of a checkpoint that was verified."""
    recorded = read_manifest(folder)["files"]
    arrays: list[Blocks] = []
    for number, shape in enumerate(shapes):
        names = sorted(name for name in recorded if name.startswith(f"{blocks_folder(rank)}/{number}-"))
        arrays.append(Blocks.load(shape, [(folder / name, recorded[name]) for name in names]))
    return arrays
