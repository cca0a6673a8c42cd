"""Every error that the source raises: what it says, where, and what to type; nothing is run."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aiexp import errors

# Calls that make one: class or function, its kind, which argument says what.
KINDS = {
    name: cls.kind
    for name, cls in vars(errors).items()
    if isinstance(cls, type)
    and issubclass(cls, errors.AiexpError)
    and name not in ("AiexpError", "ConfigErrors")
} | {"Problem": "config"}


@dataclass(frozen=True)
class Raised:
    """One error of the source.

    Args:
        kind: As in `error[kind]`.
        what: What it says; `<name>` stands for a value.
        where: The key, flag or file it names.
        fix: What it says to type.
        room: The folder or file of `aiexp/` that it comes from.
    """

    kind: str
    what: str
    where: str
    fix: str
    room: str


def read_all(package: Path) -> list[Raised]:
    """The errors of every file below a folder, each text once."""
    found: dict[tuple[str, str], Raised] = {}
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        for each in _of_file(ast.parse(path.read_text("utf-8")), room):
            found.setdefault((each.kind, each.what), each)
    return list(found.values())


def _of_file(tree: ast.Module, room: str) -> Iterator[Raised]:
    """The errors that a file makes, with the names of the functions around each."""

    def visit(node: ast.AST, functions: tuple[ast.AST, ...]) -> Iterator[Raised]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions = (*functions, node)
        if isinstance(node, ast.Call) and _name(node.func) in KINDS:
            names = {name: value for function in functions for name, value in _assigned(function).items()}
            each = _raised(node, names, room)
            if each is not None:
                yield each
        for child in ast.iter_child_nodes(node):
            yield from visit(child, functions)

    yield from visit(tree, ())


def _assigned(scope: ast.AST) -> dict[str, ast.expr]:
    """The texts that a function gives names to: `what = f"..."`."""
    found: dict[str, ast.expr] = {}
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, node.value)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            pairs = zip(node.targets[0].elts, getattr(node.value, "elts", []), strict=False)
            found.update({t.id: v for t, v in pairs if isinstance(t, ast.Name)} | found)
    return found


def _raised(node: ast.Call, names: dict[str, ast.expr], room: str) -> Raised | None:
    given = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    what = given.get("what") or (node.args[0] if node.args else None)
    text = _text(what, names) if what is not None else ""
    if not text.strip("<> ") or (text.startswith("<") and text.endswith(">") and text.count("<") == 1):
        return None  # only handed on; its words are said elsewhere
    rest = {name: _text(given[name], names) if name in given else "" for name in ("where", "key", "fix")}
    options = " ..." if "options" in given else ""
    return Raised(KINDS[_name(node.func)], text, rest["where"] or rest["key"], rest["fix"] + options, room)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.expr, names: dict[str, ast.expr], depth: int = 0) -> str:
    """A text with `<name>` for what is only known when it is said."""
    if depth > 5:
        return "<...>"
    if isinstance(node, ast.Constant):
        return "" if node.value is None else str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _hole(v.value) if isinstance(v, ast.FormattedValue) else _text(v, names) for v in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, names, depth + 1) + _text(node.right, names, depth + 1)
    if isinstance(node, ast.IfExp):  # one of two texts
        either = [_text(branch, names, depth + 1) for branch in (node.body, node.orelse)]
        return " / ".join(dict.fromkeys(text for text in either if text))
    if isinstance(node, ast.Name) and node.id in names:
        return _text(names[node.id], names, depth + 1)
    return _hole(node)


def _hole(node: ast.expr) -> str:
    """`<name>` for an expression."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.IfExp):
        either = [_text(branch, {}, 1) for branch in (node.body, node.orelse)]
        return "/".join(text for text in either if text)
    if isinstance(node, ast.Call):
        name = _name(node.func)
        if name == "nearest":
            return " Did you mean <name>?"
        inner = node.args[0] if node.args else node.func
        return _hole(
            inner
            if name in ("str", "len", "shown", "visible", "type", "join", "sorted", "repr")
            else node.func
        )
    if isinstance(node, ast.Subscript):
        return _hole(node.value)
    return f"<{_name(node).strip('_') or '...'}>"
