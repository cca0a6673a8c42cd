"""A run on lazily decoded pictures that was killed ends as one that was not."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from aiexp import cli
from aiexp.rundir.directory import RunDirectory
from tests.endings import die_at, digest
from tests.forks import in_fork

SETTINGS = [
    *("task=mnist_cnn", "dataset=image_folder", "dataset.memory=lazy", "dataset.num_workers=1"),
    *("dataset.image_size=28", "dataset.channels=1", "dataset.mean=[0.5]", "dataset.std=[0.25]"),
    *("dataset.batch_size=8", "trainer.epochs=null", "trainer.steps=9", "trainer.checkpoint.every=3"),
    *("tracker=none", "hardware.device=cpu", "hardware.threads=1"),
]


def test_a_killed_run_on_lazy_pictures_goes_on_exactly(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(name: str, before: Callable[[], object] = lambda: None) -> int:
        def body() -> int:
            before()
            return cli.main(["run", *SETTINGS, f"dataset.train_folder={pets}", f"outputs={name}"])

        return in_fork(body, tmp_path, seconds=60).code

    assert run("whole") == 0
    assert run("killed", lambda: die_at(5)) == -signal.SIGKILL
    assert in_fork(lambda: cli.main(["resume", "killed/latest"]), tmp_path, seconds=60).code == 0
    whole, killed = (RunDirectory(tmp_path / name / "latest") for name in ("whole", "killed"))
    assert digest(killed) == digest(whole)
