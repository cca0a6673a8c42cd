"""The JSON schema (draft 7) of an annotation: what `value_type` lets pass, said in advance."""

import ast
import re
from collections.abc import Callable
from typing import Any

from aiexp.config.target.find import Module, NotFoundError, dotted, find_alias
from aiexp.config.target.value_type import DICTS, LISTS, PLAIN_BASES, marker
from aiexp.ranges import Begins, Lacks, Length, Range

Json = dict[str, Any]
# Of a class: the schema of the block that makes one, by its module and name.
Blocks = Callable[[str], Json]

# `???` and `${seed}` stand for what comes later.
REFERENCE: Json = {"$ref": "#/definitions/reference"}
ANY: Json = {"$ref": "#/definitions/any"}
BLOCK: Json = {"$ref": "#/definitions/block"}
_SCALARS: dict[str, Json] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "complex": {"type": "number"},
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
    "bytes": {"type": "string"},
    "Path": {"type": "string"},
    "PathLike": {"type": "string"},
}
_MOST_DEPTH = 20


def schema_of(node: ast.expr | None, module: Module, blocks: Blocks) -> Json:
    """The schema of a value for an argument with this annotation.

    Args:
        node: The annotation as written; None for none, which anything fits.
        module: Where the names in it come from.
        blocks: Says what a block of a class may hold.
    """
    made = _Reader(blocks).read(node, module, 0)
    if made == BLOCK or "allOf" in made:  # not one of several: an editor then says what is wrong inside
        return {"if": {"type": "string"}, "then": REFERENCE, "else": made}
    return made if made in (ANY, {"type": "string"}) else _either([made, REFERENCE])


class _Reader:
    """Reads annotations of one schema."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks

    def read(self, node: ast.expr | None, module: Module, depth: int) -> Json:
        """The schema of an annotation."""
        if node is None or depth > _MOST_DEPTH:
            return ANY
        if isinstance(node, ast.Constant):
            return self.constant(node, module, depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return _either([self.read(side, module, depth + 1) for side in (node.left, node.right)])
        if isinstance(node, ast.Subscript):
            return self.subscript(node, module, depth)
        path = dotted(node)
        return ANY if path is None else self.name(path, module, depth)

    def constant(self, node: ast.Constant, module: Module, depth: int) -> Json:
        """`None`, or an annotation in quotes."""
        if node.value is None:
            return {"type": "null"}
        try:
            inner = ast.parse(str(node.value), mode="eval").body
        except SyntaxError:
            return ANY
        return self.read(inner, module, depth + 1) if isinstance(node.value, str) else ANY

    def subscript(self, node: ast.Subscript, module: Module, depth: int) -> Json:
        """`Literal[...]`, `list[...]`, `Annotated[...]` and the like."""
        name = (dotted(node.value) or [""])[-1]
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name == "Literal":
            return {"enum": [choice.value for choice in inner if isinstance(choice, ast.Constant)]}
        if name == "Callable":
            return BLOCK
        if name == "Annotated":
            found = [m for each in inner[1:] if (m := marker(each, module)) is not None]
            return _narrowed(self.read(inner[0], module, depth + 1), found)
        parts = [self.read(each, module, depth + 1) for each in inner]
        if name in ("Optional", "Union"):
            return _either([*parts, {"type": "null"}] if name == "Optional" else parts)
        if name == "Final":
            return parts[0]
        if name in LISTS:
            return {"type": "array", "items": _either([parts[0], REFERENCE])}
        if name in ("tuple", "Tuple"):
            return self.tuple(inner, parts)
        if name in DICTS:
            return {"type": "object", "additionalProperties": _either([parts[-1], REFERENCE])}
        return ANY

    def tuple(self, inner: list[ast.expr], parts: list[Json]) -> Json:
        """A list of a length, or of any with `...`."""
        if len(inner) == 2 and isinstance(inner[1], ast.Constant) and inner[1].value is Ellipsis:
            return {"type": "array", "items": _either([parts[0], REFERENCE])}
        items = [_either([part, REFERENCE]) for part in parts]
        return {"type": "array", "items": items, "minItems": len(parts), "maxItems": len(parts)}

    def name(self, path: list[str], module: Module, depth: int) -> Json:
        """A plain type, a class, or what is assigned to a name."""
        name = path[-1]
        if name in _SCALARS:
            return dict(_SCALARS[name])
        if name in LISTS | {"tuple", "Tuple"}:
            return {"type": "array"}
        if name in DICTS:
            return {"type": "object"}
        try:
            alias = find_alias(module, name) if len(path) == 1 else None
        except NotFoundError:
            return ANY
        if alias is None:
            return ANY
        if not isinstance(alias[0], ast.ClassDef):
            return self.read(alias[0], alias[1], depth + 1)
        if {(dotted(base) or [""])[-1] for base in alias[0].bases} & PLAIN_BASES:
            return ANY
        return self.blocks(f"{alias[1].name}.{alias[0].name}")


def _either(parts: list[Json]) -> Json:
    """A schema that one of several fits; anything, if one of them is that."""
    flat: list[Json] = []
    for part in parts:
        flat += part["anyOf"] if list(part) == ["anyOf"] else [part]
    if ANY in flat:
        return ANY
    unique = [part for i, part in enumerate(flat) if part not in flat[:i]]
    return unique[0] if len(unique) == 1 else {"anyOf": unique}


def _narrowed(schema: Json, markers: list[Range]) -> Json:
    """A schema with what markers such as `Range`, `Length` and `Begins` say."""
    made = dict(schema)
    for each in markers:
        if isinstance(each, Begins):
            made["pattern"] = f"^{re.escape(each.text)}"
            continue
        if isinstance(each, Lacks):
            made["pattern"] = "^[^" + re.sub(r"([\\\]^-])", r"\\\1", each.text) + "]*$"
            continue
        bounds = _bounds(each)
        if isinstance(each, Length):
            noun = "Length" if made.get("type") == "string" else "Items"
            made[f"min{noun}"] = int(bounds.get("minimum", bounds.get("exclusiveMinimum", -1) + 1))
            if "maximum" in bounds:
                made[f"max{noun}"] = int(bounds["maximum"])
        else:
            made |= bounds
    return made


def _bounds(each: Range) -> dict[str, float]:
    """`minimum` and the like of "[0, 1)" or ">= 1"."""
    if each.text.startswith(">"):
        key = "minimum" if each.text.startswith(">=") else "exclusiveMinimum"
        return {key: _number(each.text.lstrip(">= "))}
    low, high = re.findall(r"[-\d.]+", each.text)
    keys = (
        "minimum" if each.text[0] == "[" else "exclusiveMinimum",
        "maximum" if each.text[-1] == "]" else "exclusiveMaximum",
    )
    return {keys[0]: _number(low), keys[1]: _number(high)}


def _number(text: str) -> float:
    return int(text) if text.strip().lstrip("-").isdigit() else float(text)
