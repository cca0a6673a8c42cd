"""Values that fit each by itself and not together: what an argument that is true asks of others."""

import ast
from collections.abc import Iterator, Mapping
from typing import Any, cast

from aiexp.config.problem import Problem
from aiexp.config.resolve import UNREADABLE
from aiexp.config.target.find import Module, NotFoundError, dotted, find_in
from aiexp.config.target.signature import Parameter
from aiexp.config.target.value_type import mismatch
from aiexp.ranges import Requires


def check_requirements(
    node: Mapping[str, Any], key: str, parameters: Mapping[str, Parameter], config: Mapping[str, Any]
) -> list[Problem]:
    """What arguments marked with `Requires` ask for and do not get.

    Args:
        node: With the arguments.
        key: Of the node.
        parameters: Of its target.
        config: The whole, where arguments of other classes are found.
    """
    problems: list[Problem] = []
    for name, parameter in parameters.items():
        if node.get(name) is not True:
            continue
        for wanted, annotation in _required(parameter.annotation, parameter.module).items():
            for full, value in _values(wanted, node, key, config):
                if value is UNREADABLE:
                    continue
                expected = mismatch(value, ast.parse(annotation, mode="eval").body, parameter.module)
                if expected is not None:
                    shown = "null" if value is None else repr(value)
                    what = f"'{full}' is {shown}, which does not go with {key}.{name}=true"
                    right = expected if expected == "null" or expected.isdigit() else f"<{expected}>"
                    problems.append(Problem(key=full, what=what, fix=f"{full}={right}"))
    return problems


def _required(annotation: ast.expr | None, module: Module) -> Mapping[str, str]:
    """What `Requires({...})` in an annotation says."""
    calls = (n for n in ast.walk(annotation) if isinstance(n, ast.Call)) if annotation is not None else ()
    for call in calls:
        path = dotted(call.func)
        try:
            found = find_in(module, path) if path is not None and len(call.args) == 1 else None
            if found is not None and (found.module.name, found.name) == (
                Requires.__module__,
                Requires.__name__,
            ):
                return ast.literal_eval(call.args[0])
        except (NotFoundError, ValueError):
            continue
    return {}


def _values(
    wanted: str, node: Mapping[str, Any], key: str, config: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Key and value of an argument of a node, or of the nodes of another class that have it."""
    kind, _, name = wanted.rpartition(".")
    for place, other in [(key, node)] if not kind else _nodes(config, ""):
        is_meant = not kind or str(other.get("_target_")).rpartition(".")[2] == kind
        if is_meant and name in other:
            yield f"{place}.{name}", other[name]


def _nodes(value: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping inside a value, with its key."""
    if isinstance(value, dict):
        mapping = cast(dict[str, Any], value)
        yield key, mapping
        for name, inner in mapping.items():
            yield from _nodes(inner, f"{key}.{name}" if key else name)
