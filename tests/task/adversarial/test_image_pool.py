"""The pool against the authors' rule, and its state."""

import pytest
import torch

from aiexp.task.adversarial.image_pool import ImagePool

CPU = torch.device("cpu")


def exchange(pool: ImagePool, images: torch.Tensor) -> torch.Tensor:
    return pool.exchange(images, pool.draws(len(images)))


def image(number: int) -> torch.Tensor:
    return torch.full((1, 3, 2, 2), float(number), requires_grad=True) * 1


def test_fills_first_then_exchanges() -> None:
    torch.manual_seed(0)
    pool, first = ImagePool(4), 4
    for number in range(first):
        assert torch.equal(exchange(pool, image(number)), image(number))
    stored = {0, 1, 2, 3}
    old = 0
    for number in range(first, 1000):
        (got,) = exchange(pool, image(number))
        assert not got.requires_grad
        value = int(got[0, 0, 0])
        if value == number:
            assert number not in {int(i[0, 0, 0]) for i in pool.images}
        else:
            old += 1
            assert value in stored
            stored = stored - {value} | {number}
        assert {int(i[0, 0, 0]) for i in pool.images} == stored
    assert 430 < old < 570  # half of 996, four standard deviations


def test_is_the_rule_by_hand() -> None:
    """Draw for draw: one uniform number, then a place only if the image is exchanged."""
    torch.manual_seed(3)
    pool = ImagePool(3)
    ours = [
        int(v)
        for n in range(0, 60, 2)
        for v in exchange(pool, torch.cat([image(n), image(n + 1)]))[:, 0, 0, 0]
    ]
    torch.manual_seed(3)
    kept: list[int] = []
    theirs: list[int] = []
    for number in range(60):
        if len(kept) < 3:
            kept.append(number)
            theirs.append(number)
        elif torch.rand(()).item() < 0.5:
            theirs.append(number)
        else:
            place = int(torch.randint(3, ()).item())
            theirs.append(kept[place])
            kept[place] = number
    assert ours == theirs


def test_later_changes_of_an_image_do_not_reach_the_pool() -> None:
    pool = ImagePool(2)
    fake = torch.zeros(1, 3, 2, 2)
    exchange(pool, fake)
    fake += 1
    assert not pool.images[0].any()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_state_is_exact(memory_format: torch.memory_format) -> None:
    torch.manual_seed(1)
    pool = ImagePool(5)
    fakes = [torch.randn(2, 3, 4, 4).contiguous(memory_format=memory_format) for _ in range(12)]
    for fake in fakes[:6]:
        exchange(pool, fake)
    again = ImagePool(5)
    again.load_state([i.clone() for i in pool.state()], CPU)
    random = torch.get_rng_state()
    ours = [exchange(pool, fake) for fake in fakes[6:]]
    torch.set_rng_state(random)
    theirs = [exchange(again, fake) for fake in fakes[6:]]
    for a, b in zip([*ours, *pool.images], [*theirs, *again.images], strict=True):
        assert torch.equal(a, b)
        assert a.stride() == b.stride()


def test_no_pool() -> None:
    random = torch.get_rng_state()
    assert torch.equal(exchange(ImagePool(0), image(7)), image(7))
    assert torch.equal(torch.get_rng_state(), random)
