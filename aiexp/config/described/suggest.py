"""Keys and values that can be typed after what stands on a command line already, for completion."""

import ast

from omegaconf import DictConfig, OmegaConf

from aiexp.config.compose import merge_options
from aiexp.config.composed import prepare, without_hydra
from aiexp.config.folders import ConfDirs
from aiexp.config.overrides import parameters_at
from aiexp.config.resolve import keys_of
from aiexp.config.target.find import dotted


def keys(typed: list[str], dirs: ConfDirs) -> list[str]:
    """Dotted keys of the config that the words typed so far make, without those of no use to a user."""
    return [k for k in keys_of(_config(typed, dirs)) if "._" not in k and ".reference" not in k]


def key_values(key: str, typed: list[str], dirs: ConfDirs) -> list[str]:
    """Values that a key's annotation lists: those of a Literal, true and false, and null."""
    parent, _, name = key.lstrip("+").rpartition(".")
    parameter = parameters_at(parent, _config(typed, dirs)).get(name)
    return _listed(parameter.annotation) if parameter and parameter.annotation else []


def _config(typed: list[str], dirs: ConfDirs) -> DictConfig:
    """The config of the words typed, or the default one while they do not compose."""
    prepare()
    groups = [w for w in typed if w.split("=")[0] in dirs.options() and "," not in w]
    for overrides in (groups, []):
        try:
            return without_hydra(merge_options(overrides, dirs, {}))
        except Exception:
            continue
    return OmegaConf.create()


def _listed(node: ast.expr) -> list[str]:
    """The plain values an annotation spells out."""
    if isinstance(node, ast.BinOp):
        return [*_listed(node.left), *_listed(node.right)]
    if isinstance(node, ast.Subscript) and (dotted(node.value) or [""])[-1] == "Literal":
        choices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return [str(c.value) for c in choices if isinstance(c, ast.Constant)]
    if isinstance(node, ast.Constant) and node.value is None:
        return ["null"]
    return ["true", "false"] if dotted(node) == ["bool"] else []
