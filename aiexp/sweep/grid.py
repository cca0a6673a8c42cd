"""All jobs of a grid, composed and checked before the first one starts."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from omegaconf import OmegaConf

from aiexp.config.compose import Merged, compose
from aiexp.config.composed import Composed
from aiexp.config.target.allowed import targets_in
from aiexp.errors import ConfigError
from aiexp.hardware.hardware import count_devices, count_gpus

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader


@final
@dataclass(frozen=True, kw_only=True)
class PlannedJob:
    """A job before it starts.

    Args:
        index: Its number, from 0.
        overrides: All of them.
        composed: Its config.
    """

    index: int
    overrides: list[str]
    composed: Composed


def grid(arguments: list[str], loader: "ConfigLoader") -> list[list[str]]:
    """The overrides of every job, in the order of Hydra's basic sweeper.

    Args:
        arguments: As typed, without Hydra's settings.
        loader: Knows the options that a `glob` matches.

    Raises:
        ConfigError: there is none.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create(config_loader=loader).parse_overrides(arguments)
    (jobs,) = BasicSweeper.split_arguments(parsed, None)
    if not jobs:
        raise ConfigError("the sweep has no jobs", where="command line", fix="give each axis a value")
    return jobs


def plan(jobs: list[list[str]], *, config_dir: str | None, merged: Merged) -> Generator[PlannedJob]:
    """Composes the jobs one after the other.

    Raises:
        ConfigErrors: a job's config is wrong.
    """
    for index, overrides in enumerate(jobs):
        composed = compose(overrides, config_dir=config_dir, merged=merged)
        yield PlannedJob(index=index, overrides=overrides, composed=composed)


def targets_of(composed: Composed) -> set[str]:
    """Every `_target_` of a config."""
    return targets_in(OmegaConf.to_container(composed.config, resolve=True))


def devices_of(composed: Composed) -> int:
    """How many devices of this machine a job takes."""
    devices, device = (OmegaConf.select(composed.config, f"hardware.{key}") for key in ("devices", "device"))
    if devices == "all":
        return count_devices("all", 0 if device == "cpu" else count_gpus())
    return int(devices or 1)
