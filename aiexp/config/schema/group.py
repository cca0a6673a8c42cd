"""The JSON schema of the files of a group: defaults, `_target_`, and the arguments of whatever it names."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, final

import yaml

from aiexp.config.folders import ConfDirs
from aiexp.config.group.block_groups import BLOCK_GROUPS
from aiexp.config.schema.annotation import ANY, BLOCK, Json, schema_of
from aiexp.config.target.allowed import targets_in
from aiexp.config.target.arguments import EXTRA_BLOCKS, GIVEN
from aiexp.config.target.find import NotFoundError, find
from aiexp.config.target.library import LIBRARY
from aiexp.config.target.signature import Parameter, Signature, read
from aiexp.config.target.working_directory import WORKING_DIRECTORY
from aiexp.storage.reader import LOADER

DRAFT = "http://json-schema.org/draft-07/schema#"
TARGET, PARTIAL, DEFAULTS = "_target_", "_partial_", "defaults"
_OPTIMIZERS = sorted(name for name in LIBRARY if re.fullmatch(r"torch\.optim\.\w+", name))


def group_schema(group: str, dirs: ConfDirs) -> Json:
    """The schema of the YAML files in `conf/<group>`, shipped and own ones.

    An argument is known by the source of its callable, as when a config is checked; so own code that changes
    wants a new schema. What a file leaves to those in its `defaults` is not asked for.

    Args:
        group: One that has files.
        dirs: Where they and the other groups' lie.
    """
    WORKING_DIRECTORY.enter()
    return _Writer(group, dirs).schema()


@final
class _Writer:
    """Collects the definitions of one schema."""

    def __init__(self, group: str, dirs: ConfDirs) -> None:
        self.group, self.options = group, dirs.options()
        self.files = {name: content_of(option.path) for name, option in dirs.files()[group].items()}
        nested = {target for content in self.files.values() for target in _inside(content)}
        self.nested = sorted(nested | set(_OPTIMIZERS if group == "task" else ()))
        self.definitions: dict[str, Json] = {}

    def schema(self) -> Json:
        """The whole."""
        targets = {name: self.target_of(name) for name in self.files}
        own = sorted({target for target in targets.values() if target})
        rules = [_if_target(target, self.arguments(target)) for target in own]
        rules += [_if_base(name, self.arguments(target)) for name, target in targets.items() if target]
        blocks = [_if_target(target, ref) for target in self.nested if (ref := self.define(target))]
        self.definitions |= {
            "reference": {
                "anyOf": [
                    {"type": "string", "pattern": r"^\?\?\?$|\$\{"},
                    {"allOf": [{"type": "object", "required": [TARGET]}, BLOCK]},
                ]
            },
            "any": {"if": {"type": "object", "required": [TARGET]}, "then": BLOCK},
            "block": {"type": "object", "properties": {TARGET: _names(self.nested)}, "allOf": [{}, *blocks]},
        }
        return {
            "$schema": DRAFT,
            "title": f"aiexp: a file of conf/{self.group}",
            "type": "object",
            "properties": {DEFAULTS: self.defaults(), TARGET: _names(own)},
            "allOf": [{}, *rules],
            "definitions": dict(sorted(self.definitions.items())),
        }

    def target_of(self, name: str) -> str:
        """The `_target_` of a file, or of the first that it builds on; empty for none."""
        seen: list[str] = []
        while name in self.files and name not in seen:
            seen.append(name)
            content = self.files[name]
            if isinstance(content.get(TARGET), str):
                return content[TARGET]
            name = next((base for base in _bases(content)), "")
        return ""

    def defaults(self) -> Json:
        """A list of files to build on, and of choices of other groups."""
        choices = {
            f"{word}{group}": {"enum": [*options, None], "description": f"an option of {group}"}
            for group, options in self.options.items()
            for word in ("override /", "/")
        }
        entries: list[Json] = [
            {"enum": ["_self_", *sorted(self.files)]},
            {"type": "object", "properties": choices, "minProperties": 1, "maxProperties": 1,
             "patternProperties": {r"^(optional|override hydra)|@": ANY}, "additionalProperties": False},
        ]  # fmt: skip
        text = "What this file builds on: files of the group, and what it chooses of other groups."
        return {"type": "array", "items": {"anyOf": entries}, "description": text}

    def arguments(self, target: str) -> Json:
        """What a file may hold beside its defaults: the arguments of its target."""
        name = f"file-{target}"
        signature = _signature(target)
        if signature is None:
            return {}
        given, blocks = GIVEN.get(self.group, frozenset[str]()), EXTRA_BLOCKS.get(self.group, {})
        extra: dict[str, Json] = {DEFAULTS: {}, **{block: _plain(keys) for block, keys in blocks.items()}}
        if self.group in BLOCK_GROUPS:
            extra[PARTIAL] = {"type": "boolean"}
        made = self.properties(signature, given, extra)
        parameters = signature.parameters or {}
        missing = [n for n, p in parameters.items() if p.is_required and n not in given]
        if missing and self.group not in BLOCK_GROUPS:
            made["allOf"] = [{"if": {"not": _BUILDS}, "then": {"required": missing}}]
        self.definitions[name] = made
        return {"$ref": f"#/definitions/{name}"}

    def define(self, target: str) -> Json:
        """A reference to what a block with this target may hold; empty where nobody can tell."""
        name = f"block-{target}"
        if name not in self.definitions:
            signature = _signature(target)
            if signature is None:
                return {}
            self.definitions[name] = {}  # it may hold itself
            partial: Json = {"type": "boolean", "description": "make it later, with what comes then"}
            self.definitions[name] = self.properties(signature, frozenset(), {PARTIAL: partial})
        return {"$ref": f"#/definitions/{name}"}

    def properties(self, signature: Signature, given: frozenset[str], extra: Mapping[str, Json]) -> Json:
        """The arguments of a signature by name, with what its docstring says of them."""
        documented = _documented(signature)
        found: dict[str, Json] = {TARGET: {}, **extra}
        for name, parameter in (signature.parameters or {}).items():
            if name not in given:
                text = documented.get(name) or _shared(parameter)
                found[name] = schema_of(parameter.annotation, parameter.module, self.of_class)
                found[name] = {"description": text, **found[name]} if text else found[name]
        return {"properties": found, "additionalProperties": signature.accepts_any}

    def of_class(self, name: str) -> Json:
        """A block that makes an object of a class: by its own `_target_`, or left to the file below."""
        found = self.define(name)
        if not found:
            return BLOCK
        return {"allOf": [BLOCK, {"if": {"not": {"required": [TARGET]}}, "then": found}]}


# A file that builds on another one of its group.
_BUILDS: Json = {
    "properties": {DEFAULTS: {"contains": {"type": "string", "not": {"const": "_self_"}}}},
    "required": [DEFAULTS],
}


def content_of(path: Path) -> dict[str, Any]:
    """A YAML file's mapping; empty where it cannot be read."""
    try:
        content = yaml.load(path.read_bytes(), Loader=LOADER)  # noqa: S506  a safe loader
    except (yaml.YAMLError, OSError):
        return {}
    return cast(dict[str, Any], content) if isinstance(content, dict) else {}


