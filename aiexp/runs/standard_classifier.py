"""The classifier of a published data set: trained once by our own command, then kept beside the data."""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch

from aiexp.checkpoint.manifest import FORMAT
from aiexp.checkpoint.store import CheckpointStore
from aiexp.config.validate import validate
from aiexp.dataset.base import ImageData
from aiexp.dataset.image.published import CLASS_NAMES
from aiexp.errors import AiexpError, ConfigError, DataError
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CHECKPOINTS, STATUS
from aiexp.rundir.state import State
from aiexp.source.cache import data_dir
from aiexp.storage.files import storage_errors
from aiexp.storage.lock import open_lock, wait_for
from aiexp.task.adversarial.sample_quality import KEY
from aiexp.text.terminal import say

RUN_KEY = f"{KEY}.run"
EPOCHS = 2  # 99 % of the digits: measured


def standard_classifier(dataset: ImageData) -> Path:
    """The run directory of the classifier of a data set, trained now if there is none yet.

    It depends on the collection, the image size and the channels only: all runs on images of one kind are
    judged by the same classifier, whatever part of them they learn from.

    Raises:
        ConfigError: the data set is not one of the published ones.
        DataError: training the classifier failed.
        StorageError: the data folder cannot be written.
    """
    collection = next((name for name, classes in CLASS_NAMES.items() if classes == dataset.class_names), None)
    if collection is None:
        raise ConfigError(
            f"there is no standard classifier for this data set, only for {', '.join(CLASS_NAMES)}",
            where=f"{RUN_KEY}=auto",
            fix=f"{RUN_KEY}=<directory of a run of task=mnist_cnn on it>, or {KEY}=null for pictures only",
        )
    folder = data_dir() / "classifiers"
    size = f"{dataset.image_size}x{dataset.image_size}x{dataset.channels}"
    path = folder / f"{collection}-{size}-format{FORMAT}"  # an older aiexp's checkpoint is of no use
    with storage_errors("making the folder of classifiers", folder):
        folder.mkdir(parents=True, exist_ok=True)
    if not is_whole(path):
        with only_one(folder / f".{path.name}.lock", path.name):
            if not is_whole(path):
                train(path, collection, dataset)
    return path


def is_whole(path: Path) -> bool:
    """Whether a finished run with an intact checkpoint lies there, which this aiexp can build again."""
    directory = RunDirectory(path)
    if directory.read_json(STATUS).get("state") != State.FINISHED:
        return False
    try:
        validate(directory.read_config())
    except AiexpError:  # an older aiexp's, whose classes have other names
        return False
    return CheckpointStore(path / CHECKPOINTS).newest_valid()[0] is not None


@contextmanager
def only_one(lock: Path, name: str) -> Generator[None]:
    """A body that one process at a time is in; the others wait."""
    with storage_errors("locking the folder of classifiers", lock):
        opened = open_lock(lock)
    with opened as stream:
        wait_for(stream, f"trains the classifier {name}")  # without locks whoever is last wins: a whole run
        yield


def train(path: Path, collection: str, dataset: ImageData) -> None:
    """Trains in a folder of its own, then moves the run to `path` in one step."""
    staging = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(staging, ignore_errors=True)
    words = [
        "task=mnist_cnn", f"dataset={collection}", f"dataset.image_size={dataset.image_size}",
        f"dataset.channels={dataset.channels}", f"trainer.epochs={EPOCHS}",
    ]  # fmt: skip
    say(
        f"training the classifier that judges the samples, once, in about a minute: "
        f"aiexp run {' '.join(words)} -> {path} (without it: SampleQuality's classifier: null)"
    )
    threads = f"hardware.threads={torch.get_num_threads()}"
    command = [
        sys.executable, "-m", "aiexp", "run", *words, "tracker=none", threads, f"outputs={staging}",
    ]  # fmt: skip
    try:
        run_quietly(command)
        (run,) = (p for p in (staging / "mnist_cnn").iterdir() if is_whole(p))
        shutil.rmtree(path, ignore_errors=True)  # unfinished or damaged
        with storage_errors("keeping the classifier", path):
            os.rename(run, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def run_quietly(command: list[str]) -> None:
    """Runs a command whose output nobody reads unless it fails.

    Raises:
        DataError: it failed; its last line says why.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, errors = process.communicate()
    except BaseException:  # a stop request: the child has nothing worth keeping
        process.kill()
        process.wait()
        raise
    if process.returncode:
        last = (errors.strip().splitlines() or ["no message"])[-1]
        raise DataError(
            f"training the classifier failed: {last}", where=f"{RUN_KEY}=auto",
            fix=f"try it alone: aiexp {' '.join(command[3:-3])}; or {KEY}=null",
        )  # fmt: skip
