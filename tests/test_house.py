"""The limits of CONTRIBUTING.md: lines of a file and of a function, parameters of a constructor."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE_LINES, FUNCTION_LINES, PARAMETERS = 350, 40, 10
Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(suffix: str) -> list[Path]:
    found = [path for folder in ("aiexp", "tests") for path in (ROOT / folder).rglob(f"*{suffix}")]
    assert found
    return found


@cache
def functions() -> list[tuple[str, Function]]:
    """Every function of the package and the tests, as "file: name"."""
    return [
        (f"{path.relative_to(ROOT)}: {node.name}", node)
        for path in sources(".py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, Function)
    ]


def lines_of_body(node: Function) -> int:
    """Lines from the first statement to the last, without signature and docstring."""
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def num_parameters(node: Function) -> int:
    """Parameters that a caller can give; `**settings: Unpack[Settings]` counts as one."""
    a = node.args
    names = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    return (
        len([n for n in names if n not in ("self", "cls")]) + (a.vararg is not None) + (a.kwarg is not None)
    )


def test_a_file_has_at_most_350_lines() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in sources(".py") + sources(".js")}
    assert {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > FILE_LINES} == {}


def test_a_function_has_at_most_40_lines() -> None:
    assert [name for name, node in functions() if lines_of_body(node) > FUNCTION_LINES] == []


def test_a_function_takes_at_most_10_arguments() -> None:
    assert [name for name, node in functions() if num_parameters(node) > PARAMETERS] == []
