"""What is typed after `aiexp run`: words that choose options, words that change keys, what is wrong there.

Hydra stops at the first problem, and for a misspelled `trainer.lrr=1` it advises `+trainer.lrr=1`.
"""

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from aiexp.config.folders import GROUPS, ConfDirs
from aiexp.config.group.block_groups import BLOCK_GROUPS
from aiexp.config.group.several import TARGETS
from aiexp.config.misspelled import known_elsewhere, torchvision_networks, torn_apart, unreadable
from aiexp.config.resolve import keys_of
from aiexp.config.target.arguments import GIVEN
from aiexp.config.target.find import NotFoundError
from aiexp.config.target.signature import Parameter, read
from aiexp.errors import TYPED, AiexpError, ConfigError, nearest

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


MOST_BRACKETS = 100  # inside each other


def deepest(text: str) -> int:
    """How many brackets are open at once at most."""
    steps = (1 if letter in "[{(" else -1 if letter in "]})" else 0 for letter in text)
    return max(accumulate(steps), default=0)


def parse(overrides: list[str], errors: list[AiexpError], dirs: ConfDirs | None = None) -> "list[Override]":
    """Overrides that Hydra's grammar accepts; the others become errors.

    Args:
        overrides: As typed.
        errors: Takes what is wrong.
        dirs: Whose groups and options are suggested.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    parsed: list[Override] = []
    torn, error = torn_apart(overrides)
    errors += [error] if error else []
    for text in overrides:
        if text in torn:
            continue
        try:
            if sum(map(text.count, "[{(")) > MOST_BRACKETS and deepest(text) > MOST_BRACKETS:
                raise RecursionError  # the parser would take seconds to find out
            parsed.append(parser.parse_override(text))
        except HydraException:
            errors.append(unreadable(text, dirs.options() if dirs else {}))
        except (ValueError, RecursionError) as error:
            is_deep = isinstance(error, RecursionError)
            reason = "it is nested too deeply" if is_deep else str(error).split(";")[0]
            errors.append(ConfigError(f"'{text}' cannot be read: {reason}", where="command line"))
    return parsed


def split(
    parsed: "list[Override]", dirs: ConfDirs, errors: list[AiexpError]
) -> "tuple[list[str], list[Override]]":
    """Usable choices of groups and Hydra's settings, and usable keys; the rest becomes errors."""
    options = dirs.options()
    groups: list[str] = []
    keys: list[Override] = []
    lost: set[str] = set()
    for override in parsed:
        group = override.key_or_group.split("@")[0]
        if override.is_sweep_override():
            errors.append(_sweep_without_m(override, group in options))
        elif group in options:
            if _option_fits(override, group, options, errors):
                groups.append(override.input_line or "")
            else:
                lost |= set(GROUPS) if group == "task" else {group}
        elif group.startswith("hydra"):
            groups.append(override.input_line or "")
        else:
            keys.append(override)
    # Without its option a group's keys cannot be judged: one typo must not bring ten messages.
    return groups, [k for k in keys if k.key_or_group.split(".")[0] not in lost]


def _sweep_without_m(override: "Override", is_group: bool) -> AiexpError:
    """Several values for a run of one job."""
    text = override.input_line or ""
    name, _, value = text.partition("=")
    fix = "add -m to run each of them"
    if name in TARGETS:
        fix += f", or type '{name}=[{value}]' for all of them in one run"
    elif not is_group:
        fix += f", or type '{name}=[{value}]' for a list, '{name}=\"{value}\"' for one text"
    return ConfigError(f"'{name}' has several values, for one run", where=TYPED + text, fix=fix)


def _option_fits(
    override: "Override", group: str, options: dict[str, dict[str, Any]], errors: list[AiexpError]
) -> bool:
    """Whether a group override names an option of that group."""
    where, value = f"command line: {override.input_line}", override.value()
    if override.is_delete():
        return True
    if override.is_add() and group in GROUPS:
        errors.append(ConfigError(f"'{group}' is there already", where=where, fix=f"type {group}={value}"))
        return False
    if value is None:
        errors.append(
            ConfigError(f"'{group}=null' is not an option", where=where, fix=f"type ~{group} for none")
        )
        return False
    if isinstance(value, list):
        return _options_fit(value, group, options, where, errors)
    return _is_option(value, group, options, where, errors)


