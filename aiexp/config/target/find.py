"""Where a dotted name is defined, found in source files without importing anything."""

import ast
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import final

from aiexp.config.target.working_directory import WORKING_DIRECTORY

_MOST_LOOKUPS = 200
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """A source file, parsed when first looked into.

    Args:
        name: Dotted name.
        path: Its file; for a namespace package an `__init__.py` that does not exist.
    """

    name: str
    path: Path

    @property
    def body(self) -> list[ast.stmt]:
        """Its statements, those inside `if`, `try` and `with` included, the last first."""
        try:
            return _parse(self.path, self.path.stat().st_mtime_ns)
        except FileNotFoundError:
            return []
        except (SyntaxError, ValueError, OSError) as error:
            raise NotFoundError(f"{self.path} cannot be read as Python: {error}", module=self) from error

    @property
    def package(self) -> str:
        """The dotted name that relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A definition and the module that holds it; `node` is None when the name means the module itself."""

    module: Module
    node: Definition | None
    name: str = ""


@final
class NotFoundError(LookupError):
    """A dotted name that leads to no readable definition.

    Args:
        why: What is missing where, as a sentence part.
        part: The name that was not found, when the module around it was.
        module: That module.
    """

    def __init__(self, why: str, *, part: str = "", module: Module | None = None) -> None:
        super().__init__(why)
        self.part, self.module = part, module


def find(target: str, *, skip_packages: bool = False) -> Found:
    """Where `target` is defined, following `from x import y as z`, aliases, and submodules.

    Raises:
        NotFoundError: as for `read`.
    """
    parts = target.split(".")
    if not all(p.isidentifier() for p in parts):
        raise NotFoundError(f"'{target}' is not a dotted Python name")
    module, rest = locate(parts[0]), parts[1:]
    skips = skip_packages or module.name == "aiexp"  # which offers functions that are called as its rooms
    while skips and len(rest) > 1 and (inner := _submodule(module, rest[0])):
        module, rest, skips = inner, rest[1:], skip_packages
    return find_in(module, rest)


def find_alias(module: Module, name: str, *, depth: int = 0) -> tuple[ast.expr | ast.ClassDef, Module] | None:
    """The class `name`, or what is assigned to it (`Precision = Literal["fp32", "bf16"]`), and where.

    Imports are followed inside the package and into aiexp only: other packages have long files and no aliases
    of interest.
    """
    for node in module.body if depth < 10 else []:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node, module
        value = _assigned(node, name)
        if value is not None:
            return value, module
        if isinstance(node, ast.ImportFrom):
            source = _absolute(node, module)
            for alias in node.names:
                is_near = source.split(".")[0] in {module.name.split(".")[0], "aiexp"}
                if (alias.asname or alias.name) == name and is_near:
                    return find_alias(_module(source), alias.name, depth=depth + 1)
    return None


def public_names(module: Module) -> list[str]:
    """Classes and functions a module defines or imports by name, for suggestions."""
    names: list[str] = []
    for node in module.body:
        if isinstance(node, Definition):
            names.append(node.name)
        elif isinstance(node, ast.ImportFrom):
            names += [a.asname or a.name for a in node.names]
    return [n for n in names if not n.startswith("_")] + _submodules(module)


@lru_cache(maxsize=512)
def _parse(path: Path, changed: int) -> list[ast.stmt]:
    """The statements of a file; `changed` is its modification time, so that an edited file is read again."""
    return _statements(ast.parse(path.read_bytes(), filename=str(path)).body)


def locate(name: str) -> Module:
    """The top-level module or package `name`, located but not imported."""
    try:
        spec = find_spec(name) or WORKING_DIRECTORY.locate(name)
    except (ValueError, ImportError):
        spec = None
    if spec is None:
        raise NotFoundError(
            f"no package or module '{name}' is installed or in the working directory", part=name
        )
    if spec.origin is None or not spec.origin.endswith(".py"):
        # A namespace package has no file of its own: an empty module stands for it.
        folders = list(spec.submodule_search_locations or [])
        if not folders:
            raise NotFoundError(f"'{name}' has no Python source")
        return Module(name=name, path=Path(folders[0], "__init__.py"))
    return Module(name=name, path=Path(spec.origin))


def _submodule(module: Module, name: str) -> Module | None:
    """The module `name` inside the package `module`."""
    if module.path.name != "__init__.py":
        return None
    folder, full = module.path.parent, f"{module.name}.{name}"
    for path in (folder / name / "__init__.py", folder / f"{name}.py"):
        if path.is_file():
            return Module(name=full, path=path)
    if (folder / name).is_dir():
        return Module(name=full, path=folder / name / "__init__.py")
    return None


def _submodules(module: Module) -> list[str]:
    """Names of the modules inside a package."""
    if module.path.name != "__init__.py":
        return []
    return sorted(p.stem for p in module.path.parent.glob("*.py") if p.stem != "__init__")


