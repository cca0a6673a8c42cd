"""Sine waves as tasks: their distribution, and batches as a function of seed and number."""

import itertools
import math

import pytest
import torch

from aiexp.dataset.base import Dataset
from aiexp.dataset.few_shot.sinusoids import Sinusoids
from aiexp.errors import ConfigError


def make(**changes: int) -> Sinusoids:
    settings = {
        "shots": 10, "queries": 5, "eval_queries": 20, "num_tasks": 30, "batch_size": 400,
        "eval_batch_size": 8, "epoch_batches": 7, "seed": 0,
    }  # fmt: skip
    return Sinusoids(**(settings | changes))


def test_waves_are_those_of_the_paper() -> None:
    batches = list(itertools.islice(make().train_batches(0), 5))
    batch = {k: torch.cat([b[k] for b in batches]) for k in batches[0]}
    assert batch["support_x"].shape == batch["support_y"].shape == (2000, 10, 1)
    assert batch["query_x"].shape == (2000, 5, 1)
    assert batch["support_x"].dtype == torch.float32
    for part in ("support", "query"):
        x, y = batch[f"{part}_x"], batch[f"{part}_y"]
        wanted = batch["amplitude"][:, None, None] * torch.sin(x - batch["phase"][:, None, None])
        assert torch.allclose(y, wanted, atol=1e-5)
    for values, low, high in (
        (batch["amplitude"], 0.1, 5.0), (batch["phase"], 0.0, math.pi), (batch["support_x"], -5.0, 5.0),
    ):  # fmt: skip
        assert low <= values.min()
        assert values.max() <= high
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=0.05 * (high - low))
        assert values.std().item() == pytest.approx((high - low) / 12**0.5, rel=0.05)


def test_a_batch_is_a_function_of_seed_and_number() -> None:
    data = make()
    assert isinstance(data, Dataset)
    whole = list(itertools.islice(data.train_batches(0), 4))
    for number, batch in enumerate(itertools.islice(make().train_batches(2), 2), 2):
        assert all(torch.equal(batch[k], whole[number][k]) for k in batch)
    assert not torch.equal(whole[0]["support_x"], whole[1]["support_x"])
    assert not torch.equal(next(make(seed=1).train_batches(0))["phase"], whole[0]["phase"])


def test_evaluation_tasks_are_always_the_same() -> None:
    def tasks(split: str, **changes: int) -> torch.Tensor:
        return torch.cat([batch["query_x"] for batch in make(**changes).eval_batches(split)])

    first = tasks("eval")
    assert first.shape == (30, 20, 1)
    assert torch.equal(first, tasks("eval", seed=5, eval_batch_size=30))
    assert torch.equal(first[:12], tasks("eval", num_tasks=12))
    assert not torch.equal(first, tasks("test"))


def test_counts_and_fingerprint() -> None:
    data = make()
    assert [data.num_examples(s) for s in ("train", "eval", "test")] == [2800, 30, 30]
    assert data.batches_per_epoch() == 7
    assert data.fingerprint() == make().fingerprint() != make(seed=1).fingerprint()
    with pytest.raises(ConfigError, match="Did you mean 'test'"):
        data.num_examples("tset")
