"""The page of the Python API: `import aiexp`, and what one's own tasks and data sets are written with."""

import ast
from pathlib import Path

from reference import docstrings
from reference.markdown import block, prose, table

# What it is for, and file to names: those of `import aiexp` first.
PARTS = {
    "import aiexp": (
        "Train, load, ask and compare in Python and notebooks.",
        {"python.py": ("run", "load", "runs", "compare", "Run")},
    ),
    "Your own task": (
        "A subclass of `Task`: `train_step`, `make_optimizers`, `evaluate`.",
        {
            "task/base.py": ("Task", "Update", "Progress", "Last", "Sum"),
            "task/report.py": ("Evaluation", "Table"),
        },
    ),
    "Your own data": (
        "Anything with these members; no base class is needed.",
        {
            "dataset/base.py": (
                "Dataset",
                "Sized",
                "Positioned",
                "Counted",
                "ImageData",
                "TextData",
                "VectorData",
                "LanguageData",
                "TaggingData",
                "TokenData",
                "FewShotData",
                "EnvironmentData",
                "UnpairedData",
                "Batching",
            )
        },
    ),
    "What a task predicts": (
        "For `aiexp predict`, `serve`, `explain` and `export`.",
        {
            "prediction/inputs.py": ("Inputs",),
            "prediction/prediction.py": ("Prediction",),
            "prediction/network.py": ("Network",),
        },
    ),
    "Ranges of arguments": (
        "Written into annotations, checked before anything is imported.",
        {"ranges.py": ("Range", "Length", "Lacks", "Requires")},
    ),
    "Errors": ("What the functions above raise; each has its exit code.", {"errors.py": ("AiexpError",)}),
}


def page(package: Path) -> str:
    """The whole page."""
    parts = ["# Python API", ""]
    for title, (about, files) in PARTS.items():
        parts += [f"## {title}", "", prose(about), ""]
        for file, names in files.items():
            module = f"aiexp.{file.removesuffix('.py').replace('/', '.')}"
            tree = ast.parse((package / file).read_text("utf-8"))
            nodes = {getattr(node, "name", ""): node for node in tree.body}
            for name in names:
                shown = f"aiexp.{name}" if file == "python.py" else f"{module}.{name}"
                parts += _definition(nodes[name], shown, 3)
    return "\n".join(parts)


def _definition(node: ast.stmt, name: str, level: int) -> list[str]:
    """A class with its public members, or a function."""
    said = docstrings.of_node(node)
    parts = [f"{'#' * level} {name.rpartition('.')[2]}", "", block(_signature(node, name), "python")]
    parts += [prose(text) + "\n" for text in (said.summary, *said.body, *said.texts.values()) if text]
    for head, items in said.items.items():
        rows = [[f"`{key}`" if key else "", prose(text)] for key, text in items.items()]
        parts += (
            [f"**{head}**\n", table(["name", "meaning"], rows)]
            if any(items)
            else [f"**{head}**: {prose(items[''])}\n"]
        )
    if isinstance(node, ast.ClassDef):
        members = [m for m in node.body if isinstance(m, ast.FunctionDef) and not m.name.startswith("_")]
        for member in members:
            parts += _definition(member, member.name, level + 1)
    return parts


def _signature(node: ast.stmt, name: str) -> str:
    """How it is called, with annotations."""
    if isinstance(node, ast.FunctionDef):
        if any("property" in ast.unparse(d) for d in node.decorator_list):
            return f"{name}: {ast.unparse(node.returns) if node.returns else 'Any'}"
        return _call(node, name)
    if not isinstance(node, ast.ClassDef):
        return name
    start = next((m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "__init__"), None)
    if start is not None:
        return _call(start, f"class {name}").rpartition(" ->")[0]
    fields = [
        f"    {ast.unparse(m)}"
        for m in node.body
        if isinstance(m, ast.AnnAssign) and "ClassVar" not in ast.unparse(m)
    ]
    bases = f"({', '.join(map(ast.unparse, node.bases))})" if node.bases else ""
    return "\n".join([f"class {name}{bases}" + (":" if fields else ""), *fields])


def _call(node: ast.FunctionDef, name: str) -> str:
    arguments = ast.unparse(node.args)
    for first in ("self, ", "cls, ", "self", "cls"):
        if arguments.startswith(first):
            arguments = arguments.removeprefix(first)
            break
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{name}({arguments}){returns}"
    if len(line) <= 88:
        return line
    inner = _call_parts(node.args)
    return f"{name}(\n" + "".join(f"    {part},\n" for part in inner) + f"){returns}"


def _call_parts(arguments: ast.arguments) -> list[str]:
    """Each argument as it is written."""
    return [part.strip() for part in _split(ast.unparse(arguments)) if part.strip() not in ("self", "cls")]


def _split(text: str) -> list[str]:
    """At the commas outside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
