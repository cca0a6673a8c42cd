"""Episodes: classes and examples without repetition, disjoint support and query, splits by alphabet."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from aiexp.dataset.base import Dataset
from aiexp.dataset.few_shot.dataset import Characters, split_alphabets
from aiexp.errors import ConfigError, DataError
from tests.task.episodes import characters, episodes


def numbered(num: int, examples: int, alphabet: str) -> Characters:
    """Every image says which it is: class in the first pixel, example in the last."""
    images = np.zeros((num, examples, 1, 2, 2), np.uint8)
    images[:, :, 0, 0, 0] = np.arange(num)[:, None] + 1
    images[:, :, 0, 1, 1] = np.arange(examples) + 1
    return Characters(images=images, names=[str(i) for i in range(num)], alphabets=[alphabet] * num)


NUMBERED = {"train": numbered(9, 6, "a"), "test": numbered(4, 6, "b")}
SHAPE = {"ways": 4, "shots": 2, "queries": 3}


def test_what_an_episode_holds() -> None:
    data = episodes(splits=NUMBERED, **SHAPE, batch_size=50)
    assert isinstance(data, Dataset)
    for batch in [*itertools.islice(data.train_batches(0), 3), *data.eval_batches("test")]:
        assert batch["support_x"].shape[1:] == (8, 1, 2, 2)
        assert batch["query_x"].shape[1:] == (12, 1, 2, 2)
        for m in range(len(batch["classes"])):
            classes = batch["classes"][m]
            assert len(set(classes.tolist())) == 4
            seen: set[tuple[int, int]] = set()
            for part, rounds in (("support", 2), ("query", 3)):
                x, y = (batch[f"{part}_x"][m] * 255).round().int(), batch[f"{part}_y"][m]
                assert y.tolist() == [0, 1, 2, 3] * rounds
                assert torch.equal(x[:, 0, 0, 0] - 1, classes[y].int())
                seen |= {(int(c), int(e)) for c, e in zip(x[:, 0, 0, 0], x[:, 0, 1, 1], strict=True)}
            assert len(seen) == 20, "an example occurs twice"


def test_classes_and_examples_are_drawn_evenly() -> None:
    data = episodes(splits=NUMBERED, **SHAPE, batch_size=2000)
    batch = next(data.train_batches(0))
    share = torch.bincount(batch["classes"].flatten(), minlength=9) / 2000
    assert (share - 4 / 9).abs().max() < 0.05
    firsts = torch.bincount(batch["classes"][:, 0], minlength=9) / 2000  # no class prefers a label
    assert (firsts - 1 / 9).abs().max() < 0.03
    given = (batch["support_x"][:, 0, 0, 1, 1] * 255).round().long()
    assert (torch.bincount(given, minlength=7)[1:] / 2000 - 1 / 6).abs().max() < 0.04


def test_a_batch_is_a_function_of_seed_and_number() -> None:
    whole = list(itertools.islice(episodes().train_batches(0), 4))
    (batch,) = itertools.islice(episodes().train_batches(3), 1)
    assert all(torch.equal(batch[k], whole[3][k]) for k in batch)
    assert not torch.equal(next(episodes(seed=1).train_batches(0))["support_x"], whole[0]["support_x"])


def test_evaluation_episodes_are_always_the_same() -> None:
    def images(split: str, **changes: Any) -> torch.Tensor:
        return torch.cat([batch["query_x"] for batch in episodes(**changes).eval_batches(split)])

    first = images("eval")
    assert len(first) == 10
    assert torch.equal(first, images("eval", seed=3, eval_batch_size=3, rotations=True))
    assert torch.equal(first[:4], images("eval", num_episodes=4))


def test_turned_characters_are_other_classes() -> None:
    splits = {"train": numbered(1, 6, "a")}
    data = episodes(splits=splits, ways=4, shots=1, queries=1, rotations=True)
    batch = next(data.train_batches(0))
    corners = {0: (0, 0), 1: (1, 0), 2: (1, 1), 3: (0, 1)}  # where the first pixel goes, against the clock
    for place, turn in enumerate(batch["classes"][0].tolist()):
        assert (batch["support_x"][0, place, 0][corners[turn]] * 255).round() == 1
    assert sorted(batch["classes"][0].tolist()) == [0, 1, 2, 3]


def test_more_than_the_data_have() -> None:
    for shape, where in (
        ({"ways": 5, "shots": 1, "queries": 1}, "ways"),
        ({"ways": 4, "shots": 4, "queries": 3}, "shots"),
    ):
        with pytest.raises(ConfigError) as caught:
            episodes(splits=NUMBERED, **shape, rotations=True)  # four test classes of six examples
        assert caught.value.where == where
        assert "\n" not in caught.value.line()


def test_splits_share_no_alphabet() -> None:
    with pytest.raises(DataError, match="alphabet 'a'"):
        episodes(splits={"train": numbered(9, 6, "a"), "test": numbered(9, 6, "a")}, **SHAPE)
    with pytest.raises(DataError, match="no characters"):
        episodes(splits={"test": characters(9, 6, 16, 0, "x")})


def test_alphabets_are_divided_by_their_names() -> None:
    names = [f"alphabet {i}" for i in range(20)]
    parts = split_alphabets(names * 3, {"eval": 0.1, "test": 0.3}, frozenset({"alphabet 7"}))
    assert {split: len(part) for split, part in parts.items()} == {"eval": 2, "test": 6, "train": 12}
    assert set().union(*parts.values()) == set(names)
    assert "alphabet 7" in parts["train"]
    assert parts == split_alphabets(names[::-1], {"eval": 0.1, "test": 0.3}, frozenset({"alphabet 7"}))
    with pytest.raises(ConfigError):
        split_alphabets(names, {"eval": 0.5, "test": 0.5})
