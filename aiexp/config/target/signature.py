"""What a dotted name's constructor accepts, read from its source without importing anything.

To learn by import that `AdamW` has no argument `lrr` takes seconds; parsing one file takes milliseconds.
"""

import ast
from dataclasses import dataclass, field

from aiexp.config.target.find import Definition, Module, NotFoundError, decorators, dotted, find, find_in


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One argument of a callable.

    Args:
        name: Its keyword.
        annotation: Its type as written, or None.
        module: Where the annotation's names are defined.
        is_required: Whether it has no default.
    """

    name: str
    annotation: ast.expr | None
    module: Module
    is_required: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """The definition behind a dotted name.

    Args:
        target: The dotted name asked for.
        module: The module that defines it, after following re-exports.
        name: Qualified name inside that module.
        is_class: Whether it is a class, not a function.
        parameters: By keyword; None when they cannot be read from source.
        accepts_any: Whether it takes `**kwargs`.
    """

    target: str
    module: Module
    name: str
    is_class: bool
    parameters: dict[str, Parameter] | None
    accepts_any: bool = False


def read(target: str, *, skip_packages: bool = False) -> Signature:
    """The signature of the class or function that `target` names.

    Args:
        target: Dotted name.
        skip_packages: Go straight to the innermost module, without looking what the packages around it
            bind to its name: `torch/__init__.py` alone takes 40 ms to parse.

    Raises:
        NotFoundError: no such module, or it does not define or import that name.
    """
    found = find(target, skip_packages=skip_packages)
    if found.node is None:
        raise NotFoundError(f"'{target}' is a module, not a class or function")
    if isinstance(found.node, ast.ClassDef):
        parameters, accepts_any = _Constructor().read(found.node, found.module)
    else:
        parameters, accepts_any = _arguments(found.node, found.module, skip=_skipped(found.node, found.name))
    return Signature(
        target=target,
        module=found.module,
        name=found.name,
        is_class=isinstance(found.node, ast.ClassDef),
        parameters=parameters,
        accepts_any=accepts_any,
    )


def _skipped(node: Definition, name: str) -> int:
    """How many leading arguments the caller does not give: `cls` of a class method."""
    return int("." in name and "staticmethod" not in decorators(node))


def _arguments(
    node: ast.FunctionDef | ast.AsyncFunctionDef, module: Module, *, skip: int
) -> tuple[dict[str, Parameter], bool]:
    """Keyword arguments of a function without its first `skip`, and whether it takes `**kwargs`."""
    args = node.args
    positional = args.args[max(skip - len(args.posonlyargs), 0) :]
    first_default = len(args.args) - len(args.defaults)
    required = {a.arg: args.args.index(a) < first_default for a in positional}
    required |= {a.arg: d is None for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True)}
    parameters = {
        a.arg: Parameter(name=a.arg, annotation=a.annotation, module=module, is_required=required[a.arg])
        for a in [*positional, *args.kwonlyargs]
    }
    shared = _unpacked(args.kwarg.annotation, module) if args.kwarg else {}
    return parameters | (shared or {}), shared is None


def _unpacked(annotation: ast.expr | None, module: Module) -> dict[str, Parameter] | None:
    """What `**settings: Unpack[Settings]` takes: the keys of a `TypedDict`, those of its bases first."""
    if not isinstance(annotation, ast.Subscript) or (dotted(annotation.value) or [""])[-1] != "Unpack":
        return None
    return _keys(annotation.slice, module)


def _keys(node: ast.expr, module: Module) -> dict[str, Parameter] | None:
    """The keys of the `TypedDict` that an expression names, or None."""
    path = dotted(node) or [""]
    if path[-1] == "TypedDict":
        return {}
    try:
        found = find_in(module, path)
    except NotFoundError:
        return None
    if not isinstance(found.node, ast.ClassDef):
        return None
    keys: dict[str, Parameter] = {}
    for base in found.node.bases:
        inherited = _keys(base, found.module)
        if inherited is None:
            return None
        keys |= inherited
    return keys | {
        inner.target.id: Parameter(
            name=inner.target.id, annotation=inner.annotation, module=found.module, is_required=True
        )
        for inner in found.node.body
        if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name)
    }


@dataclass
class _Constructor:
    """Reads what calling a class accepts: its `__init__`, an inherited one, or the fields of a dataclass."""

    seen: set[str] = field(default_factory=lambda: set[str]())

    def read(self, node: ast.ClassDef, module: Module) -> tuple[dict[str, Parameter] | None, bool]:
        """Parameters and whether there is `**kwargs`; (None, True) when they cannot be known."""
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                return _arguments(inner, module, skip=1)
        if "dataclass" in decorators(node):
            return self._fields(node, module), False
        for base in node.bases:
            path = dotted(base.value if isinstance(base, ast.Subscript) else base)
            if path is not None and path[-1] in {"object", "ABC", "Protocol", "Generic"}:
                continue
            return self._inherited(path, module)
        return {}, False

    def _inherited(self, path: list[str] | None, module: Module) -> tuple[dict[str, Parameter] | None, bool]:
        found = self._base(path, module)
        return (None, True) if found is None else self.read(*found)

    def _base(self, path: list[str] | None, module: Module) -> tuple[ast.ClassDef, Module] | None:
        """The class that the base expression `path` names."""
        if path is None:
            return None
        try:
            found = find_in(module, path)
        except NotFoundError:
            return None
        key = f"{found.module.name}.{found.name}"
        if not isinstance(found.node, ast.ClassDef) or key in self.seen:
            return None
        self.seen.add(key)
        return found.node, found.module

    def _fields(self, node: ast.ClassDef, module: Module) -> dict[str, Parameter]:
        """Fields of a dataclass, those of its dataclass bases first."""
        fields: dict[str, Parameter] = {}
        for base in reversed(node.bases):
            found = self._base(dotted(base), module)
            if found is not None and "dataclass" in decorators(found[0]):
                fields |= self._fields(*found)
        for inner in node.body:
            if not isinstance(inner, ast.AnnAssign) or not isinstance(inner.target, ast.Name):
                continue
            if "ClassVar" in ast.unparse(inner.annotation) or not _is_init(inner.value):
                continue
            name = inner.target.id
            fields[name] = Parameter(
                name=name,
                annotation=inner.annotation,
                module=module,
                is_required=not _has_default(inner.value),
            )
        return fields


def _keywords(value: ast.expr | None) -> dict[str, ast.expr] | None:
    """Keywords of a `field(...)` call, or None for any other value."""
    if isinstance(value, ast.Call) and (dotted(value.func) or [""])[-1] == "field":
        return {k.arg: k.value for k in value.keywords if k.arg}
    return None


def _is_init(value: ast.expr | None) -> bool:
    """Whether a dataclass field with this default is an argument."""
    init = (_keywords(value) or {}).get("init")
    return not (isinstance(init, ast.Constant) and init.value is False)


def _has_default(value: ast.expr | None) -> bool:
    """Whether a dataclass field has a default."""
    keywords = _keywords(value)
    if keywords is None:
        return value is not None
    return "default" in keywords or "default_factory" in keywords
