"""Checkpoints of sharded weights: whole or not there, for any number of ranks, and for torch's own reader."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
import torch.distributed.fsdp  # once, not in every fork
from torch import nn
from torch.distributed.checkpoint import HuggingFaceStorageReader

from aiexp.checkpoint.digest import digests
from aiexp.checkpoint.state import random_state
from aiexp.checkpoint.store import CheckpointStore
from aiexp.errors import CheckpointError
from aiexp.trainer.sharding import fitted_moments, load_weights
from aiexp.world.sharded import shard
from aiexp.world.world import World
from tests.ranks import together
from tests.toys import Classify

pytestmark = pytest.mark.ranks
FLOAT = torch.float32


class Net(Classify):
    """Batch norm has a count without dimensions; the last layer has fewer rows than three ranks need."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(8, 10), nn.BatchNorm1d(10), nn.ReLU(), nn.Linear(10, 2))


def make(world: World) -> tuple[Net, torch.optim.Optimizer]:
    task = Net()
    task.world = world
    if world.size > 1:
        shard(task, [task.model[0]], world, "cpu", FLOAT)
    return task, torch.optim.AdamW(task.parameters(), lr=0.01)


def save(store: CheckpointStore, world: World) -> dict[str, str]:
    """Checkpoints of steps 1, 2 and, never published, 3."""
    task, optimizer = make(world)
    task.forward = lambda x: task.model(x)  # pyright: ignore
    for step in (1, 2, 3):
        task(torch.randn(6, 8, generator=torch.Generator().manual_seed(step))).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        stepper = {"optimizers": {"model": optimizer.state_dict()}, "window": {}}
        training = {"stepper": stepper, "random": random_state(), "task": {}}
        writing = store.begin(step, task.state_dict(), training, world)
        writing.write()
        if step < 3:
            writing.publish()
    return {}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    together(3, lambda world: save(CheckpointStore(folder / "checkpoints"), world), folder)
    return folder / "checkpoints"


def contents(store: CheckpointStore, world: World) -> dict[str, str]:
    """Digests of weights and moments, loaded into a task of this world and gathered."""
    task, optimizer = make(world)
    model, state = store.load(2, world)
    load_weights(task, model)
    optimizer.load_state_dict(fitted_moments(optimizer, state["stepper"]["optimizers"]["model"]))
    moments = {f"{n}/{k}": whole(v) for n, s in enumerate(optimizer.state.values()) for k, v in s.items()}
    return digests({n: whole(t) for n, t in task.state_dict().items()} | moments)


def whole(tensor: Any) -> Any:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def test_any_number_of_ranks_reads_the_same(saved: Path, tmp_path: Path) -> None:
    store = CheckpointStore(saved)
    alone = contents(store, World())
    assert len(alone) == 9 + 3 * 6
    for size in (2, 3):
        assert together(size, lambda world: contents(store, world), tmp_path) == [alone] * size


def test_one_process_saves_what_ranks_shard(saved: Path, tmp_path: Path) -> None:
    model, training = CheckpointStore(saved).load(2)
    store = CheckpointStore(tmp_path / "checkpoints")
    store.save(2, model, training)
    assert not (store.path(2) / "shards").exists()
    assert together(2, lambda world: contents(store, world), tmp_path)[0] == contents(store, World())


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_torch_reads_the_shards_too(saved: Path) -> None:
    model, _ = CheckpointStore(saved).load(2)
    read = {n: torch.empty_like(t) for n, t in model.items() if "running" not in n and "num" not in n}
    dcp.load(read, storage_reader=HuggingFaceStorageReader(str(saved / "step-00000002/shards")), no_dist=True)
    assert all(torch.equal(read[name], model[name]) for name in read)


@pytest.mark.parametrize("damage", ["flip", "missing", "unlisted", "swapped"])
def test_a_damaged_shard_is_a_damaged_checkpoint(saved: Path, tmp_path: Path, damage: str) -> None:
    shutil.copytree(saved, tmp_path / "checkpoints")
    store = CheckpointStore(tmp_path / "checkpoints")
    shards = store.path(2) / "shards"
    data = bytearray((shards / "00001.safetensors").read_bytes())
    if damage == "flip":
        data[-9] ^= 1
        (shards / "00001.safetensors").write_bytes(data)
    if damage == "missing":
        (shards / "00001.safetensors").unlink()
    if damage == "swapped":
        shutil.copy(shards / "00000.safetensors", shards / "00001.safetensors")
    if damage == "unlisted":  # the manifest knows nothing of it
        manifest = store.path(2) / "manifest.json"
        text = manifest.read_text().replace("shards/00001", "shards/00003")
        manifest.write_text(text)
        (shards / "00001.safetensors").rename(shards / "00003.safetensors")
    with pytest.raises(CheckpointError):
        store.load(2)
    assert damage == "unlisted" or store.newest_valid()[0] == 1


def test_written_and_not_renamed_is_no_checkpoint(saved: Path) -> None:
    store = CheckpointStore(saved)
    assert (saved / ".tmp-step-00000003/shards/00002.safetensors").exists()
    assert store.newest_valid() == (2, [])
