import numpy as np
import pytest
import torch

from aiexp.model.layer.dropout import dropout, dropout_add, keep_mask


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_share_of_zeros_and_scale(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, 1001, dtype=dtype)
    y = dropout(x, 0.1, training=True).float()
    zeros = (y == 0).float().mean().item()
    assert zeros == pytest.approx(0.1, abs=0.0015)  # five standard deviations
    torch.testing.assert_close(y[y != 0].unique(), torch.tensor([1 / 0.9]), atol=4e-3, rtol=0)


def test_neighbours_and_draws_are_independent() -> None:
    torch.manual_seed(0)
    first, second = (-keep_mask(torch.Size([200_000]), 0.5).numpy().astype(np.float64) for _ in range(2))
    for a, b in ((first, second), (first[1:], first[:-1]), (first[4:], first[:-4])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.012


def test_same_generator_state_same_mask() -> None:
    torch.manual_seed(7)
    state = torch.get_rng_state()
    first = keep_mask(torch.Size([5, 33]), 0.3)
    torch.set_rng_state(state)
    assert torch.equal(first, keep_mask(torch.Size([5, 33]), 0.3))


def test_gradient_has_the_mask_and_a_sum_passes_through() -> None:
    torch.manual_seed(0)
    x, residual = torch.ones(50, 40, requires_grad=True), torch.full((50, 40), 3.0, requires_grad=True)
    y = dropout_add(x, residual, 0.25, training=True)
    y.sum().backward()
    assert torch.equal(y.detach() - 3.0 != 0, x.grad != 0)
    torch.testing.assert_close(x.grad.unique(), torch.tensor([0.0, 4 / 3]))
    assert torch.equal(residual.grad, torch.ones(50, 40))


def test_nothing_happens_in_evaluation_or_without_probability() -> None:
    x = torch.ones(3)
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0, training=True) is x
