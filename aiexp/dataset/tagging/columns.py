"""Tagged sentences of files: a word and its tag a line as CoNLL has them, or JSON objects of both."""

import json
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, final

from aiexp.dataset.language.running_text import check_text, undecodable
from aiexp.errors import DataError

DOCUMENT = "-DOCSTART-"
JSON_SUFFIXES = frozenset((".jsonl", ".ndjson"))
_BLANKS = re.compile(r"[ \t]+")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """Words and their tags.

    Args:
        words: At least one.
        tags: As many.
        place: Where it comes from: `names.txt:17`, the line of its first word.
    """

    words: list[str]
    tags: list[str]
    place: str


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How files of tagged sentences look.

    Args:
        word: Column with the word, from 0; negative ones from the end.
        tag: Column with the tag.
        separator: Between columns, None for blanks and tabs.
        comment: What lines before a sentence's first word begin with that are no words; None: there are none.
        encoding: As Python names it.
        word_key: Name of the list of words in JSON.
        tag_key: Name of the list of tags in JSON.
    """

    word: int
    tag: int
    separator: str | None
    comment: str | None
    encoding: str
    word_key: str = "tokens"
    tag_key: str = "tags"


def read_sentences(path: Path, form: Form) -> Iterator[Sentence]:
    """The sentences of a file; its suffix says whether it holds JSON.

    Raises:
        DataError: it cannot be read; names the line.
    """
    check_text(path)
    with opened(path, form.encoding) as file:
        yield from (_json if path.suffix.lower() in JSON_SUFFIXES else _columns)(file, path, form)


@contextmanager
def opened(path: Path, encoding: str) -> Generator[TextIO]:
    """A text file; lines end at line feeds alone, as rarer separators may be words."""
    try:
        with path.open(encoding=encoding, newline="\n") as file:
            yield file
    except UnicodeDecodeError as error:
        raise undecodable(path, encoding, error) from None
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}", where=str(path)) from error


def _columns(file: TextIO, path: Path, form: Form) -> Iterator[Sentence]:
    cut: Callable[[str], list[str]] = _BLANKS.split if form.separator is None else _splitter(form.separator)
    words, tags, place = list[str](), list[str](), ""
    for number, line in enumerate(file, 1):
        line = line.rstrip("\r\n")
        is_end = not line.strip()
        is_comment = form.comment is not None and not words and line.startswith(form.comment)
        if is_end or is_comment or line.startswith(DOCUMENT):
            if words:
                yield Sentence(words=words, tags=tags, place=place)
                words, tags = [], []
            continue
        cells = cut(line.strip() if form.separator is None else line)
        place = place if words else f"{path}:{number}"
        words.append(_cell(cells, form.word, "word", f"{path}:{number}"))
        tags.append(_cell(cells, form.tag, "tag", f"{path}:{number}"))
    if words:
        yield Sentence(words=words, tags=tags, place=place)


def _splitter(separator: str) -> Callable[[str], list[str]]:
    return lambda line: line.split(separator)


def _cell(cells: list[str], column: int, what: str, where: str) -> str:
    """A cell of a row that has to be there and not empty."""
    if not -len(cells) <= column < len(cells) or (what == "tag" and len(cells) < 2):
        raise DataError(
            f"the line has {len(cells)} column{'s' if len(cells) > 1 else ''}, and the {what} is in column "
            f"{column}", where=where,
            fix=f"dataset.{what}_column, dataset.separator, or dataset.comment for lines that are none",
        )  # fmt: skip
    if not cells[column].strip():
        raise DataError(f"the {what} in column {column} is empty", where=where, fix="a word and a tag a line")
    return cells[column].strip()


def _json(file: TextIO, path: Path, form: Form) -> Iterator[Sentence]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"not JSON: {error}", where=where, fix="a JSON object a line") from None
        words, tags = (_list(value, key, where) for key in (form.word_key, form.tag_key))
        if len(words) != len(tags):
            raise DataError(
                f"{len(words)} {form.word_key} and {len(tags)} {form.tag_key}", where=where,
                fix="a tag for each word",
            )  # fmt: skip
        if words:
            yield Sentence(words=words, tags=tags, place=where)


def _list(value: object, key: str, where: str) -> list[str]:
    """A list of texts that are not empty."""
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, list) or not all(isinstance(v, str) and v.strip() for v in found):
        raise DataError(
            f"'{key}' is no list of texts", where=where,
            fix='{"tokens": ["A", "dog"], "tags": ["DET", "NOUN"]}',
        )  # fmt: skip
    return found
