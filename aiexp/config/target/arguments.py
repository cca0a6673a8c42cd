"""Checks every node of a resolved config against the constructor it names: targets, arguments, types."""

from collections.abc import Collection, Iterable
from typing import Any, cast

from aiexp.config.folders import GROUPS
from aiexp.config.problem import Problem
from aiexp.config.resolve import UNREADABLE
from aiexp.config.start import KEY as START_FROM
from aiexp.config.start import start_problems
from aiexp.config.target.allowed import check_target
from aiexp.config.target.length import check_length
from aiexp.config.target.optimizer import check_optimizer
from aiexp.config.target.requirement import check_requirements
from aiexp.config.target.signature import Parameter, Signature
from aiexp.config.target.value_type import mismatch
from aiexp.errors import AiexpError, SecurityError, nearest

# Arguments that the runner passes beside those of the config.
GIVEN: dict[str, frozenset[str]] = {"task": frozenset({"model", "dataset"})}
# Blocks of a group's file that are no constructor arguments, with their keys.
EXTRA_BLOCKS: dict[str, dict[str, frozenset[str]]] = {
    "task": {"reference": frozenset({"metric", "value", "tolerance", "source"})}
}
OPTIONAL_GROUPS = ("model", "dataset")
_TOP_LEVEL = ("seed", "outputs")


def check_values(values: dict[str, Any], extra_groups: Iterable[str] = ()) -> list[Problem]:
    """Everything wrong with a resolved config.

    Args:
        values: Plain values, as `resolve` returns them.
        extra_groups: Groups of the user's own, whose nodes are free but for their targets.
    """
    problems = _top_level(values, {g.split("/")[0] for g in extra_groups})
    for group in GROUPS:
        node = values.get(group)
        if isinstance(node, dict) and "_target_" in node:
            problems += _node(cast(dict[str, Any], node), group, group, values)
        elif node is not UNREADABLE and not (node is None and group in OPTIONAL_GROUPS):
            what = f"group '{group}' has no option" if node is None else f"'{group}' has no _target_"
            problems.append(
                Problem(key=group, what=what, fix=f"choose one with {group}=..., see `aiexp list {group}`")
            )
    for key, value in values.items():
        if key not in GROUPS:
            problems += _inside(value, key, values)
    return problems


def _top_level(values: dict[str, Any], extra: set[str]) -> list[Problem]:
    """Unknown keys beside the groups, and the values of those that are known."""
    allowed = [*GROUPS, *_TOP_LEVEL, START_FROM, *sorted(extra)]
    problems = [
        Problem(key=k, what=f"unknown key '{k}'.{nearest(k, allowed)}", fix=f"keys are {' '.join(allowed)}")
        for k in values
        if k not in allowed
    ]
    seed, outputs = values.get("seed", UNREADABLE), values.get("outputs", UNREADABLE)
    missing = [k for k in _TOP_LEVEL if k not in values]
    problems += [Problem(key=k, what=f"there is no '{k}'", fix=f"leave {k} in") for k in missing]
    is_whole = isinstance(seed, int) and not isinstance(seed, bool)
    if seed is not UNREADABLE and not (is_whole and 0 <= seed < 2**63):
        problems.append(Problem(key="seed", what=f"'seed' is {seed!r}, not a whole number >= 0 and < 2**63"))
    if outputs is not UNREADABLE and (not isinstance(outputs, str) or not outputs.strip() or "\0" in outputs):
        problems.append(Problem(key="outputs", what=f"'outputs' is {outputs!r}, not the path of a folder"))
    start = values.get(START_FROM)
    return problems if start is UNREADABLE else problems + start_problems(start)


def _node(node: dict[str, Any], key: str, group: str | None, config: dict[str, Any]) -> list[Problem]:
    """Problems of a node of the config with a `_target_`, and of the nodes inside it."""
    problems = [p for name, value in node.items() for p in _inside(value, f"{key}.{name}", config)]
    problems += _reserved(node, key, group)
    target = node["_target_"]
    if target is UNREADABLE:
        return problems
    try:
        signature = check_target(target, where=key, group=group)
    except AiexpError as error:
        is_refusal = isinstance(error, SecurityError)
        return [
            *problems,
            Problem(key=f"{key}._target_", what=error.what, fix=error.fix, is_refusal=is_refusal),
        ]
    if signature is None or signature.parameters is None:
        return problems
    given, blocks = GIVEN.get(group or "", frozenset[str]()), EXTRA_BLOCKS.get(group or "", {})
    problems += check_arguments(node, key, signature, given=given, blocks=blocks)
    problems += check_optimizer(node, key) + check_length(node, key)
    return problems + check_requirements(node, key, signature.parameters, config)


