"""Whether a plain value from a config fits the annotation of the argument it is given to."""

import ast
import math
from typing import Any

from aiexp.config.target.find import Module, NotFoundError, dotted, find_alias, find_in
from aiexp.errors import nearest
from aiexp.ranges import Begins, Lacks, Length, Range

_SCALARS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "bytes": (bytes,),
    "complex": (int, float, complex),
    "Path": (str,),
    "PathLike": (str,),
}
LISTS = {"list", "List", "Sequence", "Iterable", "Collection", "set", "frozenset", "MutableSequence"}
DICTS = {"dict", "Dict", "Mapping", "MutableMapping"}
PLAIN_BASES = {"str", "int", "float", "Enum", "StrEnum", "IntEnum", "TypedDict", "NamedTuple"}
_MARKERS = {"Range": Range, "Length": Length, "Begins": Begins, "Lacks": Lacks}
_TENSOR = "a block with the _target_ of a Tensor"
_NAMES = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}


def mismatch(value: Any, annotation: ast.expr | None, module: Module) -> str | None:
    """What was expected instead of `value`, or None when it fits or nobody can tell.

    Args:
        value: Numbers, text, true/false, null, lists and dicts; a dict with `_target_` fits everywhere.
        annotation: The argument's type as written.
        module: Where the names in the annotation come from.
    """
    expected = _misfits(value, annotation, module, depth=0)
    if expected is None:
        return None
    names = list(dict.fromkeys(expected))
    if len(names) > 1:  # a number that may be a tensor, too: nobody writes one into YAML
        names = [name for name in names if name != _TENSOR]
    choices = [n[1:-1] for n in names if n.startswith("'")]
    hint = nearest(value, choices) if isinstance(value, str) else ""
    return " or ".join(names) + ("." + hint if hint else "")


def _misfits(value: Any, node: ast.expr | None, module: Module, depth: int) -> list[str] | None:
    """Every type that would fit, or None when `value` fits."""
    if node is None or depth > 20 or (isinstance(value, dict) and "_target_" in value):
        return None
    if isinstance(node, ast.Constant):
        return _constant(value, node, module, depth)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _either(value, [node.left, node.right], module, depth)
    if isinstance(node, ast.Subscript):
        return _subscript(value, node, module, depth)
    path = dotted(node)
    return None if path is None else _name(value, path, module, depth)


def _constant(value: Any, node: ast.Constant, module: Module, depth: int) -> list[str] | None:
    if node.value is None:
        return None if value is None else ["null"]
    if isinstance(node.value, str):
        try:
            return _misfits(value, ast.parse(node.value, mode="eval").body, module, depth + 1)
        except SyntaxError:
            return None
    return None


def _either(value: Any, nodes: list[ast.expr], module: Module, depth: int) -> list[str] | None:
    names: list[str] = []
    for node in nodes:
        expected = _misfits(value, node, module, depth + 1)
        if expected is None:
            return None
        names += expected
    return names


def _subscript(value: Any, node: ast.Subscript, module: Module, depth: int) -> list[str] | None:
    name = (dotted(node.value) or [""])[-1]
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        return _literal(value, inner)
    if name == "Callable":
        return None if isinstance(value, dict) else ["a block with _target_ and _partial_: true"]
    if name == "Optional":
        return _either(value, [inner[0], ast.Constant(None)], module, depth)
    if name == "Union":
        return _either(value, inner, module, depth)
    if name == "Annotated":
        return _annotated(value, inner, module, depth)
    if name == "Final":
        return _misfits(value, inner[0], module, depth + 1)
    if name in LISTS:
        if not isinstance(value, list):
            return ["a list"]
        found = (_misfits(v, inner[0], module, depth + 1) for v in value)
        return next((["a list of " + " or ".join(m)] for m in found if m), None)
    if name in {"tuple", "Tuple"}:
        return _tuple(value, inner, module, depth)
    if name in DICTS:
        if not isinstance(value, dict):
            return ["a mapping"]
        found = (_misfits(v, inner[-1], module, depth + 1) for v in value.values())
        return next((["a mapping to " + " or ".join(m)] for m in found if m), None)
    return None


def _annotated(value: Any, inner: list[ast.expr], module: Module, depth: int) -> list[str] | None:
    """The type, narrowed by markers of `aiexp.ranges`; other markers say nothing about values."""
    expected = _misfits(value, inner[0], module, depth + 1)
    markers = [found for node in inner[1:] if (found := marker(node, module)) is not None]
    if expected is None:
        if value is None or all(each.allows(value) for each in markers):
            return None
        expected = _misfits(object(), inner[0], module, depth + 1) or []
    return [" ".join([name, *map(str, markers)]) for name in expected]


def marker(node: ast.expr, module: Module) -> Range | None:
    """The marker that `Range("[0, 1]")` makes; None of what is none of `aiexp.ranges`."""
    path = dotted(node.func) if isinstance(node, ast.Call) else None
    if not isinstance(node, ast.Call) or path is None or len(node.args) != 1:
        return None
    try:
        found = find_in(module, path)
        if found.module.name != Range.__module__ or found.name not in _MARKERS:
            return None
        return _MARKERS[found.name](ast.literal_eval(node.args[0]))
    except (NotFoundError, ValueError, TypeError):
        return None


def _literal(value: Any, choices: list[ast.expr]) -> list[str] | None:
    allowed = [c.value for c in choices if isinstance(c, ast.Constant)]
    if any(value == a and isinstance(value, bool) == isinstance(a, bool) for a in allowed):
        return None
    return ["null" if a is None else repr(a) for a in allowed]


def _tuple(value: Any, inner: list[ast.expr], module: Module, depth: int) -> list[str] | None:
    if not isinstance(value, list):
        return ["a list"]
    if len(inner) == 2 and isinstance(inner[1], ast.Constant) and inner[1].value is Ellipsis:
        inner = [inner[0]] * len(value)
    if len(value) != len(inner):
        return [f"a list of {len(inner)} values"]
    pairs = (_misfits(v, n, module, depth + 1) for v, n in zip(value, inner, strict=True))
    return next((["a list with " + " or ".join(m)] for m in pairs if m), None)


def _name(value: Any, path: list[str], module: Module, depth: int) -> list[str] | None:
    name = path[-1]
    if name in {"Any", "object"}:
        return None
    if name in _SCALARS:
        is_bool_as_number = isinstance(value, bool) and name != "bool"
        if isinstance(value, float) and not math.isfinite(value):
            return ["a finite number"]
        fits = isinstance(value, _SCALARS[name]) and not is_bool_as_number
        return None if fits else [_NAMES.get(name, "text")]
    if name in LISTS | {"tuple", "Tuple"}:
        return None if isinstance(value, list) else ["a list"]
    if name in DICTS:
        return None if isinstance(value, dict) else ["a mapping"]
    try:
        alias = find_alias(module, name) if len(path) == 1 else None
    except NotFoundError:
        return None
    if alias is None:
        return None  # unknown, a class of another package for instance
    if isinstance(alias[0], ast.ClassDef):
        return _instance(value, alias[0])
    return _misfits(value, alias[0], alias[1], depth + 1)


def _instance(value: Any, node: ast.ClassDef) -> list[str] | None:
    """A plain value is no instance of a class, unless the class is one of plain values."""
    bases = {(dotted(b) or [""])[-1] for b in node.bases}
    if value is not None and bases & PLAIN_BASES:
        return None
    return [f"a block with the _target_ of a {node.name}"]
