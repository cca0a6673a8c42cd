"""`aiexp list`: what there is to choose from, read from the header comments of the YAML files."""

import json
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aiexp.command.flags import FORMAT, Flags
from aiexp.config.described.header import FACTS, FIELDS, OWN, Header, body, chain, read_header
from aiexp.config.folders import GROUPS, ConfDirs, Option, conf_dirs, shown
from aiexp.errors import TYPED, AiexpError, ConfigError, nearest
from aiexp.text.terminal import cut, out_lines, out_styled, visible, width

HELP = """\
usage: aiexp list              every option of every group, a line each
       aiexp list GROUP ...    of these groups, with data, time and result
       aiexp list GROUP NAME   one option: all that its file says; of a data
                               set also what a batch holds (builds it)

Tasks, models and data sets stand by field: text, pictures, ...
  aiexp list task
  aiexp list dataset movie_reviews
"""
FLAGS = Flags("list", FORMAT)
WIDEST = 120  # columns
ORDER = (*dict.fromkeys(FIELDS.values()), "", OWN)
Styled = tuple[str, str]
Entry = tuple[Option, Header]


def main(argv: list[str]) -> int:
    """Prints the options of the groups in `argv`, or of all; or one option."""
    words, flags = FLAGS.parse(argv)
    dirs = conf_dirs()
    options, files = dirs.options(), dirs.files()
    groups, name = _asked(words, options)
    entries = {
        group: [(o, read_header(o, files[group])) for o in options[group].values() if name in ("", o.name)]
        for group in groups
    }
    if flags.get("format") == "json":
        out_lines(json.dumps([_fields(*e) for each in entries.values() for e in each], indent=2))
        return 0
    if name:
        out_styled(_one(*entries[groups[0]][0], files[groups[0]]))
        if groups == ["dataset"]:
            out_styled(_batch(name))
        return 0
    out_styled(_listing(entries, is_brief=not words))
    if not words:
        out_lines(_footer(dirs))
    return 0


def _asked(words: list[str], options: dict[str, dict[str, Option]]) -> tuple[list[str], str]:
    """The groups to list, and the one option of one group; "" for all of them.

    Raises:
        ConfigError: there is no such group or option.
    """
    if len(words) == 2 and words[0] in options and words[1] not in options:
        group, name = words
        if name not in options[group]:
            raise ConfigError(
                f"no option '{name}' in group '{group}'.{nearest(name, options[group])}",
                where=f"{TYPED}{name}", fix="options are", options=options[group], see=f"aiexp list {group}",
            )  # fmt: skip
        return [group], name
    for word in words:
        if word not in options:
            what = f"no group '{word}'.{nearest(word, options)}"
            raise ConfigError(what, where=f"{TYPED}{word}", fix="groups are", options=options)
    return words or list(options), ""


def _listing(entries: dict[str, list[Entry]], *, is_brief: bool) -> Iterator[Styled]:
    """Groups with their options, those of a field together.

    Args:
        entries: By group.
        is_brief: One line each.
    """
    for number, (group, options) in enumerate(entries.items()):
        if number:
            yield "", ""
        yield group if group in GROUPS else f"{visible(group)}{_whose(options)}", "bold"
        indent = max((len(option.name) for option, _ in options), default=0) + 4
        has_fields = any(header.field in FIELDS.values() for _, header in options)
        for field in ORDER:
            here = [(option, header) for option, header in options if header.field == field]
            if here and has_fields and field:
                yield f"  {field}", "dim"
            for option, header in here:
                yield from ((line, "") for line in _lines(option, header, indent, is_brief=is_brief))


def _whose(options: list[Entry]) -> str:
    return " (your own group)" if all(option.is_user for option, _ in options) else ""


def _lines(option: Option, header: Header, indent: int, *, is_brief: bool) -> Iterable[str]:
    """An option's lines in the list."""
    start, purpose = f"    {visible(option.name)}".ljust(indent + 2), _purpose(option, header)
    if is_brief:
        return [cut(f"{start}{visible(purpose)}", width())]
    columns = min(max(shutil.get_terminal_size((80, 24)).columns, 60), WIDEST)
    facts = [
        (f"{' ' * len(start)}{n.lower() + ':':<10}", header.facts[n]) for n in FACTS if n in header.facts
    ]
    return [line for left, text in [(start, purpose), *facts] for line in _wrap(left, text, columns)]


def _wrap(start: str, text: str, columns: int) -> list[str]:
    """`text` after `start`, in the columns of the terminal, indented below it."""
    indent = " " * len(start)
    return textwrap.wrap(
        visible(text), columns, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False
    )


def _one(option: Option, header: Header, files: Mapping[str, Option]) -> Iterator[Styled]:
    """All that an option says: its comment, then the keys of its file and of those it builds on."""
    yield f"{option.group} {visible(option.name)}{f', {header.field}' if header.field else ''}", "bold"
    yield from ((visible(line), "") for line in header.text.splitlines())
    for path in chain(option, files):
        yield "", ""
        yield shown(path), "dim"
        yield from ((f"  {visible(line)}", "") for line in body(path).splitlines())


def _batch(name: str) -> Iterator[Styled]:
    """What a batch of a data set holds. It is built for that, so this comes a little later than the rest."""
    from aiexp.runs.batch_form import batch_form

    yield "", ""
    yield "a training batch: key, dtype, shape, smallest and largest value", "dim"
    try:
        lines = batch_form(name).lines()
    except AiexpError as error:  # it needs settings, such as a folder
        lines = [f"not known before it is set up: {problem.what}" for problem in error.problems()]
    yield from ((f"  {visible(line)}", "") for line in lines)


def _purpose(option: Option, header: Header) -> str:
    """The first line of the header, marked when the file is the user's."""
    purpose = header.purpose or "(no header comment)"
    if not option.is_user:
        return purpose
    replaces = ", replaces the built-in one" if option.shadows else ""
    return f"{purpose} [yours: {shown(option.path)}{replaces}]"


def _fields(option: Option, header: Header) -> dict[str, Any]:
    """An option for programs."""
    facts = {name.lower(): header.facts.get(name) for name in FACTS}
    return {
        "group": option.group, "name": option.name, "purpose": header.purpose, "field": header.field or None,
        **facts, "file": shown(option.path), "yours": option.is_user,
    }  # fmt: skip


def _footer(dirs: ConfDirs) -> str:
    own = (
        f"Your own options come from {shown(dirs.user)}."
        if dirs.user
        else "A conf/ folder here adds your own."
    )
    return f"\nChoose with `aiexp run GROUP=OPTION`; more: `aiexp list GROUP`, `aiexp list GROUP NAME`. {own}"
