"""A linear-chain conditional random field: tags of a row that are probable together, not each by itself.

Tensor letters: B rows, W words, K tags.
"""

from typing import final

import torch
from torch import Tensor, nn

_SMALLEST = 1e-30  # of a sum of exponentials, the largest being 1
_NEVER = -1e4  # what a transition that cannot be scores


@final
class LinearChainCrf(nn.Module):
    """Scores of tags beside each other, and with them the likelihood of a row's tags and its best ones.

    The score of a row's tags is the sum of their emissions, of the transitions from each to the next, and of
    the first and the last one's place.

    Source: Lafferty, McCallum & Pereira 2001 (ICML, 282-289), in the form of Lample et al. 2016 (arXiv
    1603.01360), section 2.2. The forward algorithm works on exponentials, scaled at each word (Rabiner 1989,
    doi 10.1109/5.18626, section V.A): a product of matrices instead of a logarithm of K x K sums.
    Departures: transitions begin at zero.

    Args:
        num_tags: K.
        allowed: (K + 1, K + 1) bool, whether a tag may follow another when tags are chosen, row and column K
            standing for the beginning and the end of a row; None: any may.
    """

    def __init__(self, num_tags: int, allowed: Tensor | None = None) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(num_tags, num_tags))  # from row to column
        self.first = nn.Parameter(torch.zeros(num_tags))
        self.last = nn.Parameter(torch.zeros(num_tags))
        barred = None if allowed is None else torch.where(allowed, 0.0, _NEVER)
        self.barred: Tensor | None
        self.register_buffer("barred", barred, persistent=False)

    def losses(self, emissions: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Negative log-likelihood of the labels of each row, (B,) float32.

        Args:
            emissions: (B, W, K) float32.
            labels: (B, W) int64, in [0, K) where the mask is.
            mask: (B, W) bool, True on the words, which come first; at least one in a row.
        """
        with torch.autocast(emissions.device.type, enabled=False):
            return self._log_sum(emissions, mask) - self._score(emissions, labels.clamp(min=0), mask)

    def best(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """The tags of each row that score highest together (Viterbi 1967), (B, W) int64; 0 on padding."""
        transitions, first, last = self.transitions, self.first, self.last
        if self.barred is not None:
            transitions = transitions + self.barred[:-1, :-1]
            first, last = first + self.barred[-1, :-1], last + self.barred[:-1, -1]
        score = first + emissions[:, 0]  # (B, K) of the best tags up to here that end with each
        came_from: list[Tensor] = []
        stay = torch.arange(score.shape[1], device=score.device)
        for word in range(1, emissions.shape[1]):
            made, source = (score[:, :, None] + transitions).max(1)  # (B, K)
            inside = mask[:, word, None]
            score = torch.where(inside, made + emissions[:, word], score)
            came_from.append(torch.where(inside, source, stay))
        tag = (score + last).argmax(1)
        tags = [tag]
        for source in reversed(came_from):
            tag = source.gather(1, tag[:, None])[:, 0]
            tags.append(tag)
        return torch.stack(tags[::-1], 1) * mask

    def _log_sum(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Logarithm of the sum over all tags of a row of the exponential of their score, (B,)."""
        largest = self.transitions.detach().max()
        weights = (self.transitions.float() - largest).exp()  # (K, K) in (0, 1], sharded bf16 weights too
        score = self.first + emissions[:, 0]  # (B, K)
        for word in range(1, emissions.shape[1]):
            top = score.detach().amax(1, keepdim=True)
            total = (score - top).exp() @ weights
            made = total.clamp(min=_SMALLEST).log() + top + largest + emissions[:, word]
            score = torch.where(mask[:, word, None], made, score)
        return (score + self.last).logsumexp(1)

    def _score(self, emissions: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Score of the labels of each row, (B,)."""
        emitted = (emissions.gather(2, labels[:, :, None])[:, :, 0] * mask).sum(1)
        followed = (self.transitions[labels[:, :-1], labels[:, 1:]] * mask[:, 1:]).sum(1)
        end = labels.gather(1, mask.sum(1, keepdim=True) - 1)[:, 0]
        return self.first[labels[:, 0]] + emitted + followed + self.last[end]


@final
class ApartTags(nn.Module):
    """The same for tags that are chosen each by itself: cross entropy and the most probable tag."""

    def losses(self, emissions: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Negative log-likelihood of the labels of each row, (B,) float32; arguments as of a CRF."""
        log = emissions.log_softmax(2).gather(2, labels.clamp(min=0)[:, :, None])[:, :, 0]
        return -(log * mask).sum(1)

    def best(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """The tag of each word that scores highest, (B, W) int64; 0 on padding."""
        return emissions.argmax(2) * mask
