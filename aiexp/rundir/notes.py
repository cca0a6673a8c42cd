"""`notes.json`: what people say of a run. No number of the run depends on it, and no seal covers it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, final

from aiexp.errors import ConfigError
from aiexp.rundir.file import NOTES, STORED, read_or_empty
from aiexp.storage.files import storage_errors, write_json
from aiexp.storage.shape import ShapeError

LONGEST_TITLE, LONGEST_TAG, LONGEST_NOTE = 200, 50, 20_000  # characters
MOST_TAGS = 30


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Notes:
    """What people say of a run.

    Args:
        title: What it is called instead of its folder's name; empty for that.
        note: Any text.
        tags: Words that several runs may share.
        hidden: Whether the page leaves it out at first.
    """

    title: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()
    hidden: bool = False

    @classmethod
    def checked(cls, found: Any) -> Self:
        """Notes out of what somebody sent.

        Raises:
            ConfigError: it is not of their shape, or too long.
        """
        try:
            STORED[NOTES].shape(found, "")
        except ShapeError as error:
            raise ConfigError(f"these are no notes: {error}", where="notes") from error
        given = _known(found)
        words = tuple(dict.fromkeys(word for tag in given.tags if (word := "-".join(tag.split()))))
        for what, length, most in (
            ("a title", len(given.title), LONGEST_TITLE),
            ("a note", len(given.note), LONGEST_NOTE),
            ("a tag", max(map(len, words), default=0), LONGEST_TAG),
        ):
            if length > most:
                raise ConfigError(f"{what} has at most {most} characters, not {length}", where="notes")
        if len(words) > MOST_TAGS or any("," in word for word in words):
            raise ConfigError(f"there are at most {MOST_TAGS} tags, none with a comma", where="notes")
        title = " ".join(given.title.split())
        return cls(title=title, note=given.note.strip(), tags=words, hidden=given.hidden)


NONE = Notes()


def read_notes(run: Path) -> Notes:
    """Those of a run; none where there is no such file, or a damaged one."""
    return _known(found) if (found := read_or_empty(run / NOTES)) else NONE


def _known(found: Mapping[str, Any]) -> Notes:
    """Notes out of a mapping of their shape."""
    return Notes(
        title=found.get("title") or "",
        note=found.get("note") or "",
        tags=tuple(found.get("tags") or ()),
        hidden=bool(found.get("hidden")),
    )


def write_notes(run: Path, notes: Notes) -> None:
    """Replaces those of a run.

    Raises:
        StorageError: the folder cannot be written.
    """
    with storage_errors("writing notes", run / NOTES):
        write_json(run / NOTES, asdict(notes))
