"""What is hidden of a batch, how sequences are put together, and what is guessed without a network."""

from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models

from aiexp.dataset.language.wordpiece import SPECIAL_TOKENS, bert_tokenizer
from aiexp.errors import ConfigError
from aiexp.model.text.tokenizer import letter_pair_tokenizer
from aiexp.storage.array import HeldArray
from aiexp.task.pretraining.guesses import guesses_of
from aiexp.task.pretraining.masking import IGNORED, Masking
from aiexp.task.pretraining.sequences import alone, cuts, pairs
from aiexp.task.pretraining.token_kinds import token_kinds

PIECES = [*SPECIAL_TOKENS, ".", "a", "b", "c", "king", "##s", "##ly", "##er"]
KINDS = token_kinds(bert_tokenizer({piece: number for number, piece in enumerate(PIECES)}, lowercase=True))
PAD, _, CLS, SEP, MASK = range(5)
END = PIECES.index(".")


def masking(**changes: Any) -> Masking:
    settings: dict[str, Any] = {
        "rate": 0.15, "mask_share": 0.8, "random_share": 0.1, "whole_words": False, "seed": 0,
    }  # fmt: skip
    return Masking(**(settings | changes))


def windows(rows: int = 64, length: int = 40, low: int = 5) -> torch.Tensor:
    random = np.random.default_rng(0)
    return torch.from_numpy(random.integers(low, len(PIECES), (rows, length)))


def test_kinds_of_tokens() -> None:
    assert (KINDS.pad, KINDS.cls, KINDS.sep, KINDS.mask) == (PAD, CLS, SEP, MASK)
    assert KINDS.is_ordinary.tolist() == [False] * 5 + [True] * 8
    assert KINDS.goes_on is not None
    assert KINDS.goes_on.tolist() == [False] * 10 + [True] * 3
    assert np.flatnonzero(KINDS.ends_sentence).tolist() == [END]
    letters = token_kinds(letter_pair_tokenizer())
    assert letters.goes_on is None
    with pytest.raises(ConfigError, match="does not say which tokens"):
        masking(whole_words=True).check(letters)
    masking(whole_words=True).check(KINDS)
    with pytest.raises(ConfigError, match=r"no \[CLS\].*wordpiece"):
        token_kinds(Tokenizer(models.BPE(vocab={"a": 0}, merges=[])))


def test_of_the_tokens_a_share_is_hidden_eighty_ten_ten() -> None:
    whole = alone(windows(400), KINDS)
    made = masking()(whole, KINDS, 7, 1)
    ids, places, targets = made["input_ids"], made["places"], made["targets"]
    assert places.shape == targets.shape == (400, 6), "15 % of 40"
    assert all(len(set(row)) == 6 for row in places.tolist())
    assert torch.equal(whole["input_ids"].gather(1, places), targets)
    assert set(targets.flatten().tolist()) <= set(range(5, len(PIECES)))
    is_hidden = torch.zeros_like(ids, dtype=torch.bool).scatter_(1, places, True)
    assert torch.equal(ids[~is_hidden], whole["input_ids"][~is_hidden])
    found = ids.gather(1, places)
    assert (found == MASK).float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert (found == targets).float().mean().item() == pytest.approx(0.1 + 0.1 / 8, abs=0.02)
    assert set(found[found != MASK].tolist()) == set(range(5, len(PIECES)))
    uses = places.flatten().bincount(minlength=42).tolist()
    assert uses[0] == uses[-1] == 0
    assert min(uses[1:-1]) > 30, "of 60 on average"


def test_it_depends_on_seed_and_number_alone() -> None:
    whole = alone(windows(4), KINDS)
    one = masking()(whole, KINDS, 7, 1)["places"]
    assert torch.equal(one, masking()(whole, KINDS, 7, 1)["places"])
    for other in (masking(seed=1)(whole, KINDS, 7, 1), masking()(whole, KINDS, 8, 1)):
        assert not torch.equal(one, other["places"])
    torch.manual_seed(5)
    assert torch.equal(one, masking()(whole, KINDS, 7, 1)["places"])