def _inside(content: Mapping[str, Any]) -> set[str]:
    """The targets of the blocks inside a file."""
    return {target for value in content.values() for target in targets_in(value)}


def _bases(content: Mapping[str, Any]) -> list[str]:
    entries = content.get(DEFAULTS)
    listed = cast(list[Any], entries) if isinstance(entries, list) else []
    return [entry for entry in listed if isinstance(entry, str) and entry != "_self_"]


def _if_target(target: str, then: Json) -> Json:
    return {"if": {"properties": {TARGET: {"const": target}}, "required": [TARGET]}, "then": then}


def _if_base(name: str, then: Json) -> Json:
    """Of a file that leaves its target to one of the group."""
    builds = {"properties": {DEFAULTS: {"contains": {"const": name}}}, "required": [DEFAULTS]}
    return {"if": {"allOf": [builds, {"not": {"required": [TARGET]}}]}, "then": then}


def _names(targets: list[str]) -> Json:
    return {"type": "string", "examples": targets, "description": "what is called: package.module.Class"}


def _plain(keys: frozenset[str]) -> Json:
    """A block of known keys with any values."""
    return {"type": "object", "properties": {key: {} for key in sorted(keys)}, "additionalProperties": False}


def _signature(target: str) -> Signature | None:
    try:
        signature = read(target, skip_packages=target in LIBRARY)
    except NotFoundError:
        return None
    return signature if signature.parameters is not None else None


def _documented(signature: Signature) -> dict[str, str]:
    """What the docstring of a callable says of its arguments."""
    try:
        node = find(signature.target, skip_packages=signature.target in LIBRARY).node
    except NotFoundError:
        return {}
    return {} if node is None else arguments_of(ast.get_docstring(node) or "")


def _shared(parameter: Parameter) -> str:
    """What the `TypedDict` that an argument comes from says of it."""
    for node in parameter.module.body:
        if isinstance(node, ast.ClassDef):
            keys = [key.target for key in node.body if isinstance(key, ast.AnnAssign)]
            said = arguments_of(ast.get_docstring(node) or "").get(parameter.name, "")
            if said and parameter.name in [key.id for key in keys if isinstance(key, ast.Name)]:
                return said
    return ""


def arguments_of(docstring: str) -> dict[str, str]:
    """The arguments of a docstring in Google's style, and what it says of each, on one line."""
    _, _, section = docstring.partition("\nArgs:\n")
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break
        match = re.match(r"^    (\w+): (.*)$", line)
        if match:
            name, found[match[1]] = match[1], match[2]
        elif name and line.strip():
            found[name] += f" {line.strip()}"
        elif not line.strip():
            name = ""
    return found
