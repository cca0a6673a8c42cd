"""Checks a composed or stored config as a whole and reports all its problems at once."""

import re
from collections.abc import Mapping
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aiexp.config.composed import Composed, choices_of, prepare, without_hydra
from aiexp.config.folders import GROUPS, ConfDirs
from aiexp.config.hydra_settings import check_node
from aiexp.config.origin import Origin
from aiexp.config.problem import raise_all
from aiexp.config.resolve import references, resolve
from aiexp.config.target.arguments import OPTIONAL_GROUPS, check_values
from aiexp.errors import AiexpError, ConfigError


def check_composed(
    full: DictConfig, overrides: list[str], dirs: ConfDirs
) -> tuple[Composed, list[AiexpError]]:
    """The config out of what Hydra composed from `overrides`, and everything wrong with it."""
    choices = choices_of(full)
    problems = check_node(full.hydra)
    composed = Composed(config=without_hydra(full), choices=choices, overrides=overrides)
    for group in OPTIONAL_GROUPS:
        if group not in composed.config:
            # Left out with `~dataset`: there, and empty.
            OmegaConf.update(composed.config, group, None, force_add=True)
    values, unresolved = resolve(composed.config)
    problems += unresolved
    problems += check_values(values, [g for g in choices if g not in GROUPS])
    # One wrong value must not be said again by every key that repeats it.
    wrong, repeats = {p.key for p in problems}, references(composed.config) if problems else {}
    problems = [p for p in problems if p.is_refusal or repeats.get(p.key) not in wrong]
    origin = Origin(overrides=overrides, choices=choices, dirs=dirs)
    return composed, [p.error(origin.where(p.key)) for p in problems]


def stored(value: Any) -> Any:
    """A plain config as `config.yaml` holds it: text that looks like an interpolation, but is none, escaped.

    `validate` gives back what this was given.
    """
    if isinstance(value, dict):
        return {k: stored(v) for k, v in cast(dict[Any, Any], value).items()}
    if isinstance(value, list):
        return [stored(item) for item in cast(list[Any], value)]
    if isinstance(value, str):
        return re.sub(r"(\\*)\$\{", lambda found: f"{found[1] * 2}\\${{", value)
    return value


def validate(config: DictConfig | Mapping[str, Any], *, source: str = "config.yaml") -> dict[str, Any]:
    """The plain values of a stored config, after the same checks that composing makes.

    A run directory may come from someone else, so nothing in it is trusted.

    Args:
        config: Content of a `config.yaml`.
        source: The file, for messages.

    Raises:
        ConfigErrors: Every problem found.
        SecurityError: A target or resolver is refused.
    """
    prepare()
    try:
        node = config if isinstance(config, DictConfig) else OmegaConf.create(dict(config))
    except (OmegaConfBaseException, ValueError) as e:
        raise ConfigError(f"not a config: {str(e).splitlines()[0]}", where=source) from e
    values, problems = resolve(node)
    # Groups of a user's own are not known here; what they contain is checked all the same.
    problems += check_values(values, extra_groups=values)
    raise_all([p.error(f"{source}: {p.key}") for p in problems])
    return values
