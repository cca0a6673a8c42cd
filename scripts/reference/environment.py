"""The page of environment variables: the source says which there are, the TOML file what they mean."""

import ast
import re
import tomllib
from pathlib import Path

from reference.markdown import code, prose, table

DESCRIBED = Path(__file__).with_suffix(".toml")


FOOT = """
A config may read variables whose names begin with `AIEXP_` only: `${oc.env:AIEXP_MINE}`. Variables whose
names say key, token, password or secret are never written anywhere: their values are masked in logs, run
directories and W&B.
"""


def page(package: Path) -> str:
    """The whole page.

    Raises:
        ValueError: the source has a variable that is not described, or no longer one that is.
    """
    tables: dict[str, dict[str, str]] = tomllib.loads(DESCRIBED.read_text("utf-8"))
    described = {name for names in tables.values() for name in names}
    new = variables(package) - described
    text = "".join(path.read_text("utf-8") for path in package.rglob("*.py"))
    gone = {name for name in described if not re.search(rf"[\"'$]{name}\b", text)}
    if new or gone:
        raise ValueError(
            f"environment variables: not described {sorted(new)}, no longer there {sorted(gone)}"
        )
    parts = ["# Environment variables", ""]
    for title, names in tables.items():
        rows = ([code(name), prose(text)] for name, text in names.items())
        parts += [f"## {title}", "", table(["variable", "meaning"], rows)]
    return "\n".join([*parts, FOOT])


def variables(package: Path) -> set[str]:
    """Names that the source looks up in `os.environ`, or sets there."""
    found: set[str] = set()
    for path in package.rglob("*.py"):
        text = path.read_text("utf-8")
        if "environ" not in text:
            continue
        tree = ast.parse(text)
        constants = {
            node.targets[0].id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            key = _key(node)
            name = key.value if isinstance(key, ast.Constant) else constants.get(getattr(key, "id", ""), "")
            found |= {name, *_own_names(node)}
    return {name for name in found if str(name).isupper()}


def _own_names(node: ast.AST) -> list[str]:
    """A text that is the name of a variable of aiexp's."""
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return [node.value] if is_text and re.fullmatch(r"AIEXP_[A-Z_]*[A-Z]", node.value) else []


def _key(node: ast.AST) -> ast.expr | None:
    """The name that is looked up in `os.environ`, if a node does that."""
    if isinstance(node, ast.Subscript) and _is_environ(node.value):
        return node.slice
    if isinstance(node, ast.Compare) and _is_environ(node.comparators[0]):
        return node.left
    is_call = (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_environ(node.func.value)
    )
    return node.args[0] if is_call and node.args else None


def _is_environ(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "environ"
