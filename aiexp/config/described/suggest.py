"""Keys and values that can be typed after what stands on a command line already, for completion."""

import ast
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from aiexp.config.dotted import flatten
from aiexp.config.folders import ConfDirs
from aiexp.config.target.find import Module, NotFoundError, dotted, find_alias
from aiexp.config.target.signature import Parameter, read

_TARGET = "_target_"
_LISTS = ("list", "Sequence")
_SWEEPS = ("launcher", "sweeper")  # what a user sets of Hydra's own node
_DEEPEST = 20  # names of types that stand for others


@dataclass(frozen=True, kw_only=True, slots=True)
class Sketch:
    """A config that is looked at while it is typed.

    Args:
        values: Dotted key to value, references as they stand; the `_target_` of blocks too.
        comments: Dotted key, those of blocks too, to what its file says beside it.
    """

    values: dict[str, Any] = field(default_factory=lambda: {})
    comments: dict[str, str] = field(default_factory=lambda: {})

    @property
    def keys(self) -> list[str]:
        """Those that a user may set."""
        return [k for k in self.values if not k.startswith("_") and "._" not in k and ".reference" not in k]


@dataclass(frozen=True, kw_only=True, slots=True)
class Values:
    """What the annotation of a key lists.

    Args:
        single: The values it can be: of a Literal, true and false, null.
        items: Those that a list may hold, for a key that takes a list.
    """

    single: list[str]
    items: list[str]


def sketch(typed: list[str], dirs: ConfDirs) -> Sketch:
    """The config of the groups typed so far, or the default one while they do not compose.

    Args:
        typed: Words of the command line; those that choose no option are passed over.
        dirs: Where the options are.
    """
    from omegaconf import OmegaConf

    from aiexp.config.compose import merge_options
    from aiexp.config.composed import choices_of, prepare, without_hydra
    from aiexp.config.described.beside import comments_for
    from aiexp.config.group.block_groups import place

    prepare()
    for overrides in ([w for w in typed if _chooses(w, dirs)], []):
        with suppress(Exception):  # what is wrong with half a command line is not for completion to say
            full = merge_options(overrides, dirs, {})
            choices = choices_of(full)
            place(full)
            hydra, own = (cast(Any, OmegaConf.to_container(c)) for c in (full.hydra, without_hydra(full)))
            own["hydra"] = {name: hydra[name] for name in _SWEEPS if isinstance(hydra.get(name), dict)}
            return Sketch(values=flatten(own), comments=comments_for(choices, dirs))
    return Sketch()


def _chooses(word: str, dirs: ConfDirs) -> bool:
    """Whether a word chooses one option of a group, or a list of them."""
    group, _, value = word.lstrip("+").partition("=")
    return group in {**dirs.options(), **dirs.hydra_options()} and (
        "," not in value or value[:1] + value[-1:] == "[]"
    )


def values_at(key: str, values: Mapping[str, Any]) -> Values:
    """What can be typed as the value of a key.

    Args:
        key: Dotted.
        values: Of the config, by dotted keys.
    """
    from aiexp.config.target.arguments import GIVEN

    parent, _, name = key.lstrip("+").rpartition(".")
    target = values.get(f"{parent}.{_TARGET}")
    parameter: Parameter | None = None
    if isinstance(target, str) and name not in GIVEN.get(parent, ()):
        with suppress(NotFoundError):
            parameter = (read(target).parameters or {}).get(name)
    if parameter is None or parameter.annotation is None:
        return Values(single=[], items=[])
    node, module = parameter.annotation, parameter.module
    return Values(single=_single(node, module), items=_items(node, module))


def _single(node: ast.expr, module: Module, depth: int = 0) -> list[str]:
    """The plain values that an annotation spells out, or that a name in it stands for."""
    if isinstance(node, ast.BinOp):
        return [*_single(node.left, module, depth), *_single(node.right, module, depth)]
    if isinstance(node, ast.Subscript) and _name(node) == "Literal":
        choices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return [_as_yaml(c.value) for c in choices if isinstance(c, ast.Constant)]
    if isinstance(node, ast.Constant) and node.value is None:
        return ["null"]
    if _name(node) == "bool":
        return ["true", "false"]
    meant = _meant(node, module, depth)
    return _single(*meant, depth + 1) if meant else []


def _items(node: ast.expr, module: Module, depth: int = 0) -> list[str]:
    """The values that an annotation lets stand in a list."""
    if isinstance(node, ast.BinOp):
        return [*_items(node.left, module, depth), *_items(node.right, module, depth)]
    if isinstance(node, ast.Subscript) and _name(node) in _LISTS:
        return _single(node.slice, module)
    meant = _meant(node, module, depth)
    return _items(*meant, depth + 1) if meant else []


def _meant(node: ast.expr, module: Module, depth: int) -> tuple[ast.expr, Module] | None:
    """What stands behind `Annotated[...]`, a quoted annotation, or a name such as `Mode = Literal[...]`."""
    if depth > _DEEPEST:
        return None
    if isinstance(node, ast.Subscript) and _name(node) == "Annotated":
        return (node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice), module
    with suppress(NotFoundError, SyntaxError):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return ast.parse(node.value, mode="eval").body, module
        found = find_alias(module, node.id) if isinstance(node, ast.Name) else None
        if found is not None and isinstance(found[0], ast.expr):
            return found[0], found[1]
    return None


def _name(node: ast.expr) -> str:
    """`Literal` of `typing.Literal[...]`."""
    return (dotted(node.value if isinstance(node, ast.Subscript) else node) or [""])[-1]


def _as_yaml(value: object) -> str:
    """A constant as it is typed."""
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