def _module(name: str) -> Module:
    """The module with dotted name `name`, located but not imported."""
    first, *rest = name.split(".")
    module = locate(first)
    for part in rest:
        inner = _submodule(module, part)
        if inner is None:
            raise NotFoundError(f"no module '{part}' in {module.name}", part=part, module=module)
        module = inner
    return module


def _statements(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements of a module, those inside `if`, `try` and `with` included, the last first."""
    flat: list[ast.stmt] = []
    for node in body:
        flat.append(node)
        if isinstance(node, ast.If):
            flat += _statements(node.body)[::-1] + _statements(node.orelse)[::-1]
        elif isinstance(node, ast.Try):
            # What a handler binds instead (`X = None`) counts less than the body.
            blocks = [*(h.body for h in node.handlers), node.body, node.orelse, node.finalbody]
            flat += [s for block in blocks for s in _statements(block)[::-1]]
        elif isinstance(node, ast.With):
            flat += _statements(node.body)[::-1]
    return flat[::-1]


def find_in(module: Module, parts: list[str], seen: set[tuple[str, str]] | None = None) -> Found:
    """What the attribute path `parts` of `module` leads to.

    Args:
        module: Where to look.
        parts: Names, as after the dots of `module.a.b`.
        seen: Names looked up on the way, for circles and for libraries of thousands of star imports.

    Raises:
        NotFoundError: nowhere, in a circle, or to a value made at run time.
    """
    if not parts:
        return Found(module=module, node=None)
    name, rest = parts[0], parts[1:]
    seen = set() if seen is None else seen
    if (module.name, name) in seen or len(seen) >= _MOST_LOOKUPS:
        raise NotFoundError(f"no definition of '{name}' behind the imports of {module.path}", module=module)
    seen.add((module.name, name))
    for node in module.body:
        found = _bound(node, name, rest, module, seen)
        if found is not None:
            return found
    inner = _submodule(module, name)
    if inner is not None:
        return find_in(inner, rest, seen)
    for node in module.body:
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            try:
                return find_in(_module(_absolute(node, module)), parts, seen)
            except NotFoundError:
                continue
    raise NotFoundError(f"no '{name}' in {module.path}", part=name, module=module)


def _bound(
    node: ast.stmt, name: str, rest: list[str], module: Module, seen: set[tuple[str, str]]
) -> Found | None:
    """What `name` followed by `rest` means when `node` is the statement that binds it, else None."""
    if isinstance(node, Definition) and node.name == name:
        return _inside(node, rest, module)
    if isinstance(node, ast.ImportFrom):
        for alias in node.names:
            source = _absolute(node, module)
            # `from . import x` in a package names its submodule x, found below.
            if (alias.asname or alias.name) == name and (source, alias.name) != (module.name, name):
                return find_in(_module(source), [alias.name, *rest], seen)
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.asname == name:
                return find_in(_module(alias.name), rest, seen)
            if alias.asname is None and alias.name.split(".")[0] == name:
                return find_in(locate(name), rest, seen)
    value = _assigned(node, name)
    if value is not None:
        path = dotted(value)
        if path is None or path[0] == name:
            why = f"'{name}' in {module.path} is made at run time, not defined there"
            raise NotFoundError(why, module=module)
        return find_in(module, [*path, *rest], seen)
    return None


def _inside(node: Definition, rest: list[str], module: Module) -> Found:
    """The definition itself, or the class or static method of it that `rest` names."""
    if not rest:
        return Found(module=module, node=node, name=node.name)
    if isinstance(node, ast.ClassDef) and len(rest) == 1:
        for inner in node.body:
            if (
                isinstance(inner, Definition)
                and inner.name == rest[0]
                and (isinstance(inner, ast.ClassDef) or decorators(inner) & {"classmethod", "staticmethod"})
            ):
                return Found(module=module, node=inner, name=f"{node.name}.{inner.name}")
    raise NotFoundError(f"no class method '{'.'.join(rest)}' in {node.name}", part=rest[0], module=module)


def _assigned(node: ast.stmt, name: str) -> ast.expr | None:
    """The value when `node` assigns `name`."""
    if isinstance(node, ast.Assign):
        is_bound = any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
        return node.value if is_bound else None
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
        return node.value
    return None


def dotted(node: ast.expr) -> list[str] | None:
    """`["a", "b"]` for the expression `a.b`, else None."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return None if inner is None else [*inner, node.attr]
    return None


def _absolute(node: ast.ImportFrom, module: Module) -> str:
    """The dotted name of the module a `from ... import` statement reads from."""
    if not node.level:
        return node.module or ""
    base = module.package.split(".")
    kept = base[: len(base) - (node.level - 1)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def decorators(node: Definition) -> set[str]:
    """Last names of the decorators: `dataclass` for `@dataclasses.dataclass(frozen=True)`."""
    paths = [dotted(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list]
    return {p[-1] for p in paths if p}
