"""What an option says of itself: the comment at the head of its file, and the field that it belongs to.

Read without a YAML parser, so that `aiexp list` and completion stay instant.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiexp.config.folders import Option

FACTS = ("Data", "Time", "Expected", "Command")
# By the folder that a target lies in, of `aiexp.task`, `aiexp.dataset` or `aiexp.model`.
FIELDS = {
    "text": "text",
    "few_shot_text": "text",
    "language": "language models",
    "tagging": "tagging",
    "pretraining": "pretraining",
    "image": "pictures",
    "adversarial": "generating pictures",
    "control": "reinforcement learning",
    "environment": "reinforcement learning",
    "few_shot": "few-shot and meta-learning",
    "array": "numbers and tables",
    "vector": "numbers and tables",
}
OWN = "your own"
_TARGET = re.compile(r"^_target_: *([\w.]+)", re.MULTILINE)
_BASE = re.compile(r"^ +- (\w+)$", re.MULTILINE)
_DATASET = re.compile(r"override /dataset: *([\w-]+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The head of a file.

    Args:
        purpose: Its first line; "" where there is no comment.
        facts: Those of `FACTS` that it states; `Data` of a task is otherwise the data set it selects.
        text: The whole comment.
        field: One of `FIELDS`' names, or `OWN`; "" where the option is of no field.
    """

    purpose: str
    facts: dict[str, str]
    text: str
    field: str


def read_header(option: Option, options: Mapping[str, Option]) -> Header:
    """The head of an option's file.

    Args:
        option: It.
        options: Those of its group by name, those that only others build on too.
    """
    content = _read(option.path)
    facts, purpose, comment = dict[str, str](), "", list[str]()
    for line in content.lstrip().splitlines():
        if not line.startswith("#"):
            break
        text = line.lstrip("#").strip()
        comment.append(text)
        name, colon, value = text.partition(":")
        if colon and name in FACTS:
            facts[name] = value.strip()
        elif text and not text.startswith("@package"):
            purpose = purpose or text
    chosen = _DATASET.search(content)
    if chosen:
        facts.setdefault("Data", chosen[1])
    field = field_of(_target(option, options))
    return Header(purpose=purpose, facts=facts, text="\n".join(comment), field=field)


def chain(option: Option, options: Mapping[str, Option]) -> list[Path]:
    """The file of an option and those that it builds on, each once."""
    found: dict[str, Path] = {}
    waiting = [option]
    while waiting:
        one = waiting.pop(0)
        if one.name not in found:
            found[one.name] = one.path
            waiting += [options[name] for name in _BASE.findall(_read(one.path)) if name in options]
    return list(found.values())


def body(path: Path) -> str:
    """A file below the comment at its head."""
    lines = _read(path).lstrip().splitlines()
    first = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "\n".join(lines[first:]).strip("\n")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _target(option: Option, options: Mapping[str, Option]) -> str:
    """The target that a file, or one that it builds on, names."""
    found = (_TARGET.search(_read(path)) for path in chain(option, options))
    return next((match[1] for match in found if match), "")


def field_of(target: str) -> str:
    """The field of a target, by the first folder of its path that is one."""
    package, *parts = target.split(".") if target else [""]
    if package != "aiexp":
        return OWN if package else ""
    return next((FIELDS[part] for part in parts if part in FIELDS), "")
