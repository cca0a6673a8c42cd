"""The page of commands: what `aiexp COMMAND --help` says, with the flags as a table."""

import importlib

from aiexp.command import COMMANDS, module_of
from aiexp.command.flags import Flag
from reference.markdown import block, code, prose, table


def page() -> str:
    """The whole page."""
    parts = [
        "# Commands",
        "",
        "The same text as `aiexp help COMMAND` on a terminal. Flags may stand anywhere; `--flag=value` and",
        "`--flag value` are the same.",
        "",
        table(
            ["command", "does"], ([f"[{code(f'aiexp {n}')}](#{n})", prose(t)] for n, t in COMMANDS.items())
        ),
    ]
    for name in COMMANDS:
        parts += _command(name)
    return "\n".join(parts)


def _command(name: str) -> list[str]:
    module = importlib.import_module(module_of(name))
    text: str = module.HELP
    text = text.replace("{flags}", "(below)").replace("{groups}", "  (see Configuration)")
    return [f"## {name}", "", prose(COMMANDS[name]), "", block(text), _flags(module.FLAGS.all), ""]


def _flags(flags: tuple[Flag, ...]) -> str:
    rows = [
        [
            code(flag.name) + (f", {code(flag.short)}" if flag.short else ""),
            code(flag.shown_value),
            prose(flag.text),
        ]
        for flag in flags
    ]
    return table(["flag", "value", "meaning"], rows)
