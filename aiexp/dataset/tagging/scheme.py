"""How tags of words say where a name begins and ends: the schemes, which one a file has, and its spans.

A tag of a span is a mark and a kind: `B-PER`. The marks of IOB2 (Tjong Kim Sang & Veenstra 1999, arXiv
cs/9907006) are B for the first word and I for the others; in IOB1 (Ramshaw & Marcus 1995, arXiv
cmp-lg/9505040) B stands only where a span follows another of its kind; IOBES ends with E, and S is a span of
one word (BILOU calls these L and U). Words outside of spans are O. All are made IOB2 or IOBES.
"""

from collections.abc import Iterable, Sequence
from typing import final

PLAIN, IOB1, IOB2, IOBES, BILOU = "plain", "iob1", "iob2", "iobes", "bilou"
SCHEMES = (PLAIN, IOB1, IOB2, IOBES, BILOU)
OUTSIDE = "O"
_OF_BILOU = {"L": "E", "U": "S"}

Span = tuple[str, int, int]


def divided(tag: str) -> tuple[str, str]:
    """Mark and kind of a tag: `B-PER` is ("B", "PER"), `O` is ("O", "")."""
    mark, _, kind = tag.partition("-")
    return mark, kind


@final
class SchemeFinder:
    """Finds the scheme of sentences, one after the other."""

    def __init__(self) -> None:
        self._marks: set[str] = set()
        self._is_plain = False
        # A B that IOB1 would not have, and a span that begins with I as only IOB1 has it.
        self._has_needless_begin = self._has_inner_begin = False

    def add(self, tags: Sequence[str]) -> None:
        """Takes the tags of a sentence."""
        before = OUTSIDE
        for tag in tags:
            mark, kind = divided(tag)
            self._marks.add(mark)
            if tag != OUTSIDE and (mark not in "BIESLU" or len(mark) != 1 or not kind):
                self._is_plain = True
            is_first = before == OUTSIDE or divided(before)[1] != kind
            self._has_needless_begin |= mark == "B" and is_first
            self._has_inner_begin |= mark == "I" and is_first
            before = tag

    def scheme(self) -> str:
        """One of `SCHEMES`."""
        marks = self._marks - {OUTSIDE}
        if self._is_plain or not marks & {"B", "I"}:
            return PLAIN
        if marks & {"L", "U"}:
            return PLAIN if marks & {"E", "S"} else BILOU
        if marks & {"E", "S"}:
            return IOBES
        return IOB1 if self._has_inner_begin and not self._has_needless_begin else IOB2


def unified(tags: Sequence[str], scheme: str) -> list[str]:
    """The same spans in IOB2 where they are in IOB1, in IOBES where they are in BILOU; else as they are."""
    if scheme == BILOU:
        return [f"{_OF_BILOU.get(tag[0], tag[0])}{tag[1:]}" if "-" in tag else tag for tag in tags]
    if scheme != IOB1:
        return list(tags)
    made: list[str] = []
    before = OUTSIDE
    for tag in tags:
        kind = divided(tag)[1]
        is_first = kind and (before == OUTSIDE or divided(before)[1] != kind)
        made.append(f"B-{kind}" if is_first else tag)
        before = tag
    return made


def can_follow(before: str | None, tag: str | None) -> bool:
    """Whether a tag of IOB2 or IOBES may stand behind another.

    Args:
        before: None at the beginning of a sentence.
        tag: None at its end.
    """
    mark, kind = divided(before or OUTSIDE)
    next_mark, next_kind = divided(tag or OUTSIDE)
    if next_mark in "IE":
        return mark in "BI" and kind == next_kind
    return True


def is_open(tag: str, scheme: str) -> bool:
    """Whether a span of IOBES goes on after a tag; in IOB2 any may be the last."""
    return scheme in (IOBES, BILOU) and divided(tag)[0] in "BI"


def is_valid(before: str | None, tag: str | None, scheme: str) -> bool:
    """`can_follow`, and in IOBES no span is left open."""
    follows = can_follow(before, tag)
    goes_on = tag is not None and divided(tag)[0] in "IE"
    return follows and (goes_on or before is None or not is_open(before, scheme))


def num_broken(tags: Sequence[str], scheme: str) -> int:
    """Places in a sentence of IOB2 or IOBES where one tag may not follow another."""
    pairs = zip([None, *tags], [*tags, None], strict=True)
    return sum(not is_valid(before, tag, scheme) for before, tag in pairs)


def spans_of(tags: Iterable[str]) -> list[Span]:
    """The spans of a sentence as (kind, first word, one past the last).

    What breaks the scheme is read as conlleval does (Tjong Kim Sang & De Meulder 2003, arXiv cs/0306050): a
    span begins where its kind is another or none was open.
    """
    found: list[Span] = []
    start, kind, before = -1, "", OUTSIDE
    for place, tag in enumerate([*tags, OUTSIDE]):
        mark, name = divided(tag)
        is_new = mark in "BSO" or before in "OES" or name != kind
        if start >= 0 and is_new:
            found.append((kind, start, place))
            start = -1
        if mark != OUTSIDE and start < 0:
            start, kind = place, name
        before = mark
    return found
