"""A run's task together with the data that it is judged on."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from aiexp.checkpoint.state import load_random_state, random_state
from aiexp.config.objects.build import build
from aiexp.config.start import starts
from aiexp.config.validate import validate
from aiexp.dataset.splits import check_split
from aiexp.errors import ConfigError, DataError
from aiexp.experiment import Experiment
from aiexp.rundir.code.copied import used_code_of
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CONFIG, DATA, ENVIRONMENT
from aiexp.runs.loaded import LoadedRun, Say, load_run, made_hardware, made_task
from aiexp.task.contract import check_dataset
from aiexp.trainer.starting import start
from aiexp.use.evaluating.changes import WHERE, Changes, read_changes

if TYPE_CHECKING:
    from aiexp.task.base import Task

SPLITS = ("test", "eval", "train")
SHOWN = 8  # names of classes in a message before the rest is cut
# Attributes of a data set that a trained task takes for granted, and what messages call them.
TAKEN = {
    "class_names": "the classes",
    "image_size": "pictures of the size",
    "channels": "pictures whose channels are",
    "ways": "episodes whose classes are",
    "observation_shape": "observations of the shape",
    "num_actions": "actions whose number is",
}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A task that is judged.

    Args:
        run: Its run; step 0 is untrained.
        dataset: What it is judged on, made ready for it.
        changes: How that differs from the run.
    """

    run: LoadedRun
    dataset: Any
    changes: Changes

    @property
    def name(self) -> str:
        """That of the run's folder."""
        return self.run.directory.path.name

    @property
    def task(self) -> "Task":
        """The run's."""
        return self.run.task


def load_candidate(path: Path, words: list[str], step: int | None, say: Say) -> Candidate:
    """The task of a run and its data.

    Args:
        path: A run directory.
        words: KEY=VALUE as typed.
        step: Of the checkpoint; None is the best one, 0 is before training.
        say: Hears what there is to know.

    Raises:
        AiexpError: as `load_run`; or the data cannot be had, or are nothing for the task.
    """
    directory = RunDirectory.open(path)
    with used_code_of(directory.path):
        changes = read_changes(directory, words)
    held: list[Any] = []

    def lend(config: dict[str, Any]) -> Any:
        dataset = build(changes.dataset)
        check_dataset(dataset)
        check_fit(taken_of(directory, config, changes), dataset)
        held.append(dataset)
        return dataset

    if step == 0:
        run = untrained(directory, changes, lend, say, held)
    else:
        run = load_run(path, step=step, say=say, hardware=changes.hardware, lend=lend)
    (dataset,) = held
    if not changes.words and is_other(directory, dataset):
        say("the data have changed since the training: their fingerprint is another one")
    return Candidate(run=run, dataset=dataset, changes=changes)


def untrained(directory: RunDirectory, changes: Changes, lend: Any, say: Say, held: list[Any]) -> LoadedRun:
    """The task of a run before its first step: weights it started from, pretrained, or first of its seed.

    Args:
        directory: Of the run.
        changes: Of its data and its hardware.
        lend: Makes the other data, where they are others.
        say: Hears what there is to know.
        held: Gets the data set.
    """
    random = random_state()
    try:
        with used_code_of(directory.path):
            config = validate(directory.read_config(), source=str(directory.path / CONFIG))
            hardware = made_hardware(config, changes.hardware)
            experiment = Experiment.of(config, hardware)
            if starts(config):
                start(experiment.task, config, say)
            if changes.words:
                made_task(directory, config, say, lend(config))  # makes the data ready
            else:
                held.append(experiment.dataset)
    finally:
        load_random_state(random)
    experiment.task.eval().requires_grad_(False)
    hardware.prepare(experiment.task)
    return LoadedRun(directory=directory, config=config, hardware=hardware, task=experiment.task, step=0)


def is_other(directory: RunDirectory, dataset: Any) -> bool:
    """Whether a run has recorded another fingerprint of its data."""
    recorded = (directory.read_json(ENVIRONMENT).get("dataset") or {}).get("fingerprint")
    return recorded is not None and recorded != dataset.fingerprint()


def taken_of(directory: RunDirectory, config: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """What the task of a run takes for granted of its data; see `TAKEN`."""
    remembered = directory.read(DATA)
    if remembered.get("generated"):
        return taken(build(config["dataset"])) if changes.words else {}
    attributes: dict[str, Any] = remembered.get("attributes") or {}
    return {name: attributes[name] for name in TAKEN if name in attributes}


def taken(dataset: Any) -> dict[str, Any]:
    """The attributes among `TAKEN` that a data set has, as JSON values."""
    values = {name: getattr(dataset, name, None) for name in TAKEN}
    values["num_actions"] = getattr(getattr(dataset, "spaces", None), "num_actions", None)
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return {name: value for name, value in plain.items() if value is not None}


def check_fit(wanted: dict[str, Any], dataset: Any) -> None:
    """Raises `ConfigError` where a data set is not of the kind that a task was trained on."""
    found = taken(dataset)
    for name, value in wanted.items():
        if found.get(name) != value:
            raise ConfigError(
                f"the data have {TAKEN[name]} {_shown(found.get(name))}, and the task was trained on "
                f"{_shown(value)}", where=f"{WHERE}: dataset",
                fix="data of the same kind",
            )  # fmt: skip


def _shown(value: Any) -> str:
    """A value in a message: `a, b, c, ...`."""
    if not isinstance(value, list):
        return "none" if value is None else str(value)
    items: list[Any] = value
    return ", ".join(map(str, items[:SHOWN])) + (f", ... ({len(items)} in all)" if items[SHOWN:] else "")


def check_examples(dataset: Any, split: str) -> None:
    """Raises `ConfigError` for a split that no data set has, `DataError` for one without examples."""
    check_split(split)
    if dataset.num_examples(split) != 0:
        return
    others = [name for name in SPLITS if dataset.num_examples(name) != 0]
    raise DataError(
        f"the split '{split}' of the data has no examples", where="--split",
        fix=f"--split {others[0]}, or cut some off" if others else "data with examples",
    )  # fmt: skip
