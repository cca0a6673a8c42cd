"""What ranks tell each other."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from aiexp.errors import ConfigError, HardwareError
from aiexp.hardware.hardware import count_devices
from aiexp.session.stop import StopRequested, StopSignal
from aiexp.task.base import Last, Sum
from aiexp.trainer.together import check_alike, merged, synced
from aiexp.world.world import STORE, World
from tests.forks import in_fork
from tests.ranks import together
from tests.toys import Linear

pytestmark = pytest.mark.ranks


def talk(world: World) -> dict[str, Any]:
    said: dict[str, Any] = {"ask": world.ask(world.rank + 0.5)(), "largest": world.largest(-world.rank)}
    value = {"step": world.rank, "rows": [torch.full((world.rank + 1,), world.rank)], "none": None}
    said["rows"] = [each["rows"][0].tolist() for each in world.gather(value)]
    said["leader"] = world.from_leader(f"rank {world.rank}")
    said["odd"] = [world.odd_rank("same"), world.odd_rank(world.rank == 1)]
    module = nn.BatchNorm1d(2)
    module.running_mean += world.rank + 1
    world.share_buffers(module)
    said["buffers"] = module.running_mean.tolist()
    calls: list[int] = []
    world.before_batch = lambda: calls.append(1)
    own = list(world.dealt(range(5)))
    said["dealt"], said["calls"] = own, len(calls)
    said["gathered"] = world.gathered([number * 10 for number in own])
    said["nothing"] = world.gathered([])
    world.barrier()
    return said


def test_ranks_hear_the_same(tmp_path: Path) -> None:
    answers = together(3, talk, tmp_path)
    assert [answer.pop("dealt") for answer in answers] == [[0, 3], [1, 4], [2]]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0] == {
        "ask": [0.5, 1.5, 2.5],
        "largest": 0.0,
        "rows": [[0], [1, 1], [2, 2, 2]],
        "leader": "rank 0",
        "odd": [None, 1],
        "buffers": [1.0, 1.0],
        "calls": 2,
        "gathered": [0, 10, 20, 30, 40],
        "nothing": [],
    }


def test_weights_that_differ_are_found(tmp_path: Path) -> None:
    def differ(world: World) -> str:
        weight = nn.Parameter(torch.full((3,), float(world.rank == 1)))
        with pytest.raises(HardwareError) as caught:
            check_alike(world, [weight], {}, 7)
        return caught.value.what

    (said,) = set(together(2, differ, tmp_path))
    assert said.startswith("the weights of rank 1 are not those of rank 0 at step 7")


def test_what_nobody_could_send_is_refused(tmp_path: Path) -> None:
    """Values are JSON and tensors; a class that runs code when it is unpickled does not arrive."""

    def send(world: World) -> bool:
        try:
            world.gather(subprocess.Popen if world.rank else 1)
        except Exception as error:
            return "eights" in str(error) or "Unsupported" in str(error) or "unpickl" in str(error).lower()
        return False

    assert together(2, send, tmp_path) == [True, True]


def test_two_optimizers_of_one_parameter() -> None:
    parameter = nn.Parameter(torch.ones(2))
    with pytest.raises(ConfigError, match="optimizers 'a' and 'b' share a parameter"):
        synced({"a": [parameter], "b": [parameter]}, Linear())


def test_metrics_of_all_ranks() -> None:
    windows = [{"loss": [3.0, 0.75], "games": [2, 1], "size": [7, 1]}, {"loss": [5.0, 0.25], "games": [3, 1]}]
    found = merged(windows, {"games": Sum, "size": Last})
    assert found == {"loss": [8.0, 1.0], "games": [5, 1], "size": [7, 1]}


def test_how_many_devices() -> None:
    assert count_devices("all", 4) == 4
    assert count_devices("all", 0) == 1
    assert count_devices(3, 0) == 3
    with pytest.raises(HardwareError, match="8 GPUs are asked for, and there are 2"):
        count_devices(8, 2)


def test_a_launcher_imports_no_torch_and_one_rank_no_elastic() -> None:
    launcher = "import sys, aiexp.run, aiexp.rank, aiexp.session.launcher; sys.exit('torch' in sys.modules)"
    alone = (
        "import sys, aiexp.trainer.trainer, torch.distributed as d\n"
        "sys.exit('torch.distributed.elastic' in sys.modules or d.is_initialized())"
    )
    for program in (launcher, alone):
        assert subprocess.run([sys.executable, "-c", program], check=False, timeout=120).returncode == 0


def test_a_stop_is_heard_while_the_others_are_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others may have left before they came; nobody is to be killed only after the grace time."""
    monkeypatch.setenv(STORE, str(tmp_path / "store"))

    def body() -> int:
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
        try:
            with StopSignal() as stop, stop.interruptible():
                World(0, 2).start("cpu", 60.0)
        except StopRequested:
            return 7
        return 1

    assert in_fork(body, tmp_path, seconds=20).code == 7
