"""A staged copy is what the tensors were, whatever becomes of them."""

import torch

from aiexp.checkpoint.part import Part, own_rows
from aiexp.checkpoint.staging import Staging


def test_copies_stay_when_the_tensors_change_and_take_the_same_memory_again() -> None:
    tensors = {
        "filters": torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last),
        "half": torch.ones(3).bfloat16(),
        "count": torch.tensor(7), "none": torch.zeros(0), "turned": torch.arange(6).view(2, 3).t(),
        "part": Part(rows=torch.ones(2, 3), start=2, num_rows=5),
    }  # fmt: skip
    before = {n: (t.rows if isinstance(t, Part) else t).clone() for n, t in tensors.items()}
    staging = Staging()
    copies = staging.copies("model", tensors)
    for tensor in tensors.values():
        (tensor.rows if isinstance(tensor, Part) else tensor).zero_()
    for name, copy in copies.items():
        held = copy.rows if isinstance(copy, Part) else copy
        assert torch.equal(held, before[name])
        assert held.is_contiguous()
    again = staging.copies("model", tensors)
    assert again["filters"] is copies["filters"]
    assert staging.copies("training", tensors)["filters"] is not copies["filters"]
    assert staging.copies("model", {"count": torch.ones(9)})["count"].shape == (9,)


def test_rows_are_dealt_out_as_torch_does_it() -> None:
    for num_rows in range(12):
        for size in range(1, 6):
            chunks = [len(c) for c in torch.arange(num_rows).chunk(size)] if num_rows else []
            held = [own_rows(num_rows, rank, size) for rank in range(size)]
            assert [len(rows) for rows in held] == chunks + [0] * (size - len(chunks))
            assert [row for rows in held for row in rows] == list(range(num_rows))
