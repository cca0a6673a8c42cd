"""The keys of an option's YAML file, with the files it builds on: default, comment, type."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from aiexp.config.folders import Option
from aiexp.config.target.find import NotFoundError, find
from aiexp.config.target.signature import Parameter, Signature, read
from aiexp.config.target.value_type import mismatch
from reference.docstrings import Docstring, arguments_of, of_node

# What YAML files do not say again at every place: arguments of torch's optimizers, keys of `reference`.
OF_OPTIMIZERS = {
    "lr": "learning rate, on which the schedule is a factor",
    "betas": "decay of the running means of the gradient and of its square",
    "eps": "added to the denominator",
    "weight_decay": "factor of the decay of weights",
    "fused": "one kernel for all parameters",
    "momentum": "share of the last update that is kept",
    "dampening": "taken off the gradient where there is momentum",
    "nesterov": "look ahead by the momentum (Nesterov)",
    "alpha": "decay of the running mean of the gradient's square",
    "centered": "divide by the variance instead of the mean square",
    "decoupled_weight_decay": "decay weights beside the gradient, as AdamW does",
    "momentum_decay": "how fast the momentum grows to its value",
}
KNOWN = {
    "optimizer": "makes the optimizer",
    "optimizers": "makes the optimizers",
    "optimizers.generator": "of the generator or generators",
    "optimizers.discriminator": "of the discriminator or discriminators",
    "reference": "the result that the file as it is was measured to have; no argument of the task",
    "reference.metric": "which metric",
    "reference.value": "its value",
    "reference.tolerance": "how far another run may be from it",
    "reference.source": "how it was measured",
}
RESERVED = ("_target_", "_partial_", "defaults")


@dataclass
class Key:
    """One key.

    Args:
        name: Dotted, without the group: "schedule.shape".
        default: As the file has it; of a block with a `_target_` that target.
        comment: That stands beside it in the file that has it first.
        note: That stands beside it in a file that builds on that one.
        is_block: Whether keys lie below it.
        type: Which values it may have, in words; empty where nobody says.
        meaning: What the docstring of the class or function says of the argument.
    """

    name: str
    default: str
    comment: str = ""
    note: str = ""
    is_block: bool = False
    type: str = ""
    meaning: str = ""

    @property
    def text(self) -> str:
        """What it means."""
        said = self.comment or self.meaning
        return f"{said}; here: {self.note}" if said and self.note else said or self.note


@dataclass
class Target:
    """What a `_target_` names, read from source.

    Args:
        name: The dotted name.
        signature: None where it cannot be read, as of a package that is not installed.
        docstring: Of the class or function.
        arguments: Meaning of each argument.
    """

    name: str
    signature: Signature | None
    docstring: Docstring
    arguments: dict[str, str]


def keys_of(option: Option, files: dict[str, Option]) -> dict[str, Key]:
    """Every key of an option by its name, in the order of the files.

    Args:
        option: The option.
        files: All files of its group by name, those that others build on included.
    """
    found: dict[str, Key] = {}
    _read(option.path, files, found)
    for block in ["", *(name for name, key in found.items() if key.is_block)]:
        target = found.get(f"{block}._target_".lstrip("."))
        if target is not None:
            _describe(found, block, target_of(target.default))
    return found


def _describe(found: dict[str, Key], block: str, target: Target) -> None:
    """Gives the keys of a block the types and meanings that its target says."""
    parameters = (target.signature.parameters if target.signature else None) or {}
    for name, key in found.items():
        parent, _, leaf = name.rpartition(".")
        if parent != block or leaf in RESERVED:
            continue
        known = OF_OPTIMIZERS if target.name.startswith("torch.optim.") else {}
        key.meaning = target.arguments.get(leaf) or known.get(leaf) or key.meaning
        key.type = "a block" if key.is_block else type_of(parameters[leaf]) if leaf in parameters else ""


@cache
def target_of(name: str) -> Target:
    """What a dotted name leads to."""
    try:
        found, signature = find(name), read(name)
    except (NotFoundError, OSError):
        return Target(name, None, Docstring(), {})
    assert found.node is not None
    return Target(name, signature, of_node(found.node), arguments_of(found.node, found.module))


def type_of(parameter: Parameter) -> str:
    """Which values an argument takes, in the words of the error for one that it does not."""
    expected = mismatch(object(), parameter.annotation, parameter.module)
    if expected is None:
        return "" if parameter.annotation is None else f"`{ast.unparse(parameter.annotation)}`"
    # Types of torch's optimizers, which no config can make.
    return re.sub(r" or a block with the _target_ of an? \w+$", "", expected).replace(
        "_target_", "`_target_`"
    )


def _read(path: Path, files: dict[str, Option], found: dict[str, Key]) -> None:
    """Adds the keys of a file to those found, after those of the files it builds on."""
    text = path.read_text("utf-8")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return
    for name in _bases(root):
        if name in files:
            _read(files[name].path, files, found)
    _walk(root, "", text.splitlines(), found)


def builds_on(option: Option, files: dict[str, Option]) -> list[str]:
    """Names of the options that a file builds on, without those that cannot be chosen themselves."""
    root = yaml.compose(option.path.read_text("utf-8"), Loader=yaml.SafeLoader)
    names = _bases(root) if isinstance(root, yaml.MappingNode) else []
    return [name for name in names if name in files and not name.startswith("_")]


def own_keys(option: Option) -> dict[str, Key]:
    """The keys that a file writes itself."""
    return keys_of(option, {})


def _bases(root: yaml.MappingNode) -> list[str]:
    """Names in the defaults list that are files of the same group."""
    entries = next((v for k, v in root.value if k.value == "defaults"), None)
    names = [e.value for e in entries.value if isinstance(e, yaml.ScalarNode)] if entries else []
    return [name for name in names if name != "_self_"]


def chosen(option: Option) -> dict[str, str]:
    """Group to option that the defaults list of a file selects."""
    root = yaml.safe_load(option.path.read_text("utf-8")) or {}
    pairs = [pair for entry in root.get("defaults", []) if isinstance(entry, dict) for pair in entry.items()]
    return {str(group).removeprefix("override ").lstrip("/"): str(name) for group, name in pairs}


def _walk(node: yaml.MappingNode, prefix: str, lines: list[str], found: dict[str, Key]) -> None:
    for key_node, value in node.value:
        name = f"{prefix}{key_node.value}"
        if name == "defaults":
            continue
        is_block = isinstance(value, yaml.MappingNode) and not value.flow_style
        if is_block:
            comment = _comment(lines[key_node.end_mark.line][key_node.end_mark.column :])
            shown = next((v.value for k, v in value.value if k.value == "_target_"), "")
        else:
            comment = _comment(lines[value.end_mark.line][value.end_mark.column :])
            shown = _source(value, lines)
        before = found.get(name)
        if is_block and before is not None:
            shown = shown or before.default
        found[name] = Key(name, shown, comment, is_block=is_block, meaning=KNOWN.get(name, ""))
        if before is not None and before.comment:
            found[name].comment, found[name].note = before.comment, comment or before.note
        if is_block:
            _walk(value, f"{name}.", lines, found)


def _source(value: yaml.Node, lines: list[str]) -> str:
    """A value as it is written."""
    first, last = value.start_mark, value.end_mark
    if first.line == last.line:
        return lines[first.line][first.column : last.column]
    parts = [
        lines[first.line][first.column :],
        *lines[first.line + 1 : last.line],
        lines[last.line][: last.column],
    ]
    return " ".join(part.strip() for part in parts)


def _comment(rest: str) -> str:
    """The comment at the end of a line."""
    comment = re.search(r"(?:^|\s)#\s?(.*)$", rest)
    return comment[1].strip() if comment else ""


def header(path: Path) -> list[str]:
    """The lines of the comment that a file begins with, without `#` and Hydra's directives."""
    found: list[str] = []
    for line in path.read_text("utf-8").lstrip().splitlines():
        if not line.startswith("#"):
            break
        text = line.lstrip("#").strip()
        if text and not text.startswith("@package"):
            found.append(text)
    return found
