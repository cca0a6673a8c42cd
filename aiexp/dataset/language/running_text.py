"""Running text: what stands in one or several files, one behind the other, read in pieces."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from aiexp.errors import DataError
from aiexp.source.prepared import content_of

PIECE = 1 << 20  # characters read at once
# Stands between two documents and in none: Unicode's separator of records, which ends one in a text, too.
SEPARATOR = "\x1e"
# Before a line break that ends a line with something on it: no tokenizer that keeps words and white space
# apart makes other tokens when a text is cut there.
_CUT = re.compile(rf"(?<=\S)(?=[\n{SEPARATOR}])")
# What ends a document, blank lines after it included.
_ENDS = {"lines": re.compile(r"\n\s*\n|\n"), "paragraphs": re.compile(r"\n\s*\n")}
_HEAD_BYTES = 4096
Documents = Literal["none", "files", "lines", "paragraphs"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RunningText:
    """The text of one or several files, a line break between two of them, or a `SEPARATOR` between documents.

    Line breaks of all systems are read as one character.

    Args:
        name: For messages.
        paths: Of the files, in their order.
        encoding: Of all of them.
        most_characters: What follows these is left out; None: nothing is.
        content: What stands for the files, as JSON; None: the sha256 of each.
        documents: What a document is: a file, a line, a paragraph (until a blank line); "none": all is one.
    """

    name: str
    paths: tuple[Path, ...]
    encoding: str
    most_characters: int | None = None
    content: Any = None
    documents: Documents = "none"

    def key(self) -> dict[str, Any]:
        """Everything that the text depends on, as JSON.

        Raises:
            DataError: a file cannot be read.
        """
        content = self.content or [content_of(path) for path in self.paths]
        return {
            "content": content, "encoding": self.encoding, "most_characters": self.most_characters,
            "documents": self.documents,
        }  # fmt: skip

    def pieces(self) -> Iterator[str]:
        """The text, some at a time.

        Raises:
            DataError: a file is no text, or in another encoding.
        """
        left = self.most_characters
        for piece in self._whole():
            if left is not None and len(piece) >= left:
                yield piece[:left]
                return
            left = None if left is None else left - len(piece)
            yield piece

    def _whole(self) -> Iterator[str]:
        end = _ENDS.get(self.documents)
        for number, path in enumerate(self.paths):
            if number:
                yield "\n" if self.documents == "none" else SEPARATOR
            yield from self._file(path) if end is None else separated(self._file(path), end)

    def _file(self, path: Path) -> Iterator[str]:
        check_text(path)
        try:
            with path.open(encoding=self.encoding) as file:
                while piece := file.read(PIECE):
                    yield piece
        except UnicodeDecodeError as error:
            raise undecodable(path, self.encoding, error) from None
        except OSError as error:
            raise DataError(f"the file cannot be read: {error.strerror}", where=str(path)) from error


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A stretch of a running text: that of a split; of documents those that begin in it, whole.

    Args:
        text: The whole.
        start: First character.
        stop: One past the last.
    """

    text: RunningText
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def key(self) -> dict[str, Any]:
        """Everything that it depends on, as JSON."""
        return {"text": self.text.key(), "start": self.start, "stop": self.stop}

    def pieces(self) -> Iterator[str]:
        """The characters, some at a time."""
        return self._characters() if self.text.documents == "none" else self._documents()

    def _characters(self) -> Iterator[str]:
        place = 0
        for piece in self.text.pieces():
            start, stop = max(self.start - place, 0), self.stop - place
            place += len(piece)
            if stop <= 0:
                return
            if start < len(piece):
                yield piece[start:stop]

    def _documents(self) -> Iterator[str]:
        """From the first document that begins at `start` or later to the last that begins before `stop`."""
        place, is_inside = 0, self.start == 0
        for piece in self.text.pieces():
            begin = 0
            if not is_inside:
                begin = piece.find(SEPARATOR, max(self.start - 1 - place, 0)) + 1
                is_inside = begin > 0
                if is_inside and place + begin >= self.stop:
                    return
            if is_inside:
                end = piece.find(SEPARATOR, max(self.stop - 1 - place, begin))
                yield piece[begin : end if end >= 0 else None]
                if end >= 0:
                    return
            place += len(piece)


def separated(pieces: Iterable[str], end: re.Pattern[str]) -> Iterator[str]:
    """The same text with a `SEPARATOR` for whatever ends a document, and no white space at the end.

    Args:
        pieces: Of the text.
        end: White space.
    """
    rest = ""
    for piece in pieces:
        rest += piece
        kept = rest.rstrip()  # white space may go on in the next piece
        if kept:
            yield end.sub(SEPARATOR, kept)
            rest = rest[len(kept) :]


def documents_of(pieces: Iterable[str]) -> Iterator[tuple[bool, str]]:
    """Each piece as parts of documents, and whether a document begins with it; the first one does.

    Args:
        pieces: Of a text with a `SEPARATOR` between documents; empty ones are none.
    """
    begins = True
    for piece in pieces:
        for number, part in enumerate(piece.split(SEPARATOR)):
            begins = begins or number > 0
            if part:
                yield begins, part
                begins = False


def cut_at_lines(pieces: Iterable[str], size: int) -> Iterator[str]:
    """The same text in pieces of about `size` characters, each to the end of a line where there is one."""
    rest = ""
    for piece in pieces:
        rest += piece
        while len(rest) > size:
            found = _CUT.search(rest, size)
            if found is None and len(rest) < 16 * size:
                break  # the line may end in the next piece
            end = found.start() if found else size
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def check_text(path: Path) -> None:
    """Raises `DataError` unless a file is there and begins like text."""
    if not path.is_file():
        is_folder = path.is_dir()
        raise DataError(
            "this is a folder" if is_folder else "there is no such file", where=str(path),
            fix="dataset=text_folder reads a folder" if is_folder else "the path of a text file",
        )  # fmt: skip
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}", where=str(path)) from error
    if b"\0" in head:
        raise DataError("this is no text file: it has zero bytes", where=str(path), fix="UTF-8 text")


def undecodable(path: Path, encoding: str, error: UnicodeDecodeError) -> DataError:
    """The error for a file in another encoding, with the line."""
    with path.open("rb") as file:
        for line, data in enumerate(file, 1):
            try:
                data.decode(encoding)
            except UnicodeDecodeError as found:
                what = f"not {encoding}: byte 0x{data[found.start]:02x} in line {line}"
                return DataError(
                    what, where=str(path), fix="name its encoding (encoding=latin-1), or save it as UTF-8"
                )
    return DataError(f"not {encoding}: {error.reason}", where=str(path), fix="save it as UTF-8")
