"""A rank's rows: every example once, whatever a batch is made of; shares that add up to one."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from aiexp.errors import ConfigError
from aiexp.world.share import share_out
from aiexp.world.world import World


class Pair(NamedTuple):
    x: Tensor
    y: Tensor


@dataclass
class Named:
    x: Tensor
    temperature: Tensor


X = torch.arange(7)


def parts(batch: Any, size: int) -> list[tuple[Any, float]]:
    return [share_out(batch, World(rank, size)) for rank in range(size)]


@pytest.mark.parametrize(
    "batch",
    [X, {"x": X, "y": -X}, (X, -X), [X, {"deep": -X}], Pair(X, -X), Named(X, torch.tensor(0.5))],
    ids=lambda batch: type(batch).__name__,
)
@pytest.mark.parametrize("size", [2, 3, 7])
def test_every_row_is_someone_s_once(batch: Any, size: int) -> None:
    found = parts(batch, size)
    assert all(type(part) is type(batch) for part, _ in found)
    first: list[Tensor] = []
    for part, share in found:
        match part:
            case Tensor():
                rows = part
            case {"x": rows}:
                pass
            case Named():
                rows = part.x
                assert part.temperature == 0.5
            case _:
                rows = part[0]
        first.append(rows)
        assert share == len(rows) / 7
    assert torch.cat(first).sort().values.tolist() == X.tolist()


def test_of_fewer_rows_than_ranks_everyone_has_all() -> None:
    assert [(part.tolist(), share) for part, share in parts(X[:2], 4)] == [([0, 1], 0.25)] * 4


def test_batches_in_a_batch_are_shared_out_one_by_one() -> None:
    (first, share), (second, other) = parts(({"x": X}, {"x": X[:3]}), 2)
    assert [b["x"].tolist() for b in (*first, *second)] == [[0, 2, 4, 6], [0, 2], [1, 3, 5], [1]]
    assert (share, other) == (4 / 7, 3 / 7)


def test_one_rank_has_the_very_batch() -> None:
    batch = {"x": X, "what": object()}
    part, share = share_out(batch, World())
    assert part is batch
    assert type(share) is int  # windows of metrics in checkpoints are what they were


@pytest.mark.parametrize(
    ("batch", "what"),
    [
        ({"x": X, "y": X[:3]}, "tensors of 3 and 7 rows"),
        ({"texts": pack_sequence([X, X[:3]])}, "a PackedSequence"),
        ({"name": "nothing"}, "a dict without tensors"),
    ],
)
def test_what_has_no_rows_is_refused(batch: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=f"ranks cannot share out a batch of {what}"):
        share_out(batch, World(0, 2))


def test_a_world_of_one_asks_nobody() -> None:
    world = World()
    assert world.ask(3.0)() == [3.0]
    assert world.largest(3.0) == 3.0
    assert world.gather("x") == ["x"]
    assert world.from_leader("x") == "x"
    assert world.odd_rank("x") is None
    assert list(world.dealt(range(3))) == [0, 1, 2]
    parts = [1, 2]
    assert world.gathered(parts) is parts
    assert world.is_leader


def test_seeds_of_ranks_are_their_own() -> None:
    seeds = {
        World(rank, 4).own_seed(seed, step) for rank in range(4) for seed in range(3) for step in range(3)
    }
    assert len(seeds) == 36
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len({seed % 2**32 for seed in seeds}) == 36  # numpy takes these