def _inside(value: Any, key: str, config: dict[str, Any]) -> list[Problem]:
    """Problems of the nodes with a `_target_` anywhere inside a value."""
    if isinstance(value, dict):
        mapping = cast(dict[str, Any], value)
        if "_target_" in mapping:
            return _node(mapping, key, None, config)
        if "_args_" in mapping or "_partial_" in mapping:
            return [Problem(key=key, what=f"'{key}' has _partial_ or _args_ but no _target_")]
        return [p for name, inner in mapping.items() for p in _inside(inner, f"{key}.{name}", config)]
    if isinstance(value, list):
        items = enumerate(cast(list[Any], value))
        return [p for i, inner in items for p in _inside(inner, f"{key}[{i}]", config)]
    return []


def _reserved(node: dict[str, Any], key: str, group: str | None) -> list[Problem]:
    """Problems of the keys that are not arguments: `_partial_`, `_args_`, `reference`."""
    problems: list[Problem] = []
    for name in map(str, node):  # YAML has keys that are numbers
        if name.startswith("_") and name not in ("_target_", "_partial_"):
            fix = "name each argument" if name == "_args_" else "remove it"
            problems.append(Problem(key=f"{key}.{name}", what=f"'{key}.{name}' is not supported", fix=fix))
    partial = node.get("_partial_", False)
    if partial is not UNREADABLE and (not isinstance(partial, bool) or (partial and group is not None)):
        what = f"'{key}._partial_' is {partial!r}; it is true or false, and only inside a group"
        problems.append(Problem(key=f"{key}._partial_", what=what))
    for block, allowed in EXTRA_BLOCKS.get(group or "", {}).items():
        inner = node.get(block)
        for name in cast(dict[str, Any], inner) if isinstance(inner, dict) else ():
            if name not in allowed:
                what = f"unknown key '{key}.{block}.{name}'.{nearest(name, sorted(allowed))}"
                fix = f"keys are {' '.join(sorted(allowed))}"
                problems.append(Problem(key=f"{key}.{block}.{name}", what=what, fix=fix))
    return problems


def check_arguments(
    node: dict[str, Any], key: str, signature: Signature, *, given: Collection[str], blocks: Collection[str]
) -> list[Problem]:
    """Unknown, missing and mistyped constructor arguments, and values out of range.

    Args:
        node: With `_target_`, its nodes inside not yet built.
        key: Of the node.
        signature: Of its target.
        given: Arguments that do not come from the node.
        blocks: Names in the node that are not for the constructor, unless it takes them.
    """
    parameters = signature.parameters or {}
    problems: list[Problem] = []
    for name, value in zip(map(str, node), node.values(), strict=True):
        if name.startswith("_") or (name in blocks and name not in parameters):
            continue
        full = f"{key}.{name}"
        if name in given:
            problems.append(Problem(key=full, what=f"'{full}' is passed by aiexp itself", fix="remove it"))
        elif name in parameters:
            problems += _type_problem(value, full, parameters[name])
        elif not signature.accepts_any:
            problems.append(_unknown_argument(name, key, signature, given))
    missing = [n for n, p in parameters.items() if p.is_required and n not in node and n not in given]
    if missing and node.get("_partial_") is not True:
        what = f"{signature.target} needs the argument{'s'[: len(missing) > 1]} {', '.join(missing)}"
        is_optimizer = signature.target.startswith("torch.optim.")
        fix = "add `_partial_: true`" if is_optimizer else f"add +{key}.{missing[0]}=..."
        problems.append(Problem(key=key, what=what, fix=fix))
    return problems


def _unknown_argument(name: str, key: str, signature: Signature, given: Collection[str]) -> Problem:
    """What to say of an argument that the constructor does not have."""
    names = [n for n in signature.parameters or {} if n not in given]
    what = f"unknown key '{key}.{name}'.{nearest(name, names)}"
    fix = f"{signature.target} takes {' '.join(names) or 'no arguments'}"
    return Problem(key=f"{key}.{name}", what=what, fix=fix)


def _type_problem(value: Any, key: str, parameter: Parameter) -> list[Problem]:
    """A problem when the value has the wrong type or is out of range."""
    if not _is_plain(value):
        return []
    expected = mismatch(value, parameter.annotation, parameter.module)
    if expected is None:
        return []
    shown = "null" if value is None else repr(value)
    return [Problem(key=key, what=f"'{key}' is {shown}", fix=f"give {expected}")]


def _is_plain(value: Any) -> bool:
    """Whether a value is what YAML can say; an unreadable one is not, nor an object that a caller made."""
    if isinstance(value, dict):
        return all(map(_is_plain, cast(dict[str, Any], value).values()))
    if isinstance(value, list):
        return all(map(_is_plain, cast(list[Any], value)))
    return value is None or isinstance(value, bool | int | float | str)
