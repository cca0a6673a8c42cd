"""Word pieces learned from a text: BERT's tokenizer, the same at every time."""

from pathlib import Path

import numpy as np
import pytest

from aiexp.dataset.language.wordpiece import INSIDE, SPECIAL_TOKENS, wordpiece_tokenizer
from aiexp.dataset.text.wordpiece import WordPieces
from tests.dataset.language.text import load, tokenized, verses


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "data"))


def syllables(lines: int) -> str:
    """Words of many syllables, so that there is much to join."""
    random = np.random.default_rng(0)
    parts = [f"{a}{b}" for a in "bdfgklmnprst" for b in "aeiou"]
    words = ["".join(random.choice(parts, int(random.integers(1, 5)))) for _ in range(400)]
    return "".join(" ".join(random.choice(words, 9)) + ".\n" for _ in range(lines))


def test_it_is_the_same_at_every_time(tmp_path: Path) -> None:
    part = load(tmp_path / "mine.txt", syllables(300))._parts["train"]  # pyright: ignore[reportPrivateUsage]
    made = [wordpiece_tokenizer(part, 400).to_str() for _ in range(4)]
    assert len(set(made)) == 1


def test_it_is_bert_s(tmp_path: Path) -> None:
    tokenizer = load(tmp_path / "mine.txt", syllables(300), vocabulary="wordpiece").make_tokenizer()
    vocabulary = tokenizer.get_vocab()
    assert [tokenizer.id_to_token(number) for number in range(5)] == SPECIAL_TOKENS
    assert len(vocabulary) == 300
    assert {"b", INSIDE + "a"} <= set(vocabulary)
    assert INSIDE + "." not in vocabulary
    assert WordPieces.suits(tokenizer)
    pieces = tokenizer.encode("Bad\u00e9 [MASK]!").tokens
    assert (pieces[0], pieces[-1], pieces.count("[MASK]")) == ("[CLS]", "[SEP]", 1)
    assert "".join(pieces[1:-2]).replace(INSIDE, "").startswith("bade"), "lower case, without accents"
    assert tokenizer.decode(tokenizer.encode("bade kadi").ids) == "bade kadi"


def test_more_tokens_than_there_are_and_fewer_than_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenized(tmp_path / "mine.txt", verses(60), vocabulary="wordpiece", vocab_size=900)
    assert "tokens, fewer than vocab_size=900" in capsys.readouterr().err
    signs = " ".join(chr(code) for code in range(0x4E00, 0x4E00 + 400)) + "\n"
    tokenizer = load(tmp_path / "signs.txt", signs * 3, vocabulary="wordpiece").make_tokenizer()
    assert "its characters alone are" in capsys.readouterr().err
    assert tokenizer.get_vocab_size() > 300
