"""The values of a sweep, checked one by one before its first job starts."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from aiexp.config.compose import Merged, check_hydra_settings, compose
from aiexp.config.composed import Composed, prepare
from aiexp.config.folders import ConfDirs, conf_dirs
from aiexp.config.hydra_settings import is_hydra_setting
from aiexp.config.overrides import parse
from aiexp.config.problem import raise_all
from aiexp.errors import AiexpError, ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import IntervalSweep, Override


@dataclass(frozen=True, kw_only=True)
class Axes:
    """A sweep taken apart.

    Args:
        fixed: Overrides with one value.
        groups: For each group with several options, its overrides: [["model=a", "model=b"]].
        keys: The same for keys.
        names: Keys and groups with several values, as typed before the `=`.
    """

    fixed: list[str]
    groups: list[list[str]]
    keys: list[list[str]]
    names: frozenset[str]


def check_sweep(
    overrides: list[str], *, config_dir: str | None = None, merged: Merged | None = None
) -> tuple[Axes, Composed]:
    """The axes of a sweep and the config of its first job, once every value of every axis has been checked.

    Each combination of groups is composed with each value of each key, not with each combination of values.

    Args:
        overrides: As typed; Hydra's own settings are left to Hydra.
        config_dir: As for `compose`.
        merged: Takes the options merged here, for those who compose the jobs again.

    Raises:
        ConfigErrors: every problem of any job.
        SecurityError: as for `compose`.
    """
    dirs = conf_dirs(config_dir)
    prepare()
    check_hydra_settings(overrides, dirs)
    errors: list[AiexpError] = []
    axes = _axes(parse(overrides, errors, dirs), dirs, errors)
    fixed = [o for o in axes.fixed if not is_hydra_setting(o)]
    jobs = ([*fixed, *g, *keys] for g in itertools.product(*axes.groups) for keys in probes(axes.keys))
    first = compose_each(jobs, errors, config_dir=config_dir, merged=merged)
    if first is None:
        raise ConfigError("the sweep has no jobs", where="command line", fix="give each axis a value")
    return axes, first


def probes(axes: list[list[str]]) -> list[list[str]]:
    """The first value of every axis; then each other value, beside the first ones of the other axes."""
    start = [values[0] for values in axes]
    others = ((i, value) for i, axis in enumerate(axes) for value in axis[1:])
    return [start, *([*start[:i], value, *start[i + 1 :]] for i, value in others)]


def compose_each(
    jobs: Iterable[list[str]],
    errors: list[AiexpError],
    *,
    config_dir: str | None = None,
    merged: Merged | None = None,
) -> Composed | None:
    """The config of the first of some jobs, once all have been composed; None for no jobs.

    Args:
        jobs: Their overrides.
        errors: Known already.
        config_dir: As for `compose`.
        merged: As for `compose`.

    Raises:
        ConfigErrors: every problem of any job.
    """
    first: Composed | None = None
    merged = {} if merged is None else merged
    for overrides in jobs:
        try:
            composed = compose(overrides, config_dir=config_dir, merged=merged)
            first = first or composed
        except AiexpError as error:
            errors += getattr(error, "errors", [error])
    # A misspelled axis is one problem, not one for each of its values.
    raise_all(list({(e.what, e.fix): e for e in errors}.values()))
    return first


def _axes(parsed: "list[Override]", dirs: ConfDirs, errors: list[AiexpError]) -> Axes:
    """Overrides sorted into fixed ones and axes."""
    options = dirs.options()
    fixed: list[str] = []
    groups: list[list[str]] = []
    keys: list[list[str]] = []
    names: set[str] = set()
    is_own_sweeper = any(o.key_or_group == "hydra/sweeper" for o in parsed)
    for override in parsed:
        text, name = override.input_line or "", override.get_key_element()
        if not override.is_sweep_override():
            fixed.append(text)
        elif override.is_discrete_sweep():
            values = [f"{name}={v}" for v in _values(override, dirs)]
            if not values:
                what = f"'{text}' has no values, so the sweep has no jobs"
                errors.append(ConfigError(what, where=f"command line: {text}", fix="name at least one"))
                continue
            (groups if override.key_or_group.split("@")[0] in options else keys).append(values)
            names.add(name)
        elif is_own_sweeper:
            interval = cast("IntervalSweep", override.value())
            keys.append([f"{name}={interval.start}", f"{name}={interval.end}"])  # its ends stand for all
            names.add(name)
        else:
            what = f"'{text}' needs a sweeper that searches; the basic one tries every listed value"
            fix = f"add hydra/sweeper=optuna (hydra.sweeper.sampler=random draws), or type {name}=1,2,3"
            errors.append(ConfigError(what, where=f"command line: {text}", fix=fix))
    return Axes(fixed=fixed, groups=groups, keys=keys, names=frozenset(names))


def _values(override: "Override", dirs: ConfDirs) -> list[str]:
    """Every value of a discrete axis, as text; globs are matched against the group's options."""
    from hydra.core.override_parser.types import Glob

    value = override.value()
    if isinstance(value, Glob):
        return value.filter(list(dirs.options().get(override.key_or_group, {})))
    return [str(v) for v in override.sweep_string_iterator()]
