"""Google docstrings, taken apart."""

import ast
import inspect
import re
from dataclasses import dataclass, field

from aiexp.config.target.find import Module, NotFoundError, dotted, find_in

_LISTS = ("Args", "Raises", "Returns", "Yields")
_HEAD = re.compile(r"^(Args|Raises|Returns|Yields|Logs|Cure|Source|Departures|Metrics[^:]*):\s*(.*)$")
_ITEM = re.compile(r"^ {4}(?P<name>[\w*]+)(?: \([^)]*\))?:\s*(?P<text>.*)$")


@dataclass
class Docstring:
    """What a docstring says.

    Args:
        summary: Its first sentence.
        body: Its paragraphs until the first section, without the summary.
        texts: Sections that are text, by their heads: "Source", "Logs", ...
        items: Sections that are lists: "Args" to name to text.
    """

    summary: str = ""
    body: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    items: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, str]:
        """Meaning of each argument."""
        return self.items.get("Args", {})


def of_node(node: ast.AST) -> Docstring:
    """The docstring of a class or function; an empty one where there is none."""
    if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
        return Docstring()
    return parse(ast.get_docstring(node) or "")


def parse(text: str) -> Docstring:
    """A docstring from its text."""
    found = Docstring()
    paragraphs = [p for p in re.split(r"\n\s*\n", inspect.cleandoc(text)) if p.strip()]
    if not paragraphs:
        return found
    found.summary = " ".join(paragraphs[0].split())
    for paragraph in paragraphs[1:]:
        for head, lines in _sections(paragraph):
            if head is None:
                if lines:
                    found.body.append(" ".join(" ".join(lines).split()))
            elif head in _LISTS:
                found.items.setdefault(head, {}).update(_items(lines))
            else:
                found.texts[head] = " ".join(" ".join(lines).split())
    return found


def _sections(paragraph: str) -> list[tuple[str | None, list[str]]]:
    """The sections that a paragraph has: heads stand at the beginning of lines that are not indented."""
    found: list[tuple[str | None, list[str]]] = [(None, [])]
    for line in paragraph.splitlines():
        head = _HEAD.match(line)
        if head:
            found.append((head[1], [head[2]] if head[2] else []))
        else:
            found[-1][1].append(line)
    return found


def _items(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        item = _ITEM.match(line)
        if item:
            name = item["name"]
            found[name] = item["text"]
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
        elif line.strip():
            found[""] = f"{found.get('', '')} {line.strip()}".strip()
    return found


def arguments_of(node: ast.AST, module: Module) -> dict[str, str]:
    """Meanings of the arguments of a class or function, with those shared through a `TypedDict`."""
    found = dict(of_node(node).arguments)
    functions = [n for n in getattr(node, "body", []) if getattr(n, "name", "") == "__init__"] or [node]
    for function in functions:
        kwarg = getattr(getattr(function, "args", None), "kwarg", None)
        if kwarg is not None and isinstance(kwarg.annotation, ast.Subscript):
            found = _shared(kwarg.annotation.slice, module) | found
        found |= {k: v for k, v in of_node(function).arguments.items() if k not in found}
    return found


def _shared(node: ast.expr, module: Module) -> dict[str, str]:
    path = dotted(node)
    if path is None:
        return {}
    try:
        found = find_in(module, path)
    except NotFoundError:
        return {}
    if not isinstance(found.node, ast.ClassDef):
        return {}
    inherited: dict[str, str] = {}
    for base in found.node.bases:
        inherited |= _shared(base, found.module)
    return inherited | of_node(found.node).arguments
