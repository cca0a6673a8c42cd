"""Windows of running text: what they hold, that they follow from their number, and what is kept on disk."""

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from aiexp.dataset.language import tokens, vocabulary
from aiexp.dataset.language.running_text import RunningText
from aiexp.dataset.language.vocabulary import Encoder
from aiexp.errors import DataError
from aiexp.storage import array
from tests.dataset.language.text import load, tokenized, verses


@pytest.fixture(autouse=True)
def _small_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(tokens, "_PIECE", 60)
    monkeypatch.setattr(tokens, "_CHARACTERS_AT_ONCE", 180)


def texts_of(dataset: Any, split: str, tokenizer: Tokenizer) -> str:
    """What the targets of an evaluation say, in order."""
    rows = [row for batch in dataset.eval_batches(split) for row in batch["targets"].tolist()]
    return tokenizer.decode([token for row in rows for token in row])


@pytest.mark.parametrize("kind", ["characters", "bpe"])
def test_an_evaluation_has_every_token_as_a_target_once(tmp_path: Path, kind: str) -> None:
    whole = verses(120)
    dataset = tokenized(tmp_path / "mine.txt", whole, vocabulary=kind)
    tokenizer, start = dataset.make_tokenizer(), 0
    for split, share in (("train", 0.8), ("eval", 0.1), ("test", 0.1)):
        stop = len(whole) if split == "test" else start + int(len(whole) * share)
        text = whole[start:stop] if split != "train" else whole[: int(len(whole) * 0.8)]
        first = tokenizer.encode(text, add_special_tokens=False).ids[:1]
        if split == "train":
            start = len(text)
            assert tokenizer.decode(first) + texts_of(dataset, split, tokenizer) == text
    ends = texts_of(dataset, "eval", tokenizer) + "|" + texts_of(dataset, "test", tokenizer)
    before, after = ends.split("|")
    assert before in whole[int(len(whole) * 0.8) :]
    assert whole.endswith(after)
    assert 0 <= len(whole) - int(len(whole) * 0.8) - len(before) - len(after) <= 12, "a first token each"


@pytest.mark.parametrize("kind", ["characters", "bpe"])
def test_a_batch_is_a_stretch_of_the_training_part_and_follows_from_its_number(
    tmp_path: Path, kind: str
) -> None:
    whole = verses(80)
    dataset = tokenized(tmp_path / "mine.txt", whole, vocabulary=kind)
    tokenizer = dataset.make_tokenizer()
    many = list(islice(dataset.train_batches(0), 40))
    for number, batch in enumerate(many):
        assert batch["input_ids"].shape == batch["targets"].shape == (4, 8)
        assert batch["input_ids"].dtype == torch.int64
        assert torch.equal(batch["input_ids"][:, 1:], batch["targets"][:, :-1])
        again = next(dataset.train_batches(number))
        assert all(torch.equal(batch[name], again[name]) for name in batch)
    text = whole[: int(len(whole) * 0.8)]
    if kind == "characters":
        assert all(tokenizer.decode(row) in text for batch in many for row in batch["input_ids"].tolist())
    other = next(tokenized(tmp_path / "mine.txt", vocabulary=kind, seed=1).train_batches(0))
    assert not torch.equal(other["input_ids"], many[0]["input_ids"])


def test_windows_begin_everywhere(tmp_path: Path) -> None:
    dataset = tokenized(tmp_path / "mine.txt", "".join(map(chr, range(200, 240))), eval_fraction=0.0,
                        test_fraction=0.0)  # fmt: skip
    firsts = {int(row[0]) for batch in islice(dataset.train_batches(0), 200) for row in batch["input_ids"]}
    assert firsts == set(range(1, 33)), "40 characters, 9 for a window"


