"""What the board answers: the page, what has changed, a run's details, and notes that it writes down."""

import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final
from urllib.parse import parse_qsl, urlsplit

from aiexp.board.followed import Followed
from aiexp.board.load import Load
from aiexp.board.watch import Watch
from aiexp.compare.page.detail import PARTS, read_part
from aiexp.compare.page.document import page_of
from aiexp.compare.page.pictures import picture_bytes, pictures_of
from aiexp.errors import AiexpError
from aiexp.rundir.notes import Notes, write_notes

MOST_BODY = 200_000  # bytes of a request
MOST_CURVES = 200  # asked for at once
TOKEN = "x-aiexp-token"
_WHOLE = re.compile(r"[0-9]{1,15}")
# Nobody else may frame the page, embed its pictures or guess at what it holds.
GUARD = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer.

    Args:
        status: Of HTTP.
        kind: Of the body.
        body: Bytes.
        headers: More of them.
    """

    status: int = 200
    kind: str = "application/json"
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: GUARD)


def refused(status: int, why: str) -> Answer:
    """An answer that is a refusal."""
    return Answer(status=status, body=json.dumps({"error": why}).encode())


def as_json(value: Any) -> Answer:
    """A value as an answer."""
    return Answer(body=json.dumps(value, separators=(",", ":"), allow_nan=False).encode())


@final
class Answers:
    """All answers of a board.

    Args:
        watch: The runs.
        hosts: Names under which it may be addressed, in lower case; None for any.
    """

    def __init__(self, watch: Watch, hosts: frozenset[str] | None) -> None:
        self._watch, self._hosts = watch, hosts
        self._token = secrets.token_urlsafe(24)
        self._loads: dict[int, Load] = {}

    def get(self, target: str, headers: Mapping[str, str]) -> Answer:
        """The answer to a GET.

        Args:
            target: Path and question.
            headers: By name in lower case.
        """
        if not self._is_own(headers):
            return refused(403, "the request is addressed to another host: this one takes no remote ones")
        try:
            split = urlsplit(target)
            asked = parse_qsl(split.query, keep_blank_values=True, max_num_fields=2 * MOST_CURVES)
        except ValueError:
            return refused(400, "this is no address, or asks for too much at once")
        one = dict(asked)
        if split.path == "/":
            return Answer(kind="text/html; charset=utf-8", body=page_of(self._content()).encode())
        if split.path == "/content":
            return as_json(self._content())
        if split.path == "/changes":
            curves = {name: _whole(version) for key, word in asked if key == "curve"
                      for version, _, name in [word.partition(":")]}  # fmt: skip
            only = {_whole(word) for word in one["only"].split(",")} if "only" in one else None
            return as_json(self._watch.changes(_whole(one.get("since", "0")), curves, only))
        run = self._watch.run(_whole(one.get("run", ""), -1))
        if split.path not in ("/part", "/figure", "/load"):
            return refused(404, "there is no such address")
        if run is None:
            return refused(404, "this run is gone")
        if split.path == "/load":
            return as_json(self._loads.setdefault(run.number, Load(run.path)).sample())
        return _part(run, one) if split.path == "/part" else _figure(run, one)

    def post(self, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to a POST: notes are written, for a page of this board alone.

        Args:
            target: Path and question.
            headers: By name in lower case.
            body: JSON.
        """
        if not self._is_own(headers):
            return refused(403, "the request is addressed to another host: this one takes no remote ones")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
            return refused(403, "the request comes from a page of another address")
        if not hmac.compare_digest(headers.get(TOKEN, "").encode(), self._token.encode()):
            return refused(403, "the page is of an earlier start of the board: load it again")
        if urlsplit(target).path != "/notes":
            return refused(404, "there is no such address")
        try:
            found = json.loads(body)
            run = self._watch.run(_whole(str(found.pop("run", ""))))
            notes = Notes.checked(found)
        except (ValueError, AttributeError, TypeError, RecursionError):
            return refused(400, "this is no JSON of notes")
        except AiexpError as error:
            return refused(400, error.what)
        if run is None:
            return refused(404, "this run is gone")
        try:
            write_notes(run.path, notes)
        except AiexpError as error:
            return refused(500, f"{error.what}. {error.fix or ''}".rstrip(". ") + ".")
        return as_json({"notes": [notes.title, notes.note, list(notes.tags), notes.hidden]})

    def _content(self) -> dict[str, Any]:
        return self._watch.content(token=self._token)

    def _is_own(self, headers: Mapping[str, str]) -> bool:
        """Whether a request is addressed to this machine by a name of its own.

        A page of the web could let its own name mean this machine ("DNS rebinding"), and read the answers;
        the request still bears that name.
        """
        if self._hosts is None:
            return True
        host = headers.get("host", "").lower()
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        return name in self._hosts


def _whole(text: str, otherwise: int = 0) -> int:
    """A whole number that somebody sent."""
    return int(text) if _WHOLE.fullmatch(text) else otherwise


def _part(run: Followed, asked: Mapping[str, str]) -> Answer:
    """One of the details of a run."""
    part = asked.get("part", "")
    if part not in PARTS:
        return refused(404, f"a run has {', '.join(PARTS)}")
    return as_json(read_part(run.path, part))


def _figure(run: Followed, asked: Mapping[str, str]) -> Answer:
    """A picture of a run: one of those that a walk through its folder finds, and nothing else."""
    path = pictures_of(run.path).get(asked.get("name", ""), {}).get(_whole(asked.get("step", "")))
    data, kind = picture_bytes(path) if path is not None else (b"", "")
    if not kind:
        return refused(404, "there is no such picture")
    return Answer(kind=f"image/{kind}", body=data, headers={**GUARD, "Cache-Control": "max-age=60"})
