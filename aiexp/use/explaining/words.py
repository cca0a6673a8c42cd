"""Words of a text and the tokens that they were cut into."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from tokenizers import Tokenizer

from aiexp.use.explaining.explanation import Word

JOINED = re.compile(r"\w+['\u2019]\w+")  # what tokenizers cut and readers do not: wasn't


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Tokenized:
    """A text as the model reads it.

    Args:
        text: As it was given.
        ids: (T,) token ids, special ones too.
        special: (T,) whether a token is none of the text's.
        groups: Places of the tokens of each word, in order; a special token is a word by itself.
        spans: First and last character of each word; of special tokens nothing.
        names: How each word is shown.
    """

    text: str
    ids: list[int]
    special: list[bool]
    groups: list[list[int]]
    spans: list[tuple[int, int]]
    names: list[str]

    @property
    def cut(self) -> int:
        """Characters at the end that the model does not read."""
        end = max((stop for _, stop in self.spans), default=0)
        return len(self.text[end:].rstrip())

    def words(self, values: Sequence[float], *, with_special: bool) -> list[Word]:
        """The words with the sums of their tokens' values.

        Args:
            values: (T,) of each token.
            with_special: Whether special tokens are among them.
        """
        made: list[Word] = []
        at = 0
        for group, (start, stop), name in zip(self.groups, self.spans, self.names, strict=True):
            is_special = self.special[group[0]]
            if is_special and not with_special:
                continue
            before = " " if is_special and made else self.text[at:start]
            at = max(at, stop)
            total = float(sum(values[place] for place in group))
            made.append(Word(text=name, before=before, value=total, is_special=is_special))
        return made


def tokenized(tokenizer: Tokenizer, text: str) -> Tokenized:
    """A text cut into tokens, and these put together to words again.

    Args:
        tokenizer: Set to cut long texts as in training.
        text: Not empty.
    """
    encoding: Any = tokenizer.encode(text)
    special = [bool(mask) for mask in encoding.special_tokens_mask]
    groups = joined(grouped(encoding, text, special), encoding.offsets, text, special)
    spans: list[tuple[int, int]] = []
    names: list[str] = []
    for group in groups:
        span = (0, 0) if special[group[0]] else written(group, encoding.offsets, text)
        spans.append(span)
        names.append(text[slice(*span)] or encoding.tokens[group[0]])
    return Tokenized(
        text=text, ids=list(encoding.ids), special=special, groups=groups, spans=spans, names=names
    )


def grouped(encoding: Any, text: str, special: list[bool]) -> list[list[int]]:
    """Places of the tokens of each word of a tokenizer, and of those that readers take for one."""
    read = max((stop for _, stop in encoding.offsets), default=0)
    together = [found.span() for found in JOINED.finditer(text, 0, read)]
    groups: list[list[int]] = []
    last: object = None
    for place, (word, (start, stop)) in enumerate(zip(encoding.word_ids, encoding.offsets, strict=True)):
        within = next((span for span in together if span[0] < stop and start < span[1]), None)
        key = None if special[place] else within or word
        if key is None or key != last:
            groups.append([])
        groups[-1].append(place)
        last = key
    return groups


def joined(groups: list[list[int]], offsets: Any, text: str, special: list[bool]) -> list[list[int]]:
    """Groups, those of nothing but space together with the word before them, or else after them."""

    def is_space(group: list[int]) -> bool:
        start, stop = written(group, offsets, text)
        return not special[group[0]] and start == stop

    made: list[list[int]] = []
    for group in groups:
        may_join = bool(made) and not special[made[-1][0]] and not special[group[0]]
        if may_join and (is_space(group) or is_space(made[-1])):
            made[-1] += group
        else:
            made.append(group)
    return made


def written(group: list[int], offsets: Any, text: str) -> tuple[int, int]:
    """First and last character of a group of tokens, without the space around them."""
    start = min(offsets[place][0] for place in group)
    stop = max(offsets[place][1] for place in group)
    part = text[start:stop]
    start = min(stop, start + len(part) - len(part.lstrip()))
    return start, max(start, stop - (len(part) - len(part.rstrip())))
