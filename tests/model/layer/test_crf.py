"""The conditional random field against every sequence of tags there is."""

import itertools

import pytest
import torch
from torch import Tensor

from aiexp.model.layer.crf import ApartTags, LinearChainCrf

K, LENGTHS = 3, (4, 1, 3)


@pytest.fixture
def crf() -> LinearChainCrf:
    torch.manual_seed(0)
    made = LinearChainCrf(K)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=2)
    return made


def case() -> tuple[Tensor, Tensor, Tensor]:
    """Emissions, labels and mask of rows of several lengths."""
    torch.manual_seed(1)
    width = max(LENGTHS)
    mask = torch.arange(width) < torch.tensor(LENGTHS)[:, None]
    emissions = 3 * torch.randn(len(LENGTHS), width, K)
    labels = torch.randint(0, K, (len(LENGTHS), width)).masked_fill(~mask, -100)
    return emissions, labels, mask


def score(crf: LinearChainCrf, emissions: Tensor, tags: tuple[int, ...]) -> Tensor:
    """Of the tags of one row, term by term."""
    total = crf.first[tags[0]] + crf.last[tags[-1]]
    total = total + sum(emissions[word, tag] for word, tag in enumerate(tags))
    return total + sum(crf.transitions[a, b] for a, b in itertools.pairwise(tags))


def everyone(length: int) -> list[tuple[int, ...]]:
    return list(itertools.product(range(K), repeat=length))


def test_the_likelihood_is_that_of_all_sequences_and_so_are_its_gradients(crf: LinearChainCrf) -> None:
    emissions, labels, mask = case()
    emissions.requires_grad_()
    losses = crf.losses(emissions, labels, mask)
    wanted = torch.stack([
        torch.stack([score(crf, row, tags) for tags in everyone(length)]).logsumexp(0)
        - score(crf, row, tuple(those[:length].tolist()))
        for row, those, length in zip(emissions, labels, LENGTHS, strict=True)
    ])  # fmt: skip
    torch.testing.assert_close(losses, wanted, rtol=1e-5, atol=1e-4)
    of = [emissions, *crf.parameters()]
    made = torch.autograd.grad(losses.sum(), of)
    torch.testing.assert_close(made, torch.autograd.grad(wanted.sum(), of), rtol=1e-4, atol=1e-5)
    assert made[0][~mask].eq(0).all()


def test_the_best_tags_are_those_of_the_highest_score(crf: LinearChainCrf) -> None:
    emissions, _, mask = case()
    for row, those, length in zip(crf.best(emissions, mask), emissions, LENGTHS, strict=True):
        best = max(everyone(length), key=lambda tags: score(crf, those, tags).item())
        assert tuple(row[:length].tolist()) == best
        assert row[length:].eq(0).all()


def test_what_may_not_follow_is_never_chosen_but_counts_in_the_likelihood(crf: LinearChainCrf) -> None:
    emissions, labels, mask = case()
    allowed = torch.ones(K + 1, K + 1, dtype=torch.bool)
    allowed[0, 1] = allowed[K, 2] = allowed[1, K] = False  # 0 then 1; 2 at the beginning; 1 at the end
    barring = LinearChainCrf(K, allowed)
    barring.load_state_dict(crf.state_dict())
    torch.testing.assert_close(barring.losses(emissions, labels, mask), crf.losses(emissions, labels, mask))
    for row, those, length in zip(barring.best(emissions, mask), emissions, LENGTHS, strict=True):
        left = [
            tags for tags in everyone(length)
            if tags[0] != 2 and tags[-1] != 1 and (0, 1) not in itertools.pairwise(tags)
        ]  # fmt: skip
        assert tuple(row[:length].tolist()) == max(left, key=lambda t: score(crf, those, t).item())


def test_scores_far_apart_stay_finite(crf: LinearChainCrf) -> None:
    emissions, labels, mask = case()
    emissions = (100 * emissions).requires_grad_()
    losses = crf.losses(emissions, labels, mask)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert emissions.grad is not None
    assert emissions.grad.isfinite().all()


def test_tags_apart_are_a_field_without_transitions() -> None:
    emissions, labels, mask = case()
    torch.testing.assert_close(
        ApartTags().losses(emissions, labels, mask), LinearChainCrf(K).losses(emissions, labels, mask)
    )
    apart, field = ApartTags().best(emissions, mask), LinearChainCrf(K).best(emissions, mask)
    assert torch.equal(apart, field)
