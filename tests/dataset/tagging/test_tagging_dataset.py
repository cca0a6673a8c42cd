"""Batches of tagged sentences: what they hold, for models of pieces and of letters."""

from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from aiexp.dataset.tagging import stored
from aiexp.dataset.tagging.dataset import TaggingDataset
from aiexp.dataset.tagging.encoding import (
    MOST_CHARACTERS,
    Encoding,
    Letters,
    Pieces,
    letters_from,
    letters_of,
    rows_of,
)
from aiexp.dataset.tagging.stored import UNKNOWN, cut_rows
from aiexp.errors import DataError
from aiexp.model.text.tokenizer import letter_pair_tokenizer
from tests.dataset.tagging.sentences import load, names, parts_of_speech

Batch = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(stored, "_AT_ONCE", 7)
    monkeypatch.setattr(stored, "_WORDS_AT_ONCE", 11)


def encoding(dataset: TaggingDataset, kind: str, longest: int = 40) -> Encoding:
    if kind == "pieces":
        return Pieces(letter_pair_tokenizer(), longest)
    return letters_of(dataset.word_counts(), 1, longest)


def read_back(batch: Batch, row: int, made: Any) -> list[str]:
    """The words of a row as a model is given them."""
    count = int(batch["word_mask"][row].sum())
    if isinstance(made, Letters):
        names = ["", "?", *made.characters]
        return ["".join(names[c] for c in word) for word in batch["characters"][row, :count].tolist()]
    ids = batch["input_ids"][row][: int(batch["attention_mask"][row].sum())].tolist()
    starts = [*batch["first"][row, :count].tolist(), len(ids) - 1]
    assert (ids[0], ids[-1]) == (made.before[0], made.after[0])
    return [made.tokenizer.decode(ids[a:b]).strip() for a, b in pairwise(starts)]


@pytest.mark.parametrize("kind", ["pieces", "letters"])
def test_an_evaluation_has_every_word_with_its_tag_once(tmp_path: Path, kind: str) -> None:
    dataset = load(tmp_path / "mine.conll", names(60), max_tokens=16)
    made = encoding(dataset, kind, 16 if kind == "pieces" else 5)
    dataset.tokenize(made)
    for split in ("train", "eval"):
        found: dict[int, dict[int, tuple[list[str], list[str]]]] = {}
        for batch in dataset.eval_batches(split):
            assert len(batch["index"]) <= 3
            for row, (sentence, place) in enumerate(
                zip(batch["index"].tolist(), batch["start"].tolist(), strict=True)
            ):
                words, labels = read_back(batch, row, made), batch["labels"][row].tolist()
                assert labels[len(words) :] == [UNKNOWN] * (len(labels) - len(words))
                tags = [dataset.tag_names[label] for label in labels[: len(words)]]
                found.setdefault(sentence, {})[place] = words, tags
        assert len(found) == dataset.num_examples(split)
        assert max(map(len, found.values())) > 1, "some are too long for a row"
        for sentence, rows in found.items():
            joined = [list(chain.from_iterable(rows[place][i] for place in sorted(rows))) for i in (0, 1)]
            words = dataset.words(split, sentence)
            assert joined[0] == (words if kind == "letters" else [word.lower() for word in words])
            assert joined[1] == dataset.tags(split, sentence)


def test_a_batch_follows_from_its_number(tmp_path: Path) -> None:
    dataset = load(tmp_path / "mine.conll", parts_of_speech(60), num_workers=1)
    with pytest.raises(DataError, match="no tokens of split 'train'"):
        next(dataset.train_batches(0))
    dataset.tokenize(encoding(dataset, "pieces"))
    per_epoch = dataset.batches_per_epoch()
    several = list(islice(dataset.train_batches(0), 2 * per_epoch))
    other = load(tmp_path / "mine.conll")
    other.tokenize(encoding(dataset, "pieces"))
    for number in (1, per_epoch + 2):
        batch = next(other.train_batches(number))
        assert all(torch.equal(batch[name], several[number][name]) for name in batch)
    seen = torch.cat([batch["index"] for batch in several[:per_epoch]]).tolist()
    assert sorted(seen) == list(range(dataset.num_examples("train")))
    assert seen != torch.cat([batch["index"] for batch in several[per_epoch:]]).tolist()


def test_rows_are_as_long_as_fit() -> None:
    lengths, ends = [3, 1, 1, 4, 2, 2, 5, 1], [3, 8]
    before = np.cumsum([0, *lengths])
    rows, num_long = cut_rows(before, np.array(ends), 5)
    assert rows.tolist() == [0, 3, 4, 6, 7, 8]
    assert num_long == 1
    assert cut_rows(before, np.array(ends), 14)[1] == 0


def test_pieces_pad_and_mark_the_first_of_each_word() -> None:
    made = Pieces(letter_pair_tokenizer(), 40)
    batch = made.batch(rows_of(made, [["thing", "a"], ["\u6708"]]), 8)
    assert batch["input_ids"].shape == (2, 8)
    assert batch["first"].tolist() == [[1, 4], [1, 0]]
    assert batch["attention_mask"].sum(1).tolist() == [6, 6]
    assert batch["input_ids"][1, 6:].tolist() == [made.pad_id] * 2
    long, counts, _ = Pieces(letter_pair_tokenizer(), 8).encode(["a" * 99, "b"])
    assert counts.tolist() == [6, 1]
    assert len(long) == 7


def test_a_word_that_a_tokenizer_drops_is_unknown() -> None:
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "[PAD]": 1, "a": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # pyright: ignore
    units, counts, _ = Pieces(tokenizer, 9).encode(["a", " ", "a"])
    assert (units.tolist(), counts.tolist()) == ([2, 0, 2], [1, 1, 1])


@pytest.mark.parametrize(("has_prefix", "token"), [(False, "\u0120a"), (True, "\u0120a")])
def test_words_of_byte_level_tokenizers_begin_with_a_blank(has_prefix: bool, token: str) -> None:
    vocabulary = {piece: i for i, piece in enumerate(["a", "\u0120", "\u0120a"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("\u0120", "a")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=has_prefix)  # pyright: ignore
    units, _, _ = Pieces(tokenizer, 9).encode(["a"])
    assert [tokenizer.id_to_token(number) for number in units.tolist()] == [token]


def test_letters_know_what_training_has_often_enough() -> None:
    made = letters_of({"The": 1, "the": 1, "dog": 1, "cats": 3}, 2, 9)
    assert made.words == ["cats", "the"]
    batch = made.batch(rows_of(made, [["THE", "x" * 99], ["dog"]]), 4)
    assert batch["words"].tolist() == [[3, 1, 0, 0], [1, 0, 0, 0]]
    assert batch["characters"].shape == (2, 4, MOST_CHARACTERS)
    assert batch["word_mask"].sum(1).tolist() == [2, 1]
    again = letters_from(made.files()["vocabulary.json"], 9)
    assert again.key() == made.key()
    assert letters_of({"the": 2}, 1, 9).key() != made.key()
