"""A composed config as plain values, with every problem of reading it collected instead of raised."""

import re
from typing import Any, Final, cast, final

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from aiexp.config.problem import Problem
from aiexp.errors import SecurityError, nearest


@final
class Unreadable:
    """Stands for a value that could not be resolved; checks skip it."""


UNREADABLE: Final = Unreadable()
_DEPTH = 30
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def resolve(config: DictConfig) -> tuple[dict[str, Any], list[Problem]]:
    """`config` with its interpolations resolved, and what is wrong with them or missing (`???`)."""
    problems: list[Problem] = []
    values = _container(config, "", problems, config, 0)
    return values, problems


def keys_of(config: DictConfig, prefix: str = "") -> list[str]:
    """Every dotted key of a config, without resolving anything."""
    keys: list[str] = []
    for name in config:
        key = f"{prefix}{name}"
        keys.append(key)
        if (block := _block(config, name)) is not None:
            keys += keys_of(block, key + ".")
    return keys


def _block(config: Any, name: Any) -> DictConfig | None:
    """What lies under a key if that has keys itself; asking for its value would resolve it, and may fail."""
    node = config._get_node(name, validate_access=False)
    if not isinstance(node, DictConfig):
        return None
    inner: Any = node
    return None if inner._is_missing() or inner._is_none() or inner._is_interpolation() else node


def references(config: DictConfig) -> dict[str, str]:
    """Each key that only repeats another one (`${seed}`), and that other one."""
    found: dict[str, str] = {}

    def walk(node: Any, key: str) -> None:
        if isinstance(node, dict):
            for name, inner in cast(dict[Any, Any], node).items():
                walk(inner, f"{key}.{name}" if key else str(name))
        elif isinstance(node, str) and (match := _REFERENCE.fullmatch(node)):
            found[key] = match[1]

    walk(OmegaConf.to_container(config, resolve=False), "")
    return found


def _container(
    node: DictConfig | ListConfig, key: str, problems: list[Problem], root: DictConfig, depth: int
) -> Any:
    """A dict or list of plain values."""
    if depth > _DEPTH:
        problems.append(Problem(key=key, what=f"'{key}' contains itself by an interpolation"))
        return UNREADABLE
    if isinstance(node, DictConfig):
        dot = f"{key}." if key else ""
        return {cast(str, k): _value(node, k, f"{dot}{k}", problems, root, depth) for k in node}
    return [_value(node, i, f"{key}[{i}]", problems, root, depth) for i in range(len(node))]


def _value(node: Any, name: Any, key: str, problems: list[Problem], root: DictConfig, depth: int) -> Any:
    """One plain value, or UNREADABLE with a problem noted."""
    if OmegaConf.is_missing(node, name):
        problems.append(Problem(key=key, what=f"'{key}' has no value yet (???)", fix=f"add {key}=..."))
        return UNREADABLE
    try:
        value = node[name]
    except (OmegaConfBaseException, ValueError, RecursionError) as error:
        problems.append(_unresolved(error, key, str(node._get_node(name)), root))
        return UNREADABLE
    if isinstance(value, DictConfig | ListConfig):
        return _container(value, key, problems, root, depth + 1)
    return value


def _unresolved(error: BaseException, key: str, text: str, root: DictConfig) -> Problem:
    """What to say of an interpolation that fails."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SecurityError):
            return Problem(key=key, what=cause.what, fix=cause.fix, is_refusal=True)
        cause = cause.__cause__ or cause.__context__
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, InterpolationKeyError):
        name = text.removeprefix("${").removesuffix("}")
        group = name.split(".")[0]
        is_group = _block(root, group) is not None
        hint = nearest(name, [k for k in keys_of(root) if not is_group or k.startswith(f"{group}.")])
        fix = f"choose a {group} that has it, or give {key}=..." if is_group else ""
        return Problem(key=key, what=f"'{key}: {text}' refers to a key that does not exist.{hint}", fix=fix)
    return Problem(key=key, what=f"'{key}: {text}' cannot be resolved: {reason}")
