"""A run on lazily decoded pictures that was killed ends as one that was not."""

from pathlib import Path

import pytest

from tests.endings import check_killed_and_resumed

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

    check_killed_and_resumed([*SETTINGS, f"dataset.train_folder={pets}"], 5, tmp_path)
