import pytest
import torch

from aiexp.model.layer.standardize import Standardize


def test_mean_and_deviation_over_uneven_parts_are_those_of_the_whole() -> None:
    x = torch.randn(1000, 3, dtype=torch.float64) * torch.tensor([1.0, 0.1, 0.0]) + torch.tensor(
        [0, 1e3, 7.0]
    )
    layer = Standardize([3])
    layer.fit(torch.split(x, [1, 500, 499]))
    made = layer((x - 0).double())
    assert torch.allclose(made.mean(0).float(), torch.zeros(3), atol=1e-3)
    assert torch.allclose(made[:, 0].std(correction=0).float(), torch.ones(()), atol=1e-3)
    assert torch.equal(made[:, 2], torch.zeros(1000))  # what never changes says nothing
    back = layer.undo(layer(x[:5]))
    assert torch.allclose(back[:, [0, 2]], x[:5, [0, 2]].float(), atol=1e-4)
    again = Standardize([3])
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again(x[:5]), layer(x[:5]))


@pytest.mark.parametrize("scale", [1e-30, 1e-7, 1e30])
def test_the_unit_of_a_number_does_not_matter(scale: float) -> None:
    x = torch.randn(200, 2, dtype=torch.float64) * torch.tensor([1.0, 0.0]) + torch.tensor([3.0, 0.1])
    layer = Standardize([2])
    layer.fit(torch.split((x * scale).float(), 64))
    made = layer((x * scale).float())
    assert torch.allclose(made[:, 0].std(correction=0), torch.ones(()), atol=1e-3)
    assert torch.equal(made[:, 1], torch.zeros(200))
    assert torch.allclose(layer.undo(made).double() / scale, x, atol=1e-5)


def test_what_has_no_inverse_in_float32_becomes_zero_not_infinite() -> None:
    layer = Standardize([1])
    layer.fit([torch.tensor([[0.0], [1e-40]])])
    assert torch.equal(layer(torch.tensor([[1e-40]])), torch.zeros(1, 1))
