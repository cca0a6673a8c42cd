"""The flags of a command, declared once: parsing, lines of the help page and completion come from there."""

import re
import textwrap
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiexp.errors import TYPED, ConfigError, nearest

_NUMBER = re.compile(r"-\.?\d")
_INDENT = " " * 24


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    Args:
        name: With its dashes: "--format".
        text: What it does.
        short: Another name: "-m".
        value: What the help page calls its value; empty for a switch, or where `choices` say it.
        choices: The values allowed; empty for any.
        otherwise: The value when none follows; None if one must.
        ending: Where the value may be left out: a word with this ending, or one of `choices`, is the value.
    """

    name: str
    text: str
    short: str = ""
    value: str = ""
    choices: Sequence[str] = ()
    otherwise: str | None = None
    ending: str = ""

    @property
    def shown_value(self) -> str:
        """Its value on the help page; empty for a switch."""
        return self.value or "|".join(self.choices)

    def help_lines(self) -> str:
        """Its lines of the help page."""
        value = f"[{self.shown_value}]" if self.otherwise else self.shown_value
        left = f"  {self.short}{', ' if self.short else ''}{self.name} {value}".rstrip()
        text = textwrap.indent(textwrap.fill(self.text, 80 - len(_INDENT), break_on_hyphens=False), _INDENT)
        return left + text[len(left) :] if len(left) < len(_INDENT) else f"{left}\n{text}"

    def take(self, words: deque[str]) -> str:
        """Its value out of the words after it, or what stands for one left out."""
        follower = words[0] if words and self.shown_value else "-"
        if self.otherwise is None:
            is_value = not follower.startswith("-")
        else:
            is_value = follower in self.choices or bool(self.ending and follower.endswith(self.ending))
        return words.popleft() if is_value else self.otherwise or ""


class Flags:
    """The flags of one command.

    Args:
        command: Its name.
        flags: In the order of the help page; --help comes last by itself.
        instead: Flags of other programs, and what to type for them.
    """

    def __init__(self, command: str, *flags: Flag, instead: Mapping[str, str] | None = None) -> None:
        self.command, self.instead = command, instead or {}
        self.all = (*flags, Flag("--help", "this page", "-h"))
        self._by_name = {name: flag for flag in self.all for name in (flag.name, flag.short) if name}

    def parse(self, argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The words that are no flags; and the flags, without dashes, with their values ("" for switches).

        Flags stand anywhere before a word "--"; a negative number is a word. Of a flag typed twice
        the last counts, and stands where it was typed last.

        Raises:
            ConfigError: an unknown flag, or one with a wrong value or without its value.
        """
        words: list[str] = []
        flags: dict[str, str] = {}
        rest = deque(argv)
        while rest:
            word = rest.popleft()
            name, equals, value = word.partition("=")
            if word == "--":  # a text may begin with dashes
                words += rest
                break
            if not word.startswith("-") or word == "-" or _NUMBER.match(word):
                words.append(word)
                continue
            flag = self._by_name.get(name)
            if flag is None:
                names = [flag.name for flag in self.all]
                known = self.instead.get(name)
                raise ConfigError(
                    f"unknown flag '{name}'.{nearest(name, names)}", where=f"{TYPED}{word}",
                    fix=known or "flags are", options=() if known else names,
                    see=f"aiexp help {self.command}",
                )  # fmt: skip
            value = value if equals else flag.take(rest)
            if equals and not flag.shown_value:
                raise self._error(f"{flag.name} takes no value", f"type {flag.name}")
            if flag.shown_value and (not value or (flag.choices and value not in flag.choices)):
                what = f"{flag.name} takes {'|'.join(flag.choices) or 'a value'}, not '{value}'."
                example = flag.choices[0] if flag.choices else flag.value
                raise self._error(f"{what}{nearest(value, flag.choices)}", f"type {flag.name} {example}")
            flags.pop(flag.name[2:], None)
            flags[flag.name[2:]] = value
        return words, flags

    def _error(self, what: str, fix: str) -> ConfigError:
        return ConfigError(what, where=f"aiexp {self.command}", fix=fix)

    def candidates(self, before: Sequence[str], word: str) -> list[str] | None:
        """What completes a flag or its value, after the words `before`; None where other words may stand."""
        name, equals, _ = word.partition("=")
        if word.startswith("-") and not equals:
            return [flag.name for flag in self.all]
        flag = self._by_name.get(name if equals else before[-1] if before else "")
        if flag is None or not flag.shown_value:
            return None
        found = [c for c in (f"{name}={c}" if equals else c for c in flag.choices) if c.startswith(word)]
        return found if found or flag.otherwise is None else None


TRUST = Flag("--trust", "let a config name classes of this installed package", value="PACKAGE")
FORMAT = Flag("--format", "how it is shown: for people, or for programs", choices=("text", "json"))
CONFIG_DIR = Flag("--config-dir", "one more folder of options", "-cd", "DIR")


def whole(flags: dict[str, str], name: str, low: int) -> int | None:
    """The number that a flag was given; None without the flag.

    Raises:
        ConfigError: it is none.
    """
    if name not in flags:
        return None
    text = flags[name]
    if not (text.isascii() and text.isdigit() and int(text) >= low):
        raise ConfigError(f"--{name} is '{text}'", fix=f"a whole number from {low} on")
    return int(text)