def _is_option(
    value: Any, group: str, options: dict[str, dict[str, Any]], where: str, errors: list[AiexpError]
) -> bool:
    """Whether a value names an option of a group."""
    if str(value) in options[group]:
        return True
    if group == "model" and str(value) in torchvision_networks():
        what = f"no option '{value}' in group 'model': torchvision has a network of this name"
        errors.append(ConfigError(what, where=where, fix=f"type model=torchvision model.name={value}"))
        return False
    what = f"no option '{value}' in group '{group}'.{nearest(str(value), options[group])}"
    errors.append(
        ConfigError(what, where=where, fix="options are", options=options[group], see=f"aiexp list {group}")
    )
    return False


def _options_fit(
    values: list[Any], group: str, options: dict[str, dict[str, Any]], where: str, errors: list[AiexpError]
) -> bool:
    """Whether a list names options of a group that takes several, each once."""
    if group not in TARGETS:
        fix = f"type {group}={values[0]}" if values else f"type ~{group} for none"
        errors.append(ConfigError(f"'{group}' takes one option, not a list", where=where, fix=fix))
        return False
    if not values or len(set(map(str, values))) < len(values):
        what = f"'{group}' names an option twice" if values else f"'{group}=[]' names no option"
        errors.append(ConfigError(what, where=where, fix=f"type each once; for none {group}=none"))
        return False
    return all([_is_option(value, group, options, where, errors) for value in values])


def key_fits(override: "Override", base: DictConfig, errors: list[AiexpError]) -> bool:
    """Whether a key override can be applied to the config that the chosen options make."""
    key = override.key_or_group
    where = f"command line: {override.input_line}"
    text = (override.input_line or "").lstrip("+~")
    exists = _exists(base, key)
    if override.is_add() and not override.is_force_add() and exists:
        errors.append(ConfigError(f"'{key}' is there already", where=where, fix=f"type {text}"))
        return False
    if exists or override.is_add() or override.is_force_add():
        return True
    parent, _, leaf = key.rpartition(".")
    if leaf in parameters_at(parent, base) and not override.is_delete():
        what = f"'{key}' is an argument that conf/ leaves at its default"
        errors.append(ConfigError(what, where=where, fix=f"type +{text}"))
        return False
    names = [k for k in keys_of(base) if k != "hydra" and not k.startswith("hydra.") and "._" not in k]
    names += [f"{node}.{p}" for node in names for p in parameters_at(node, base)]
    near = known_elsewhere(leaf) or nearest(
        key, [*BLOCK_GROUPS, *(n for n in names if "." in n or "." not in key)]
    )
    siblings = [n.rpartition(".")[2] for n in dict.fromkeys(names) if n.rpartition(".")[0] == parent]
    if not siblings and (group := next((g for g, keys in BLOCK_GROUPS.items() if parent in keys), "")):
        errors.append(
            ConfigError(
                f"no {group} is chosen", where=where, fix=f"add {group}=..., see `aiexp list {group}`"
            )
        )
        return False
    fix = f"keys of {parent or 'the config'} are" if siblings else "aiexp show says all keys"
    group = parent.partition(".")[0]
    see = f"aiexp show {group}" if group in GROUPS else "aiexp list"
    errors.append(ConfigError(f"unknown key '{key}'.{near}", where=where, fix=fix, options=siblings, see=see))
    return False


def _exists(base: DictConfig, key: str) -> bool:
    """Whether a dotted key is in the config, whatever its value."""
    node: Any = base
    for part in key.split("."):
        if not isinstance(node, DictConfig) or part not in list(node):
            return False
        is_leaf = OmegaConf.is_missing(node, part) or OmegaConf.is_interpolation(node, part)
        node = None if is_leaf else node[part]
    return True


def parameters_at(key: str, config: DictConfig) -> dict[str, Parameter]:
    """Arguments that the constructor of the node at a dotted key takes from a config."""
    target = OmegaConf.select(config, f"{key}._target_", throw_on_resolution_failure=False) if key else None
    try:
        found = read(target).parameters if isinstance(target, str) else None
    except NotFoundError:
        return {}
    return {name: p for name, p in (found or {}).items() if name not in GIVEN.get(key, frozenset())}
