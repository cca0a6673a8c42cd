"""Words of a text and the tokens that they were cut into."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from tokenizers import Tokenizer

from aiexp.use.explaining.explanation import Word


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
    groups: list[list[int]] = []
    last: int | None = None
    for place, word in enumerate(encoding.word_ids):
        is_new = special[place] or word is None or word != last
        if is_new:
            groups.append([])
        groups[-1].append(place)
        last = None if special[place] else word
    spans: list[tuple[int, int]] = []
    names: list[str] = []
    for group in groups:
        if special[group[0]]:
            spans.append((0, 0))
            names.append(encoding.tokens[group[0]])
            continue
        start = min(encoding.offsets[place][0] for place in group)
        stop = max(encoding.offsets[place][1] for place in group)
        start += len(text[start:stop]) - len(text[start:stop].lstrip())
        spans.append((start, stop))
        names.append(text[start:stop] or encoding.tokens[group[0]])
    return Tokenized(
        text=text, ids=list(encoding.ids), special=special, groups=groups, spans=spans, names=names
    )
