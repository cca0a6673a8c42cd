"""Averaged weights of several ranks: sharded they are what they are whole, and exact after a kill."""

import signal
from pathlib import Path

import pytest
import torch
import torch.distributed.fsdp  # once, not in every fork

from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.weights import learned
from tests.endings import digest
from tests.world.shared_run import WORDS, aiexp, latest, make_folder

pytestmark = pytest.mark.ranks
AVERAGED = [*WORDS, "average=ema", "trainer.selection.average.decay=0.8"]


def trained(folder: Path, *words: str) -> RunDirectory:
    ended = aiexp(make_folder(folder), "run", *AVERAGED, *words)
    assert ended.code == 0, ended.stderr
    return latest(folder)


@pytest.mark.slow
def test_a_sharded_average_is_the_whole_one_and_survives_a_kill(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("ddp", "fsdp", "killed")}
    for folder in folders.values():
        folder.mkdir()
    shared = trained(folders["ddp"])
    sharded = trained(folders["fsdp"], "hardware.parallel=fsdp")
    whole, found = (dict(learned(run).weights) for run in (shared, sharded))
    assert found.keys() == whole.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, whole[name], rtol=0, atol=1e-6, msg=name)
    killed = make_folder(folders["killed"])
    words = [*AVERAGED, "hardware.parallel=fsdp", "trainer.checkpoint.asynchronous=true"]
    assert aiexp(killed, "run", *words, fault="all:1:7").code == -signal.SIGKILL
    again = aiexp(killed, "resume", str(latest(killed).path))
    assert again.code == 0, again.stderr
    assert digest(latest(killed)) == digest(sharded)
