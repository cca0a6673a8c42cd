"""An error on a terminal: what is wrong, the command with a mark under the word, what to type."""

import difflib
import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence

from aiexp.errors import TYPED, AiexpError
from aiexp.text.secrets import redact_text
from aiexp.text.terminal import say, say_styled

INDENT = "  "
FEWEST_CUT = 8  # options that are all shown
NEAREST = 5
ALIKE = 0.5  # from 0 to 1

Styled = tuple[str, str]  # a line and its style, a key of `text.terminal.STYLES`


def say_problems(error: AiexpError, argv: Sequence[str]) -> None:
    """Says on stderr what is wrong: one line for each problem, on a terminal some that are easy to read.

    Args:
        error: Of one problem or several.
        argv: What was typed after `aiexp`.
    """
    if not sys.stderr.isatty() or error.is_quoted:
        for line in error.lines():
            say(line)
        return
    for number, problem in enumerate(error.problems()):
        lines = described(problem, argv, shutil.get_terminal_size().columns)
        say_styled([*([("", "")] if number else []), *lines])


def described(error: AiexpError, argv: Sequence[str], columns: int) -> list[Styled]:
    """Lines for a terminal.

    Args:
        error: One problem.
        argv: What was typed after `aiexp`.
        columns: Of the terminal.
    """
    what, hint = _parted(redact_text(error.what))
    lines = [(line, "red") for line in _wrapped(f"error[{error.kind}]: {what}", columns)]
    typed = error.where.removeprefix(TYPED) if error.where.startswith(TYPED) else None
    if typed is not None and (marked := _marked(typed, argv, hint, columns)):
        lines += [(line, "") for line in marked]
    else:
        lines += (
            [(line, "") for line in _wrapped(f"in: {redact_text(error.where)}", columns)]
            if error.where
            else []
        )
        lines += [(line, "green") for line in _wrapped(f"help: {hint}", columns)] if hint else []
    if fix := fix_of(error, typed or ""):
        lines += [(line, "green") for line in _wrapped(f"help: {fix}", columns)]
    return lines


def fix_of(error: AiexpError, word: str) -> str:
    """What to do; of many options those nearest to what was typed.

    Args:
        error: Its fix and its options.
        word: As typed, `key=value` or a name.
    """
    options = list(error.options)
    if len(options) > FEWEST_CUT:
        key, _, value = word.partition("=")
        wanted = [part for part in (key.rpartition(".")[2].lstrip("-"), value) if part]
        likeness = {n: max((_likeness(n, part) for part in wanted), default=0.0) for n in options}
        if max(likeness.values()) >= ALIKE:  # else their own order says more
            options.sort(key=lambda name: -likeness[name])
        left = len(options) - NEAREST
        options = [*options[:NEAREST], f"and {left} more{f': {error.see}' if error.see else ''}"]
    return redact_text(" ".join([error.fix, *options]).strip())


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _parted(what: str) -> tuple[str, str]:
    """The sentence, and the suggestion at its end."""
    head, found, tail = what.rpartition(" Did you mean ")
    return (head.rstrip("."), f"did you mean {tail}") if found else (what.strip().rstrip("."), "")


def _marked(typed: str, argv: Sequence[str], hint: str, columns: int) -> list[str]:
    """The command with a mark under a word; empty where the word is not in it, or the line is too long."""
    many = typed.count(" ") + 1  # words that a space has parted
    places = [i for i in range(len(argv)) if argv[i] == typed or " ".join(argv[i : i + many]) == typed]
    if not places:
        return []
    place, words = places[0], [shlex.quote(redact_text(word)) for word in argv]
    marked = " ".join(words[place : place + (1 if argv[place] == typed else many)])
    before, length = len(" ".join(["aiexp", *words[:place]])) + 1, len(marked)
    command = f"{INDENT}aiexp {' '.join(words)}"
    if len(command) > columns:  # the word alone
        command, before = f"{INDENT}{marked}", 0
    if len(command) > columns:
        return []
    mark = f"{INDENT}{' ' * before}{'^' * length}"
    if not hint:
        return [command, mark]
    beside = f"{mark} {hint}"
    return [command, beside] if len(beside) <= columns else [command, mark, f"{INDENT}{hint}"]


def _wrapped(text: str, columns: int) -> list[str]:
    """Lines of whole words; those after the first are indented."""
    return textwrap.wrap(
        text, columns, subsequent_indent=INDENT, break_long_words=False, break_on_hyphens=False
    )
