"""Makes objects out of config nodes: `_target_` with its keyword arguments, nested nodes first."""

import functools
import importlib
import inspect
from collections.abc import Mapping
from typing import Any, cast, final

from omegaconf import DictConfig, ListConfig, OmegaConf

from aiexp.config.partners import check_partners
from aiexp.config.target.allowed import check_object, check_target
from aiexp.config.target.arguments import EXTRA_BLOCKS, GIVEN
from aiexp.config.target.library import LIBRARY
from aiexp.errors import ConfigError, nearest

_BLOCKS = frozenset(name for blocks in EXTRA_BLOCKS.values() for name in blocks)


# What torch's constructors raise for values they do not take.
_REFUSALS = (ValueError, TypeError, AssertionError, IndexError)


@final
class LibraryPartial(functools.partial[Any]):
    """A `functools.partial` of a name of `library.py`; what that refuses when called is a config error."""

    key: str

    def __call__(self, /, *args: Any, **keywords: Any) -> Any:
        """The object, made with what the node gave and what comes now."""
        try:
            return super().__call__(*args, **keywords)
        except _REFUSALS as e:
            raise _refused(self.func, e, self.key) from e


def build(node: DictConfig | Mapping[str, Any] | None, **given: Any) -> Any:
    """The object a node describes; None for an empty group.

    Args:
        node: A mapping with `_target_` and keyword arguments. `_partial_: true` gives a `functools.partial`.
            Nodes inside, in lists too, are built first.
        given: Arguments that the caller supplies beside those of the node.

    Raises:
        ConfigError: Arguments that the constructor does not take or lacks, or what the constructor refuses.
        SecurityError: A target that is not allowed, here checked a second time.
    """
    if node is None:
        return None
    # A plain mapping does not know its key, but the runner's arguments tell the group.
    group = next((g for g, names in GIVEN.items() if names == given.keys()), "")
    key = str(node._get_full_key(None)) if isinstance(node, DictConfig) else group  # pyright: ignore[reportPrivateUsage]
    plain: Any = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else dict(node)
    return _node(cast(dict[str, Any], plain), key, given)


def _node(node: dict[str, Any], key: str, given: dict[str, Any]) -> Any:
    """The object of one node; `given` only for the outermost."""
    target = node.get("_target_")
    where = key or str(target)
    check_target(target, where=where)
    call = _import(str(target), where)
    check_object(call, str(target))
    arguments = {k: _value(v, f"{key}.{k}" if key else k) for k, v in node.items() if not k.startswith("_")}
    unsupported = [k for k in node if k.startswith("_") and k not in ("_target_", "_partial_")]
    if unsupported:
        raise ConfigError(f"'{unsupported[0]}' is not supported", where=where, fix="name each argument")
    is_partial = node.get("_partial_", False) is True
    _bind(call, arguments, given, where, is_partial=is_partial)
    if given:
        check_partners(call, given)
    if target in LIBRARY:
        return _library(call, arguments | given, where, is_partial=is_partial)
    return functools.partial(call, **arguments, **given) if is_partial else call(**arguments, **given)


def _library(call: Any, arguments: dict[str, Any], where: str, *, is_partial: bool) -> Any:
    """An object of another library, whose refusals become config errors, now or when it is called."""
    if is_partial:
        partial = LibraryPartial(call, **arguments)
        partial.key = where
        return partial
    try:
        return call(**arguments)
    except _REFUSALS as e:
        raise _refused(call, e, where) from e


def _refused(call: Any, error: Exception, where: str) -> ConfigError:
    """What a constructor said of its arguments, with their key."""
    name = getattr(call, "__name__", str(call))
    return ConfigError(f"{name} refuses: {error}", where=where, fix=f"change a value of {where}")


def _value(value: Any, key: str) -> Any:
    """A value with the nodes inside it built."""
    if isinstance(value, DictConfig | ListConfig):
        value = OmegaConf.to_container(value, resolve=True)
    if isinstance(value, dict):
        mapping = cast(dict[str, Any], value)
        if "_target_" in mapping:
            return _node(mapping, key, {})
        return {k: _value(v, f"{key}.{k}") for k, v in mapping.items()}
    if isinstance(value, list):
        return [_value(v, f"{key}[{i}]") for i, v in enumerate(cast(list[Any], value))]
    return value


def _import(target: str, where: str) -> Any:
    """What a dotted name stands for: the longest importable module, then attributes."""
    first, *rest = target.split(".")
    module: Any = importlib.import_module(first)
    path, value = first, module
    for part in rest:
        path = f"{path}.{part}"
        if inspect.ismodule(value) and not hasattr(value, part):
            try:
                value = importlib.import_module(path)
                continue
            except ModuleNotFoundError as e:
                if e.name != path:
                    raise
        if not hasattr(value, part):
            raise ConfigError(f"'{target}' does not exist: no '{part}'", where=where, fix="check the name")
        value = getattr(value, part)
    return value


def _bind(
    call: Any, arguments: dict[str, Any], given: dict[str, Any], where: str, *, is_partial: bool
) -> None:
    """Checks the arguments against the real signature; drops blocks that are not for the constructor."""
    try:
        signature = inspect.signature(call)
    except (ValueError, TypeError):
        return
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    names = list(signature.parameters)
    for name in [n for n in arguments if n in _BLOCKS and n not in names]:
        del arguments[name]
    unknown = [n for n in (*arguments, *given) if n not in names]
    if unknown and not takes_any:
        what = f"unknown key '{where}.{unknown[0]}'.{nearest(unknown[0], names)}"
        raise ConfigError(what, where=where, fix=f"it takes {' '.join(names)}")
    twice = [n for n in arguments if n in given]
    if twice:
        raise ConfigError(f"'{where}.{twice[0]}' is passed by aiexp itself", where=where, fix="remove it")
    required = [n for n, p in signature.parameters.items() if p.default is p.empty and p.kind not in (2, 4)]
    missing = [n for n in required if n not in arguments and n not in given]
    if missing and not is_partial:
        raise ConfigError(
            f"'{where}' lacks {', '.join(missing)}", where=where, fix=f"add {where}.{missing[0]}=..."
        )
