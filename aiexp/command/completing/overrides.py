"""Words that make a config: groups and their options, keys, and the values that a key allows."""

from collections.abc import Iterable, Mapping
from typing import Any

from aiexp.command.completing import Found
from aiexp.config.described.header import read_header
from aiexp.config.described.suggest import Sketch, sketch, values_at
from aiexp.config.folders import ConfDirs
from aiexp.config.group.several import TARGETS

LONGEST = 40  # characters of a value, or of a list of options, in what is said of a key


def overrides(before: list[str], word: str, dirs: ConfDirs) -> Found:
    """What can be typed after `aiexp run`.

    Args:
        before: The words before it.
        word: The one that is typed.
        dirs: Where the options are.
    """
    name, equals, value = word.partition("=")
    options: dict[str, Iterable[str]] = {**dirs.options(), **dirs.hydra_options()}
    group = name.lstrip("+~")
    if equals and group in options:
        if value.startswith("[") and group in TARGETS:
            names = [n for n in options[group] if n != "none"]  # which goes with no other
            return _described(listed(f"{name}=", value, names), group, dirs)
        return _described(swept(f"{name}=", value, options[group]), group, dirs)
    typed = [w for w in before if "=" in w]
    config = sketch(typed, dirs)
    if equals:
        return assigned(name, value, config.values)
    sign = word[: len(word) - len(word.lstrip("+~"))]
    groups: Found = {f"{sign}{g}=": _cut(", ".join(names)) for g, names in options.items()}
    return groups | {f"{sign}{key}": text for key, text in next_parts(config, word.lstrip("+~")).items()}


def option_texts(group: str, names: Iterable[str], dirs: ConfDirs) -> Found:
    """Options of a group, with the first line of their files."""
    files = dirs.files().get(group, {})
    return {name: read_header(files[name], files).purpose if name in files else "" for name in names}


def _described(words: list[str], group: str, dirs: ConfDirs) -> Found:
    """`tracker=[wandb,notify]` and the like, each with what its last option is."""
    files = dirs.files().get(group, {})
    found: Found = {}
    for word in words:
        option = files.get(word.rstrip("],").rpartition("=")[2].rpartition(",")[2].lstrip("["))
        found[word] = read_header(option, files).purpose if option is not None else ""
    return found


def listed(start: str, value: str, names: Iterable[str]) -> list[str]:
    """A list with one more of some names, closed, and open for another one; each name once.

    Args:
        start: What stands before it: `tracker=`.
        value: What is typed of it: `[wandb,no`.
        names: What it may hold.
    """
    done = value.rpartition(",")[0] + "," if "," in value else "["
    left = [name for name in names if name not in done[1:].split(",")]
    ends = "],"[: 1 if len(left) == 1 else 2]
    return [f"{start}{done}{name}{end}" for name in left for end in ends]


def swept(start: str, value: str, names: Iterable[str]) -> list[str]:
    """One more of some names, after those of a sweep that stand there already.

    Args:
        start: What stands before them: `model=`.
        value: What is typed of them: `mnist_cnn,ml`.
        names: What it may be.
    """
    done = value.rpartition(",")[0]
    typed = done.split(",")
    return [f"{start}{done}{',' * bool(done)}{name}" for name in names if name not in typed]


def assigned(name: str, value: str, values: Mapping[str, Any]) -> Found:
    """`key=value` for each value that a key allows; that of the config says so.

    Args:
        name: The key as typed.
        value: What is typed of the value.
        values: Of the config, by dotted keys.
    """
    allowed, present = values_at(name, values), values.get(name.lstrip("+"))
    found: Found = dict.fromkeys(swept(f"{name}=", value, allowed.single), "")
    if (present_word := f"{name}={_text(present)}") in found:
        found[present_word] = "as it is"
    if value.startswith("["):
        found |= dict.fromkeys(listed(f"{name}=", value, allowed.items), "")
    elif allowed.items:
        found[f"{name}=["] = f"of {', '.join(allowed.items)}"
    return found


def next_parts(config: Sketch, word: str) -> Found:
    """Keys cut after the part being typed: `trainer.` first, then `trainer.steps=`."""
    depth = word.count(".")
    parent = word.rpartition(".")[0]
    found: Found = {}
    for key in config.keys:
        parts = key.split(".")
        if len(parts) <= depth or (parent and not key.startswith(f"{parent}.")):
            continue
        part = ".".join(parts[: depth + 1])
        if part == key:
            found[f"{part}="] = says(config.comments.get(key, ""), config.values[key])
        else:
            found.setdefault(f"{part}.", config.comments.get(part) or _cut(", ".join(_below(config, part))))
    return found


def _below(config: Sketch, block: str) -> list[str]:
    """Names of the keys of a block."""
    below = (key.removeprefix(f"{block}.") for key in config.keys if key.startswith(f"{block}."))
    return list(dict.fromkeys(name.partition(".")[0] for name in below))


def says(comment: str, value: Any) -> str:
    """What a key means, and its value."""
    text = _text(value)
    now = f"now {text}" if text and len(text) <= LONGEST and "${" not in text else ""
    return f"{comment} ({now})" if comment and now else comment or now


def _text(value: Any) -> str:
    """A value as it is typed."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{','.join(map(_text, value))}]" if isinstance(value, list) else str(value)  # pyright: ignore


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3].rpartition(",")[0] + ", ..."
