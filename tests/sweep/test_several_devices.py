"""Jobs that take several devices: slots of as many, one process that starts its ranks, nobody left behind."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from aiexp.config.axes import check_sweep
from aiexp.config.compose import compose
from aiexp.errors import ConfigError, HardwareError
from aiexp.run import run
from aiexp.session import launcher
from aiexp.session.job import Job
from aiexp.sweep.hydra_sweep import HydraSweep
from aiexp.sweep.place import slot
from aiexp.sweep.place.cluster_launcher import RayLauncher, SubmititLauncher
from aiexp.sweep.search import pruning
from aiexp.sweep.sweep import prepare_sweep, sweep_job
from tests.forks import in_fork
from tests.sweep.conftest import wait_until
from tests.world.shared_run import WORDS, ForkedRank, alive, make_folder, ranks_of


@pytest.fixture
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 1, 7})
    monkeypatch.setattr(slot, "count_gpus", lambda: 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def slots_of(devices: int, *, gpus: list[int] | None = None) -> list[tuple[str | None, tuple[int, ...]]]:
    slots = slot.make_slots(n_jobs=None, gpus=gpus, use_gpus=True, num_jobs=9, devices=devices)
    return [(s.gpu, s.cores) for s in slots]


@pytest.mark.usefixtures("_four_cores")
@pytest.mark.skipif(sys.platform != "linux", reason="affinity")
def test_slots_of_several_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert slots_of(2) == [(None, (1, 3)), (None, (5, 7))]
    assert slots_of(8) == [(None, (1, 3, 5, 7))]
    monkeypatch.setattr(slot, "count_gpus", lambda: 5)
    assert slots_of(2) == [("0,1", (1, 3)), ("2,3", (5, 7))]
    assert slots_of(2, gpus=[4, 2, 1]) == [("4,2", (1, 3, 5, 7))]
    with pytest.raises(HardwareError, match="jobs take 4 GPUs, and 3 are to be used") as caught:
        slots_of(4, gpus=[0, 1, 2])
    assert caught.value.fix == "hardware.devices=3, or more hydra.launcher.gpus"


@pytest.mark.usefixtures("_four_cores")
@pytest.mark.skipif(sys.platform != "linux", reason="affinity")
@pytest.mark.parametrize("devices", ["2", "1,2"])
def test_slots_are_for_the_job_that_takes_most(devices: str) -> None:
    words = ["task=mnist_cnn", "hardware=cpu", "seed=0,1", f"hardware.devices={devices}"]
    overrides, job, first = prepare_sweep(words, None, resume=False)
    assert len(HydraSweep(overrides, job, first).slots(9)) == 2


def test_so_they_are_in_a_search(tmp_path: Path) -> None:
    axes, first = check_sweep(["task=mnist_cnn", "hardware=cpu", "hardware.devices=choice(1,3,2)"])
    assert sweep_job(tmp_path, None, axes, first, {}).devices == 3


def test_a_cluster_is_asked_for_as_many_gpus() -> None:
    class Most:
        devices = 4

    def asked(launcher: Any, device: str, given: float | None) -> float | None:
        launcher.config = OmegaConf.create({"hardware": {"device": device}})
        type(launcher).num_devices = property(lambda _: Most.devices)
        return launcher.num_gpus(given, "gpus")

    slurm = SubmititLauncher(cluster="slurm", n_jobs=1, max_failures=None, parameters=OmegaConf.create({}))
    ray = RayLauncher(address="auto", n_jobs=1, max_failures=None, cpus=1, gpus=0, nodes=1, restarts=0)
    before = type(slurm).num_devices
    try:
        assert [asked(slurm, "auto", None), asked(slurm, "cpu", None), asked(slurm, "gpu", 8)] == [4, None, 8]
        assert [asked(ray, "auto", 0), asked(ray, "cpu", 0)] == [4, 0]
        with pytest.raises(ConfigError, match="jobs take 4 devices and are given 2 GPUs"):
            asked(ray, "gpu", 2)
    finally:
        type(slurm).num_devices = type(ray).num_devices = before


class Scripted:
    """Prunes at step 8."""

    def report(self, step: int, metrics: dict[str, float]) -> bool:
        return step == 8


@pytest.mark.ranks
def test_a_search_ends_a_run_of_several_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, int]] = []

    def found(*trial: Any) -> Scripted:
        asked.append(trial)
        assert trial == (tmp_path / "sweep", 7)
        return Scripted()

    monkeypatch.setattr(pruning, "job_pruning", found)
    make_folder(tmp_path)

    def body() -> int:
        os.chdir(tmp_path)
        launcher.start = ForkedRank  # pyright: ignore[reportAttributeAccessIssue]
        os.environ["AIEXP_TEST_FAULT"] = ""
        tempfile.tempdir = str(tmp_path)
        job = Job(
            sweep_dir=tmp_path / "sweep", index=7, overrides=[], directory=tmp_path / "job",
            pruning=Scripted(),
        )  # fmt: skip
        return run(compose(WORDS), job)

    ended = in_fork(body, tmp_path)
    assert ended.code == 0, ended.stderr
    assert '"state": "pruned"' in (tmp_path / "job/status.json").read_text()
    assert "pruned at step 8" in ended.stdout


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="orphans")
def test_ranks_end_with_a_killed_job_and_with_a_killed_sweep(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    words = [*WORDS, "seed=0,1", "trainer.steps=1000000", "trainer.evaluate_every=1000000",
             "trainer.checkpoint.every=20", "hydra.launcher.grace=20"]  # fmt: skip
    sweep = subprocess.Popen(
        [sys.executable, "-m", "aiexp", "run", "-m", *words], cwd=folder, start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: any(folder.glob("outputs/shared/*/*_000_*/checkpoints/step-*")))
        ranks = ranks_of(folder)
        assert len(ranks) == 2
        os.kill(parent_of(ranks[0]), signal.SIGKILL)
        wait_until(lambda: not {*ranks} & {*alive(folder)})
        wait_until(lambda: any(folder.glob("outputs/shared/*/*_001_*/checkpoints/step-*")))
        assert len(ranks_of(folder)) == 2
    finally:
        sweep.kill()
        sweep.wait()
    wait_until(lambda: alive(folder) == [])
    first, second = sorted(folder.glob("outputs/shared/*/*/status.json"))
    assert '"error": "killed by SIGKILL"' in first.read_text()
    assert '"state": "stopped"' in second.read_text()


def parent_of(process: str) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