def test_counts(tmp_path: Path) -> None:
    dataset = tokenized(tmp_path / "mine.txt", "ab\u6708 " * 100, vocabulary="bpe", eval_fraction=0.5)
    assert dataset.bytes_per_token("eval") == pytest.approx(1.5 * dataset.characters_per_token("eval"))
    count = sum(batch["targets"].numel() for batch in dataset.eval_batches("eval")) + 1
    assert dataset.characters_per_token("eval") == pytest.approx(200 / count)
    assert dataset.num_examples("eval") == -(-(count - 1) // 8)
    assert dataset.batches_per_epoch() == -(-dataset.num_examples("train") // 4)


def test_characters_that_training_has_not_are_one_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = tokenized(tmp_path / "mine.txt", "abc " * 90 + "xyzc" * 10, test_fraction=0.0)
    assert "30 tokens of the eval part are not in the vocabulary" in capsys.readouterr().err
    assert dataset.make_tokenizer().decode([0]) == "\ufffd"


@pytest.mark.parametrize("text", ["the king", "\u00e9t\u00e9 \u6708 \U0001f600 \ufffd zzz", "\n\n \n", ""])
def test_the_table_of_characters_is_what_the_library_does(tmp_path: Path, text: str) -> None:
    tokenizer = load(tmp_path / "mine.txt", verses(30)).make_tokenizer()
    (made,) = Encoder(tokenizer).encode([text])
    assert made.tolist() == tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("text", [verses(9), "\u6708 caf\u00e9\r\n\t\tx  y", "word"])
def test_byte_pairs_give_every_text_back(tmp_path: Path, text: str) -> None:
    tokenizer = load(tmp_path / "mine.txt", verses(60, 3), vocabulary="bpe").make_tokenizer()
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_fewer_tokens_than_asked_for_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(tmp_path / "mine.txt", "ab " * 50, vocabulary="bpe", vocab_size=900).make_tokenizer()
    assert "fewer than vocab_size=900" in capsys.readouterr().err


def test_a_vocabulary_that_there_is(tmp_path: Path) -> None:
    first = load(tmp_path / "mine.txt", verses(60), vocabulary="bpe").make_tokenizer()
    (tmp_path / "run/model").mkdir(parents=True)
    first.save(str(tmp_path / "run/model/tokenizer.json"))
    for place in ("run", "run/model", "run/model/tokenizer.json"):
        again = load(tmp_path / "other.txt", verses(20, 5), vocabulary=str(tmp_path / place)).make_tokenizer()
        assert again.get_vocab() == first.get_vocab()
    with pytest.raises(DataError, match=r"no vocabulary 'charcters'. Did you mean 'characters'"):
        load(tmp_path / "mine.txt", vocabulary="charcters").make_tokenizer()
    (tmp_path / "run/model/tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "mine.txt", vocabulary=str(tmp_path / "run")).make_tokenizer()


def test_a_second_start_reads_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = next(tokenized(tmp_path / "mine.txt", verses(90), vocabulary="bpe").train_batches(3))

    def fail(*_: Any) -> Any:
        raise AssertionError("read again")

    monkeypatch.setattr(RunningText, "pieces", fail)
    monkeypatch.setattr(vocabulary, "bpe_tokenizer", fail)
    again = next(tokenized(tmp_path / "mine.txt", vocabulary="bpe").train_batches(3))
    assert torch.equal(first["input_ids"], again["input_ids"])


def test_on_disk_it_is_what_it_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = tokenized(tmp_path / "mine.txt", verses(90))
    monkeypatch.setattr(array, "RESIDENT_BYTES", 0)
    filed = tokenized(tmp_path / "mine.txt")
    pairs = [(held.eval_batches("eval"), filed.eval_batches("eval"))]
    pairs.append((islice(held.train_batches(0), 20), islice(filed.train_batches(0), 20)))
    for one, other in pairs:
        for a, b in zip(one, other, strict=True):
            assert torch.equal(a["targets"], b["targets"])


def test_the_fingerprint_is_of_the_text_and_its_parts(tmp_path: Path) -> None:
    one = load(tmp_path / "mine.txt", verses(50)).fingerprint()
    assert load(tmp_path / "mine.txt", vocabulary="bpe", context=4).fingerprint() == one
    assert load(tmp_path / "mine.txt", eval_fraction=0.2).fingerprint() != one
    assert load(tmp_path / "mine.txt", verses(50, 1)).fingerprint() != one


def test_batches_need_tokens(tmp_path: Path) -> None:
    dataset = load(tmp_path / "mine.txt", verses(50), test_fraction=0.0)
    assert dataset.num_examples("eval") > 0
    assert dataset.num_examples("test") == 0
    with pytest.raises(DataError, match="no tokens"):
        next(dataset.train_batches(0))