def test_words_are_hidden_whole() -> None:
    whole = alone(windows(300), KINDS)
    made = masking(whole_words=True, rate=0.3, mask_share=1.0, random_share=0.0)(whole, KINDS, 0, 1)
    hidden = 0
    for before, after in zip(whole["input_ids"].tolist(), made["input_ids"].tolist(), strict=True):
        words: list[list[int]] = []
        for place, token in enumerate(before):
            is_begin = token < PIECES.index("##s") or not words
            words.append([place]) if is_begin else words[-1].append(place)
        for word in words[1:]:  # the first has [CLS] with it, where a window begins inside a word
            assert len({after[place] == MASK for place in word}) == 1
        hidden += after.count(MASK)
    assert 0.2 * 300 * 40 < hidden <= 0.3 * 300 * 40
    is_place = made["targets"] != IGNORED
    assert torch.equal(is_place.sum(1), (made["input_ids"] == MASK).sum(1))
    assert (made["places"][~is_place] == 0).all()


def test_short_windows() -> None:
    made = masking(mask_share=1.0, random_share=0.0)(alone(windows(3, 1), KINDS), KINDS, 0, 1)
    assert made["input_ids"].tolist() == [[CLS, MASK, SEP]] * 3
    word = torch.tensor([[9, 10, 11, 12]])  # of four pieces, where one may be hidden
    made = masking(whole_words=True)(alone(word, KINDS), KINDS, 0, 1)
    assert made["targets"].tolist() == [[IGNORED]]


def test_shares_beyond_one() -> None:
    with pytest.raises(ConfigError, match=r"add up to 1\.5"):
        masking(random_share=0.7)


def test_segments_are_cut_where_a_sentence_ends() -> None:
    ids = np.full((4, 12), 6)
    ids[0, [0, 4, 11]] = END  # the one in the middle half
    ids[1, [5, 7]] = END
    ids[2, 0] = END  # too near the beginning
    assert cuts(ids, KINDS).tolist() == [5, 6, 6, 6]


def test_every_second_segment_follows() -> None:
    rows, length = 40, 20
    ids = (
        torch.arange(rows)[:, None] * 1000 + torch.arange(length)
    ) + 100  # every token is its window and place
    made = pairs(ids, token_kinds_of(rows * 1000 + 200), 0, 3)
    assert made["input_ids"].shape == made["segments"].shape == made["attention_mask"].shape == (rows, 23)
    follows = made["is_next"].tolist()
    assert 10 < sum(follows) < 30
    for number, row in enumerate(made["input_ids"].tolist()):
        first, second = [i for i, token in enumerate(row) if token == SEP]
        a, b = row[1:first], row[first + 1 : second]
        assert (row[0], a[0], set(row[second + 1 :]) <= {PAD}) == (CLS, number * 1000 + 100, True)
        assert a + b == list(range(a[0], a[0] + length)) if follows[number] else b[0] // 1000 != number
        assert b[0] % 1000 == 100 + 10, "the middle"
        assert made["segments"][number].tolist() == [int(first < i <= second) for i in range(23)]
        assert made["attention_mask"][number].tolist() == [i <= second for i in range(23)]


def token_kinds_of(size: int) -> Any:
    """Of a large vocabulary without ends of sentences."""
    return token_kinds(bert_tokenizer(
        {piece: number for number, piece in enumerate([*SPECIAL_TOKENS, *map(str, range(5, size))])},
        lowercase=True,
    ))  # fmt: skip


def test_lengths_say_nothing_of_what_follows() -> None:
    made = pairs(windows(600), KINDS, 0, 3)
    lengths = made["attention_mask"].sum(1).float()
    means = [lengths[made["is_next"] == kind].mean().item() for kind in (0, 1)]
    assert means[0] == pytest.approx(means[1], abs=1.0)
    assert pairs(windows(1, 7), KINDS, 0, 3)["is_next"].tolist() == [1]
    assert pairs(windows(1, 1, 6), KINDS, 0, 3)["input_ids"][0, [0, 2, 3]].tolist() == [CLS, SEP, SEP]


def test_guesses_are_counted() -> None:
    text = [1, 2, 1, 2, 1, 3, 1, 2, 3, 3]
    guesses = guesses_of(HeldArray(np.array(text, np.uint8)), 6)
    assert guesses.unigram == 1
    assert guesses.bigrams.tolist() == [1, 2, 1, 1, 1, 1], "after 3 come 1 and 3 once each: the first"
