"""A sharded run: stopped or killed anywhere it ends in the same bytes, and other numbers of ranks go on."""

import signal
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.distributed.fsdp  # once, not in every fork

from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import LOCK
from aiexp.rundir.weights import learned
from aiexp.storage.lock import is_held
from tests.endings import digest
from tests.world.shared_run import WORDS, aiexp, latest, lines, make_folder

pytestmark = pytest.mark.ranks
SHARDED = [*WORDS, "hardware.parallel=fsdp"]
ASYNCHRONOUS = "trainer.checkpoint.asynchronous=true"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RunDirectory]:
    """How ranks work together to a whole run, its checkpoints written while it waits."""

    @cache
    def made(parallel: str) -> RunDirectory:
        folder = make_folder(tmp_path_factory.mktemp(parallel))
        assert aiexp(folder, "run", *WORDS, f"hardware.parallel={parallel}").code == 0
        return latest(folder)

    return made


@pytest.mark.parametrize(
    ("parallel", "asynchronous", "fault", "code"),
    [
        pytest.param("fsdp", "false", "TERM:1:5", 143, marks=pytest.mark.slow),
        ("fsdp", "true", "all:1:7", -signal.SIGKILL),
        pytest.param("ddp", "true", "TERM:0:5", 143, marks=pytest.mark.slow),
    ],
)
def test_interrupted_it_ends_in_the_same_bytes(
    tmp_path: Path,
    uninterrupted: Callable[[str], RunDirectory],
    parallel: str,
    asynchronous: str,
    fault: str,
    code: int,
) -> None:
    folder = make_folder(tmp_path)
    words = [*WORDS, f"hardware.parallel={parallel}", f"trainer.checkpoint.asynchronous={asynchronous}"]
    assert aiexp(folder, "run", *words, fault=fault).code == code
    directory = latest(folder)
    deadline = time.monotonic() + 30  # who is killed while the disk writes ends only when that has
    while is_held(directory.path / LOCK) and time.monotonic() < deadline:
        time.sleep(0.05)
    resumed = aiexp(folder, "resume", str(directory.path))
    assert resumed.code == 0, resumed.stderr
    assert digest(directory) == digest(uninterrupted(parallel))


def test_shards_are_read_as_whole_weights(uninterrupted: Callable[[str], RunDirectory]) -> None:
    """By whoever uses the run: predict, evaluate, export."""
    shared, sharded = (dict(learned(uninterrupted(parallel)).weights) for parallel in ("ddp", "fsdp"))
    assert shared.keys() == sharded.keys()
    for name, whole in shared.items():
        torch.testing.assert_close(sharded[name], whole, rtol=0, atol=1e-6, msg=name)


def test_other_numbers_of_ranks_go_on(tmp_path: Path) -> None:
    """2 sharded, then 1 alone, then 3 sharded."""
    folder = make_folder(tmp_path)
    words = [*SHARDED, "task.keeps=false"]
    assert aiexp(folder, "run", *words, fault="TERM:1:3").code == 143
    directory = latest(folder)
    alone = aiexp(folder, "resume", str(directory.path), "hardware.devices=1", fault="TERM:0:7")
    assert alone.code in (143, 1), alone.stderr
    several = aiexp(folder, "resume", str(directory.path), "hardware.devices=3")
    assert several.code == 0, several.stderr
    assert "saved by 2 ranks, continued by 1" in alone.stdout
    assert "saved by 1 ranks, continued by 3" in several.stdout
    assert [line["step"] for line in lines(directory) if "train/loss" in line] == [5, 10, 12]
    assert (directory.path / "checkpoints/step-00000012/shards/00002.safetensors").exists()


def test_what_ranks_must_have_alike_is_compared(tmp_path: Path) -> None:
    ended = aiexp(make_folder(tmp_path), "run", *SHARDED, fault="rate:1:5")
    assert ended.code == 5
    assert "the optimizers of rank 1 are not those of rank 0 at step 6; no checkpoint" in ended.stderr


def test_a_task_that_names_no_blocks_is_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    code = (folder / "ranks_lab/shared.py").read_text()
    (folder / "ranks_lab/shared.py").write_text(code.replace("def shards", "def no_shards"))
    ended = aiexp(folder, "run", *SHARDED)
    assert ended.code == 2
    (said,) = ended.stderr.splitlines()
    assert "Shared names no blocks, so its weights cannot be sharded" in said
    assert "fix: hardware.parallel=ddp" in said
