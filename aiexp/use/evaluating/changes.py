"""What may differ from the run when its task is evaluated: the data, and what computes."""

from dataclasses import dataclass
from typing import Any, cast, final

from omegaconf import OmegaConf

from aiexp.config.compose import compose
from aiexp.config.validate import validate
from aiexp.errors import ConfigError
from aiexp.rundir.assigned import assigned
from aiexp.rundir.changes import is_below
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import CONFIG, DATA
from aiexp.text.secrets import MASK

WHERE = "aiexp evaluate"
FREE = ("dataset", "hardware")
# One process evaluates.
OF_SEVERAL = ("hardware.devices", "hardware.parallel")
# Of the run, whatever data it is evaluated on: how an example becomes an input of the network.
PREPARATION = ("max_tokens", "image_size", "channels", "mean", "std", "frame_stack")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """The settings of an evaluation.

    Args:
        dataset: The node of the config.
        hardware: Settings in place of those of the run.
        words: What was typed about the data.
    """

    dataset: dict[str, Any]
    hardware: dict[str, Any]
    words: list[str]


def read_changes(directory: RunDirectory, words: list[str]) -> Changes:
    """The settings by which a run is evaluated.

    Args:
        directory: Of the run.
        words: KEY=VALUE as typed.

    Raises:
        ConfigError: a key that must not change or is not there, or a value that does not fit.
    """
    check_words(words)
    stored = validate(directory.read_config(), source=str(directory.path / CONFIG))
    changed = {name: _part(name, stored, words, directory) for name in FREE}
    if "dataset" in map(_key, words):
        changed["dataset"] = prepared_alike(changed["dataset"], stored["dataset"], directory, words)
    validate({**stored, **changed}, source=WHERE)
    hardware = {k: v for k, v in changed["hardware"].items() if stored["hardware"].get(k) != v}
    return Changes(
        dataset=changed["dataset"],
        hardware={k: v for k, v in hardware.items() if f"hardware.{k}" not in OF_SEVERAL},
        words=[word for word in words if is_below(_key(word), ("dataset",))],
    )


def check_words(words: list[str]) -> None:
    """Raises `ConfigError` for a key that an evaluation does not take."""
    for key in map(_key, words):
        if not is_below(key, FREE) or key in OF_SEVERAL:
            what = "one process evaluates" if key in OF_SEVERAL else "the rest is as the run was trained"
            raise ConfigError(
                f"'{key}' cannot change: {what}", where=WHERE,
                fix="dataset=NAME, dataset.KEY=VALUE, hardware.device=cpu, hardware.precision=fp32, ...",
            )  # fmt: skip


def _part(name: str, stored: dict[str, Any], words: list[str], directory: RunDirectory) -> dict[str, Any]:
    """A group of the config with what was typed about it: of the run, or of another option of the group."""
    own = [word for word in words if is_below(_key(word), (name,))]
    if name not in map(_key, own):
        return assigned(stored, own, WHERE)[name]
    choices, typed = directory.read_typed()
    left_out = (*FREE, "task", "tracker", "outputs", "hydra")
    typed = [word for word in typed if not is_below(_key(word), left_out) and MASK not in word]
    composed = compose([f"task={choices['task']}", *typed, *own])
    config = cast(dict[str, Any], OmegaConf.to_container(composed.config, resolve=True))
    if not isinstance(config[name], dict):
        raise ConfigError(f"{name}={config[name]} is nothing to evaluate on", where=WHERE)
    return config[name]


def prepared_alike(
    node: dict[str, Any], stored: dict[str, Any], directory: RunDirectory, words: list[str]
) -> dict[str, Any]:
    """Other data, whose examples are made inputs as those of the run were, unless it was typed otherwise."""
    typed = {_key(word).removeprefix("dataset.") for word in words}
    alike = {key: stored[key] for key in PREPARATION if key in node and key in stored and key not in typed}
    names = (directory.read_json(DATA).get("attributes") or {}).get("class_names")
    if names and node.get("class_names", ...) is None:
        alike["class_names"] = names
    return {**node, **alike}


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")
