"""Checks a composed or stored config as a whole and reports all its problems at once."""

from collections.abc import Mapping
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from aiexp.config.composed import Composed, choices_of, prepare, without_hydra
from aiexp.config.folders import GROUPS, ConfDirs
from aiexp.config.hydra_settings import check_node
from aiexp.config.origin import Origin
from aiexp.config.problem import raise_all
from aiexp.config.resolve import references, resolve
from aiexp.config.target.arguments import OPTIONAL_GROUPS, check_values
from aiexp.errors import AiexpError


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
    # (Keys that repeat each other in a circle are all wrong: then each is said.)
    problems = [p for p in problems if p.is_refusal or repeats.get(p.key) not in wrong] or problems
    origin = Origin(overrides=overrides, choices=choices, dirs=dirs)
    return composed, [p.error(origin.where(p.key)) for p in problems]


def validate(config: Mapping[str, Any], *, source: str = "config.yaml") -> dict[str, Any]:
    """The plain values of a stored config, after the same checks that composing makes.

    A run directory may come from someone else, so nothing in it is trusted. It was stored resolved: `${` in a
    text is data, and is never interpolated again.

    Args:
        config: Content of a `config.yaml`.
        source: The file, for messages.

    Raises:
        ConfigErrors: every problem found.
        SecurityError: a target or resolver is refused.
    """
    prepare()
    # Groups of a user's own are not known here; what they contain is checked all the same.
    problems = check_values(_by_text(dict(config)), extra_groups=[str(key) for key in config])
    raise_all([p.error(f"{source}: {p.key}") for p in problems])
    return dict(config)


def _by_text(value: Any) -> Any:
    """A value whose mappings have text for keys: YAML also knows numbers there."""
    if isinstance(value, dict):
        return {str(key): _by_text(item) for key, item in cast(dict[Any, Any], value).items()}
    return [_by_text(item) for item in cast(list[Any], value)] if isinstance(value, list) else value
