"""Runs that were trained for a few steps, on generated pictures and texts."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aiexp import cli
from aiexp.rundir.directory import RunDirectory
from aiexp.runs.loaded import LoadedRun
from tests.forks import Ended, in_fork
from tests.task.images import draw
from tests.toys import make_hardware, new_run

QUICK = [
    "hardware.threads=1", "hardware.precision=fp32", "trainer.steps=4", "trainer.epochs=null", "tracker=none",
]  # fmt: skip


def aiexp(folder: Path, *words: str) -> Ended:
    """`aiexp WORDS` in a fork, in `folder`."""

    def body() -> int:
        os.chdir(folder)
        sys.argv = ["aiexp", *words]
        return cli.main(list(words))

    return in_fork(body, folder, seconds=120)


def train(folder: Path, *words: str) -> Path:
    """Trains in a fork, in `folder`; returns the run directory."""
    ended = aiexp(folder, "run", *words, *QUICK)
    assert ended.code == 0, ended.stderr
    return (folder / "outputs/latest").resolve()


def command_of(run: Path) -> list[str]:
    """What was typed to train a run."""
    typed = RunDirectory(run).read_typed()[1]
    return ["run", *typed]


def again(folder: Path, run: Path, *words: str) -> Ended:
    """The command of a run once more, with other words behind."""
    return aiexp(folder, *command_of(run), *words)


def train_again(folder: Path, run: Path, *words: str) -> Path:
    """The same, which has to end well; returns the run directory."""
    ended = again(folder, run, *words)
    assert ended.code == 0, ended.stderr
    return (folder / "outputs/latest").resolve()


def pictures_run(folder: Path, *words: str) -> Path:
    """Of stripes in grey, 20 pixels a side, in a folder for each class."""
    drawn, names = draw(60, 1, 20, 0), ("across", "down", "slanted")
    for number, (image, label) in enumerate(zip(drawn.images, drawn.labels.tolist(), strict=True)):
        path = folder / "pictures" / names[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(path)
    settings = [f"dataset.train_folder={folder}/pictures", "dataset.image_size=20", "dataset.channels=1"]
    settings += ["dataset.mean=[0.5]", "dataset.std=[0.25]"]
    settings += ["dataset.test_fraction=0.3", "dataset.eval_fraction=0.1", "dataset.eval_batch_size=8"]
    return train(folder, "task=mnist_cnn", "dataset=image_folder", *settings, *words)


def texts_run(folder: Path, *words: str) -> Path:
    """Of sentences of different lengths in a CSV file in `folder`."""
    random = np.random.default_rng(0)
    rows = ["text,label"]
    for number in range(120):
        kind = ("dull poor weak", "great fine warm")[number % 2].split()
        rows.append(
            f"film {number} is {' '.join(random.choice(kind, int(random.integers(1, 20))))},{number % 2}"
        )
    (folder / "reviews.csv").write_text("\n".join(rows))
    settings = [
        "dataset.test_fraction=0.3",
        "dataset.max_tokens=40",
        f"dataset.train_file={folder}/reviews.csv",
    ]
    return train(folder, "task=bert_finetune", "model=bert_tiny", "dataset=text_files", *settings, *words)


def loaded(folder: Path, task: Any) -> LoadedRun:
    """A run of a task that nobody has trained."""
    return LoadedRun(
        directory=new_run(folder), config={"seed": 0}, hardware=make_hardware(), task=task.eval(), step=3
    )
