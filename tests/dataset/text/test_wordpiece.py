"""The memory of words gives what the tokenizer gives, for every text and every kind of tokenizer."""

import random
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from aiexp.dataset.text import ragged, wordpiece
from aiexp.dataset.text.ragged import encode
from aiexp.dataset.text.wordpiece import WordPieces

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *"abcdefgh!?,.'_-[]#0",
    "##a",
    "##b",
    "##c",
    "cab",
    "##bed",
    "Cab",
]


def bert(*, lowercase: bool = True, special: bool = True, added: str | None = None) -> Tokenizer:
    vocabulary = {piece: number for number, piece in enumerate(PIECES)}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=9))
    made.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if special:
        made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.add_special_tokens(["[CLS]", "[SEP]", "[MASK]"])
    if added:
        made.add_tokens([AddedToken(added)])
    return made


def texts(count: int) -> list[str]:
    """Random characters that do and do not matter to BERT."""
    draw = random.Random(0)
    parts = [
        *"abcABC deh!?,.'_-[]#01\t\n\r\x00\x1c\x7f~é中ﬁ\u00a0\u200d",
        "cab",
        "Cabbed",
        "[MASK]",
        "[mask]",
        " the ",
    ]
    found = ["".join(draw.choices(parts, k=draw.randrange(0, 40))) for _ in range(count)]
    plain = "abcABC    deh!?,.'_-[]#01"
    return found + ["".join(draw.choices(plain, k=draw.randrange(0, 60))) for _ in range(count)]


def rows(words: WordPieces, given: list[str], max_tokens: int) -> list[list[int]]:
    tokens, lengths = words.encode(given, max_tokens)
    ends = lengths.cumsum().tolist()
    return [tokens[start:end].tolist() for start, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize("max_tokens", [3, 9, 1000])
@pytest.mark.parametrize(
    "kind", [{}, {"lowercase": False}, {"special": False}, {"added": "cab"}, {"added": "Cabbed"}]
)
def test_every_text_gets_what_the_tokenizer_gives(kind: dict[str, Any], max_tokens: int) -> None:
    tokenizer, given = bert(**kind), texts(1500)
    assert WordPieces.suits(tokenizer)
    tokenizer.enable_truncation(max_length=max_tokens)
    expected = [encoding.ids for encoding in tokenizer.encode_batch(given)]
    words = WordPieces(tokenizer)
    assert rows(words, given, max_tokens) == expected
    assert rows(words, given[::-1], max_tokens) == expected[::-1]  # with all words in memory
    assert rows(words, [], max_tokens) == []


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordpiece, "_MOST_WORDS", 5)
    tokenizer, given = bert(), [f"cab bed {number}" for number in range(10)]
    words = WordPieces(tokenizer)
    for text in given:
        assert rows(words, [text], 1000) == [tokenizer.encode(text).ids]
        assert len(words._numbers) <= 8  # met in one part, and what was there


def test_other_tokenizers_are_left_to_the_library(tokenizer: Tokenizer) -> None:
    assert not WordPieces.suits(tokenizer)
    other = bert()
    other.pre_tokenizer = pre_tokenizers.Whitespace()
    assert not WordPieces.suits(other)
    given = ["cab_bed, [MASK]"]
    assert encode(other, given, 50).flat.between(0, 50).tolist() == other.encode(given[0]).ids


def test_a_few_texts_do_not_wait_for_a_memory_of_words(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, given = bert(), texts(300)
    together = encode(tokenizer, given, 50).flat.between
    monkeypatch.setattr(ragged, "WordPieces", None)  # it reads the whole vocabulary: 60 ms of BERT's
    alone = [encode(tokenizer, [text], 50) for text in given]
    apart = [token for one in alone for token in one.flat.between(0, len(one.flat)).tolist()]
    assert apart == together(0, len(apart) + 1).tolist()
