"""What `aiexp check` says of a rank's memory, without ranks."""

import torch.distributed as dist

from aiexp.experiment import Experiment
from aiexp.runs.rank_memory import RankMemory, sharded_memory
from aiexp.runs.rehearsal import Rehearsal
from tests.task.classification import test_text_classification
from tests.toys import make_hardware, make_trainer


def memory(num_ranks: int, frozen_layers: int = 0) -> tuple[RankMemory, list[int]]:
    """Of one of so many ranks; and the numbers in each block of the network."""
    task, dataset = test_text_classification.make(frozen_layers=frozen_layers)
    sizes = [sum(p.numel() for p in block.parameters()) for block in (task, *task.shards())]
    rehearsal = Rehearsal(
        Experiment(hardware=make_hardware(), trainer=make_trainer(), dataset=dataset, task=task)
    )
    rehearsal.advance(1)
    found = sharded_memory(rehearsal, num_ranks)
    assert not dist.is_initialized()
    return found, sizes


def test_a_rank_has_its_rows_of_everything_and_one_block() -> None:
    two, (count, *blocks) = memory(2)
    eight, _ = memory(8)
    for size, found in ((2, two), (8, eight)):
        assert found.weights == found.gradients
        assert found.moments == 2 * found.weights  # of AdamW
        assert 0 <= found.weights * size / (4 * count) - 1 < 0.1  # the first rank has what does not divide
        assert found.gathered == 3 * 4 * max(blocks)
        assert found.total == 4 * found.weights + found.gathered + found.activations
    assert 3.5 < two.activations / eight.activations < 4.5


def test_what_is_frozen_has_neither_gradients_nor_moments() -> None:
    found, (count, embedding, *_) = memory(2, frozen_layers=1)
    assert abs(found.weights - 4 * count / 2) < 0.1 * count
    assert abs(found.gradients - 4 * (count - embedding) / 2) < 0.1 * count
    assert found.moments == 2 * found.gradients


def test_it_is_one_line() -> None:
    mebibyte = 2**20
    found = RankMemory(
        weights=2000 * mebibyte, gradients=20 * mebibyte, moments=0, gathered=mebibyte // 2,
        activations=mebibyte,
    )  # fmt: skip
    assert found.describe() == "2,022 MiB: weights 2,000, gradients 20, gathered 0.5, activations 1"
