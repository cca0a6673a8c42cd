"""Makes objects out of config nodes: `_target_` with its keyword arguments, nested nodes first."""

import functools
import importlib
import inspect
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast, final

from omegaconf import DictConfig, ListConfig, OmegaConf

from aiexp.config.objects.address import add_address
from aiexp.config.objects.partners import check_partners
from aiexp.config.problem import Problem, raise_all
from aiexp.config.target.allowed import check_object, check_target, room
from aiexp.config.target.arguments import EXTRA_BLOCKS, GIVEN, check_arguments
from aiexp.config.target.find import Module
from aiexp.config.target.library import LIBRARY
from aiexp.config.target.signature import Parameter, Signature
from aiexp.errors import AiexpError, ConfigError

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
        except _REFUSALS as error:
            raise _refused(self.func, error, self.key) from error


def build(node: DictConfig | Mapping[str, Any] | None, **given: Any) -> Any:
    """The object a node describes; None for an empty group.

    Args:
        node: A mapping with `_target_` and keyword arguments. `_partial_: true` gives a `functools.partial`.
            Nodes inside, in lists too, are built first.
        given: Arguments that the caller supplies beside those of the node.

    Raises:
        ConfigError: arguments that the constructor does not take or lacks, values that its annotations do not
            allow, or what the constructor refuses. Arguments that an error names get their keys.
        SecurityError: a target that is not allowed, here checked a second time.
    """
    if node is None:
        return None
    # A plain mapping does not know its key, but the runner's arguments or the target's room tell the group.
    group = next((g for g, names in GIVEN.items() if names == given.keys()), room(node.get("_target_")))
    key = str(node._get_full_key(None)) if isinstance(node, DictConfig) else group  # pyright: ignore[reportPrivateUsage]
    plain: Any = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else dict(node)
    return _node(cast(dict[str, Any], plain), key, given)


def _node(node: dict[str, Any], key: str, given: dict[str, Any]) -> Any:
    """The object of one node; `given` only for the outermost."""
    where = key or str(node.get("_target_"))
    signature = check_target(node.get("_target_"), where=where)
    target = str(node["_target_"])
    call = _import(target, where)
    check_object(call, target)
    if signature is None or signature.parameters is None:
        signature = _inspected(call, target)
    is_partial = node.get("_partial_", False) is True
    blocks = _BLOCKS - (signature.parameters or {}).keys()
    _check(node, where, signature, given, blocks)
    arguments = {
        k: _value(v, f"{key}.{k}" if key else k)
        for k, v in node.items()
        if not k.startswith("_") and k not in blocks
    }
    if given:
        check_partners(call, given)
    try:
        if target in LIBRARY:
            return _library(call, arguments | given, where, is_partial=is_partial)
        return functools.partial(call, **arguments, **given) if is_partial else call(**arguments, **given)
    except AiexpError as error:
        add_address(error, node, where, given)
        raise


def _library(call: Any, arguments: dict[str, Any], where: str, *, is_partial: bool) -> Any:
    """An object of another library, whose refusals become config errors, now or when it is called."""
    if is_partial:
        partial = LibraryPartial(call, **arguments)
        partial.key = where
        return partial
    try:
        return call(**arguments)
    except _REFUSALS as error:
        raise _refused(call, error, where) from error


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
        is_room = path.count(".") == 1 and first == "aiexp"  # which also offers functions called as its rooms
        if inspect.ismodule(value) and (is_room or not hasattr(value, part)):
            try:
                value = importlib.import_module(path)
                continue
            except ModuleNotFoundError as error:
                if error.name != path:
                    raise
        if not hasattr(value, part):
            raise ConfigError(f"'{target}' does not exist: no '{part}'", where=where, fix="check the name")
        value = getattr(value, part)
    return value


def _check(
    node: dict[str, Any], key: str, signature: Signature, given: dict[str, Any], blocks: frozenset[str]
) -> None:
    """Checks the arguments as composing does, for callers who did not compose; raises all problems."""
    unsupported = [k for k in node if k.startswith("_") and k not in ("_target_", "_partial_")]
    problems = [
        Problem(key=key, what=f"'{k}' is not supported", fix="name each argument") for k in unsupported
    ]
    if signature.parameters is not None:
        problems += check_arguments(node, key, signature, given=given, blocks=blocks)
        if not signature.accepts_any:
            fix = f"aiexp passes it: def __init__(self, *, {', '.join(given)}, ...)"
            strange = [name for name in given if name not in signature.parameters]
            problems += [
                Problem(key=key, what=f"{signature.target} takes no '{name}'", fix=fix) for name in strange
            ]
    raise_all([problem.error(problem.key) for problem in problems])


def _inspected(call: Any, target: str) -> Signature:
    """The signature of what cannot be read from source, by what Python says of it; without types."""
    module = Module(name=str(getattr(call, "__module__", "")), path=Path())
    parameters: dict[str, Parameter] | None = None
    accepts_any = True
    with suppress(ValueError, TypeError):
        found = inspect.signature(call).parameters.values()
        accepts_any = any(p.kind is p.VAR_KEYWORD for p in found)
        parameters = {
            p.name: Parameter(name=p.name, annotation=None, module=module, is_required=p.default is p.empty)
            for p in found
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        }
    return Signature(
        target=target, module=module, name=target.rpartition(".")[2], is_class=isinstance(call, type),
        parameters=parameters, accepts_any=accepts_any,
    )  # fmt: skip
