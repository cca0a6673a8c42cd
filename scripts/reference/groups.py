"""A page for each group of the configuration: its options and every key of each."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from aiexp.config.folders import PRIMARY, Option, builtin_dirs
from reference.keys import RESERVED, Key, builds_on, chosen, header, keys_of, own_keys, target_of
from reference.markdown import code, prose, table

_FACT = re.compile(r"^(Command|Data|Time|Expected|Use|Space|Seeds|Source): (.*)$")
_CODE = ("Command", "Use")
ABOUT = {
    "task": "What is learned, and how it is judged. A task brings its own model, data set and trainer.",
    "model": "Networks. The task says which ones fit.",
    "dataset": "Everything up to a batch of tensors.",
    "trainer": "The loop: how long, how often it evaluates and saves, the schedule, the best checkpoint.",
    "hardware": "Device, precision, threads, and how many devices train together.",
    "tracker": "The service that follows a run beside its directory.",
    "optimizer": "Takes the place of the task's own optimizer: `aiexp run optimizer=sgd`.",
    "schedule": "Takes the place of the trainer's schedule: `aiexp run schedule=one_cycle`.",
    "average": "Takes the place of the trainer's average of weights: `aiexp run average=ema`.",
    "peft": "Which few parameters of a transformer learn, all others being fixed: `aiexp run peft=lora`.",
    "hydra/launcher": "Where the jobs of a sweep run.",
    "hydra/sweeper": "Which jobs a sweep has; without one the grid of all values that were typed.",
}


def group_files() -> dict[str, dict[str, Option]]:
    """Group to name to file, Hydra's groups included."""
    dirs = builtin_dirs()
    found = dirs.files()
    for path in sorted((dirs.builtin / "hydra").rglob("*.yaml")):
        group = path.parent.relative_to(dirs.builtin).as_posix()
        option = Option(group=group, name=path.stem, path=path, is_user=False)
        found.setdefault(group, {})[path.stem] = option
    return found


def page_name(group: str) -> str:
    """The file of a group's page, below `reference/`."""
    return f"config/{group.replace('/', '_')}.md"


def pages() -> Iterator[tuple[str, str]]:
    """Name and text of every page."""
    files = group_files()
    yield "config/index.md", _index(files, builtin_dirs().builtin)
    for group, options in files.items():
        yield page_name(group), _group(group, options)


def public(options: dict[str, Option]) -> dict[str, Option]:
    """The options that can be chosen."""
    return {name: option for name, option in options.items() if not name.startswith("_")}


def _index(files: dict[str, dict[str, Option]], builtin: Path) -> str:
    rows = [
        [
            f"[{code(group)}]({page_name(group).removeprefix('config/')})",
            prose(ABOUT.get(group, "")),
            ", ".join(code(name) for name in public(options)),
        ]
        for group, options in files.items()
    ]
    primary = Option(group="", name=PRIMARY, path=builtin / f"{PRIMARY}.yaml", is_user=False)
    keys = {n: k for n, k in keys_of(primary, {}).items() if not n.startswith("hydra")}
    top = [[code(k.name), code(k.default), prose(k.text)] for k in keys.values()]
    return "\n".join(
        [
            "# Configuration",
            "",
            "A run is composed of one option of each group. Choose with `GROUP=OPTION`, change with",
            "`KEY=VALUE`; `aiexp run --cfg job` shows the result. Every key is checked before anything is",
            "imported: an unknown name, a wrong type or a number out of range ends with exit code 2.",
            "",
            table(["group", "what it is", "options"], rows),
            "## Keys outside of the groups",
            "",
            table(["key", "default", "meaning"], top),
        ]
    )


def _group(group: str, options: dict[str, Option]) -> str:
    parts = [f"# {group}", "", prose(ABOUT.get(group, "")), ""]
    bases = Counter(base for option in public(options).values() for base in builds_on(option, options))
    for option in sorted(public(options).values(), key=lambda each: -bases[each.name]):
        parts += _option(group, option, options)
    return "\n".join(parts)


def _option(group: str, option: Option, files: dict[str, Option]) -> list[str]:
    """The section of one option."""
    keys = keys_of(option, files)
    facts, purpose = _header(header(option.path))
    parts = [f"## {option.name}", "", f"{code(f'{group}={option.name}')}", ""]
    parts += [*purpose, "", *facts, ""]
    choices = {g: n for g, n in chosen(option).items() if g in ABOUT}
    if choices:
        links = [
            f"[{code(f'{g}={n}')}]({page_name(g).removeprefix('config/')}#{n})" for g, n in choices.items()
        ]
        parts += [f"Brings {', '.join(links)}.", ""]
    bases = builds_on(option, files)
    if "_target_" in keys and not bases:
        target = target_of(keys["_target_"].default)
        said = " ".join([target.docstring.summary, *target.docstring.body])
        texts = [
            f"{name}: {text}"
            for name, text in target.docstring.texts.items()
            if name in ("Source", "Departures")
        ]
        parts += [f"{code(target.name)}: {prose(said)}" if said else code(target.name), ""]
        parts += [f"{prose(text)}\n" for text in texts]
    if bases:
        links = " and ".join(f"[{base}](#{base})" for base in bases)
        parts += [f"All that is not in the table is as in {links}.", ""]
    shown = {name: key for name, key in keys.items() if not bases or name in own_keys(option)}
    parts += [_keys(group, shown), ""]
    return parts


def _header(lines: list[str]) -> tuple[list[str], list[str]]:
    """The facts of a header as a list, and its text, in which commands are blocks."""
    facts: list[str] = []
    purpose: list[str] = []
    is_command = False
    for line in lines:
        fact = _FACT.match(line)
        is_command = line.startswith("aiexp ") or (is_command and purpose[-1].endswith("\\"))
        if fact and fact[1] in _CODE:
            command, bracket, note = fact[2].partition(" (")
            facts.append(f"- {fact[1]}: {code(command)}{prose(bracket + note)}")
        elif fact:
            facts.append(f"- {fact[1]}: {prose(fact[2])}")
        elif is_command:
            purpose += [] if purpose[-1].startswith("    ") else [""]
            purpose.append(f"    {line}")
        else:
            purpose += [""] if purpose and purpose[-1].startswith("    ") else []
            purpose.append(prose(line))
    return facts, purpose


def root_of(group: str) -> str:
    """Where the keys of a group stand in the config."""
    places = {"optimizer": "task.optimizer", "schedule": "trainer.schedule", "average": "trainer.average"}
    return places.get(group, group.replace("/", "."))


def _keys(group: str, keys: dict[str, Key]) -> str:
    """The table of an option's keys."""
    rows = [
        [code(f"{root_of(group)}.{key.name}"), code(_shown(key)), prose(key.type), prose(key.text)]
        for key in keys.values()
        if key.name.rpartition(".")[2] not in RESERVED
    ]
    return table(["key", "default", "type", "meaning"], rows)


def _shown(key: Key) -> str:
    if key.is_block:
        return key.default.rpartition(".")[2]
    return "must be given" if key.default == "???" else key.default
