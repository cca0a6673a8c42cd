"""Both ways of padding agree in values and gradients, and only one of them is taken when asked for."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F

from aiexp.model.layer.reflection_padding import ReflectionPadding, mirrored


@pytest.fixture
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.usefixtures("deterministic")
def test_the_deterministic_way_is_the_same(size: int, memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 4, 7, dtype=torch.float64).contiguous(memory_format=memory_format)
    weights = torch.randn(2, 3, 4 + 2 * size, 7 + 2 * size, dtype=torch.float64)
    results: list[tuple[torch.Tensor, torch.Tensor]] = []
    for pad in (ReflectionPadding(size), lambda x: F.pad(x, (size,) * 4, mode="reflect")):
        leaf = images.clone().requires_grad_()
        padded = pad(leaf)
        (padded * weights).sum().backward()
        assert leaf.grad is not None
        results.append((padded, leaf.grad))
    (ours, our_gradient), (theirs, their_gradient) = results
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-14, atol=1e-14)


def test_each_way_is_taken_when_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(
        "aiexp.model.layer.reflection_padding.mirrored",
        lambda images, size, dimension: calls.append(dimension) or mirrored(images, size, dimension),
    )
    images = torch.randn(1, 1, 4, 4)
    plain = ReflectionPadding(2)(images)
    assert calls == []
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.equal(ReflectionPadding(2)(images), plain)
    finally:
        torch.use_deterministic_algorithms(False)
    assert calls == [3, 2]
