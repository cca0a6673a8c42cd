"""Which tokens of a batch are hidden, and what stands in their place.

Tensor letters: `B` windows, `S` tokens of a sequence, `K` most hidden ones.
"""

from typing import Annotated, Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiexp.dataset.draws import uniforms
from aiexp.errors import ConfigError
from aiexp.ranges import NonNegativeInt, Range
from aiexp.task.pretraining.token_kinds import TokenKinds

IGNORED = -100  # target of a place that is none
AROUND = 2  # tokens of every sequence that are never hidden: its beginning and its end
_NEVER = 2.0  # behind every uniform number
Fraction = Annotated[float, Range("[0, 1]")]


@final
class Masking:
    """Hides tokens, anew in each batch, as a function of the seed and the batch's number.

    Source: Devlin et al. 2018 (arXiv 1810.04805), section 3.1: of 15 % of the tokens 80 % become [MASK], 10 %
    another token, 10 % stay; whole words as in its code of 2019; anew in each pass: Liu et al. 2019 (arXiv
    1907.11692), section 4.1.
    Departures: of whole words the first one that would be too many ends the choice, and so a little less than
    the rate is hidden; it is not skipped for shorter ones.

    Args:
        rate: Share of the tokens that are to be guessed.
        mask_share: Of these, share in whose place the mask stands.
        random_share: Of these, share in whose place a random token stands; the others stay.
        whole_words: Whether all pieces of a word are hidden together.
        seed: Of the draws.

    Raises:
        ConfigError: the shares are more than 1 together.
    """

    def __init__(
        self, *, rate: Annotated[float, Range("(0, 1)")], mask_share: Fraction, random_share: Fraction,
        whole_words: bool, seed: NonNegativeInt,
    ) -> None:  # fmt: skip
        if mask_share + random_share > 1:
            raise ConfigError(
                f"mask_share and random_share add up to {mask_share + random_share:g}",
                where="masking.mask_share", fix="at most 1 together",
            )  # fmt: skip
        self.rate, self.mask_share, self.random_share = rate, mask_share, random_share
        self.whole_words, self.seed = whole_words, seed

    def check(self, kinds: TokenKinds) -> None:
        """Raises `ConfigError` where whole words are wanted of a vocabulary that does not mark them."""
        if self.whole_words and kinds.goes_on is None:
            raise ConfigError(
                "the vocabulary does not say which tokens go on with a word", where="masking.whole_words",
                fix="masking.whole_words=false, or dataset.vocabulary=wordpiece",
            )  # fmt: skip

    def __call__(self, batch: dict[str, Tensor], kinds: TokenKinds, *key: int) -> dict[str, Tensor]:
        """The batch with some of its tokens hidden.

        Args:
            batch: `input_ids`, (B, S) int64, and others, which stay.
            kinds: Of the tokens.
            key: What the draws depend on beside the seed: the number of the batch, and a number > 0.

        Returns:
            `input_ids` with other tokens; `places`, (B, K) int64 in [0, S); `targets`, (B, K) int64, what
            stood there, or `IGNORED` where there is no such place.
        """
        ids: NDArray[np.int64] = batch["input_ids"].numpy()
        rows, length = ids.shape
        most = self.count(length - AROUND)
        draws = uniforms(rows * (length + 2 * most), self.seed, *key)
        keys, actions, others = np.split(draws, np.cumsum([rows * length, rows * most]))
        places, is_place = self._places(ids, keys.reshape(ids.shape), most, kinds)
        before = np.take_along_axis(ids, places, 1)
        ordinary = np.flatnonzero(kinds.is_ordinary)
        actions, random = actions.reshape(rows, most), ordinary[(others * len(ordinary)).astype(np.int64)]
        after = np.where(actions < self.mask_share + self.random_share, random.reshape(rows, most), before)
        after[actions < self.mask_share] = kinds.mask
        hidden = ids.copy()
        row, column = np.nonzero(is_place)
        hidden[row, places[row, column]] = after[row, column]
        made: dict[str, Any] = {
            "input_ids": hidden, "places": places, "targets": np.where(is_place, before, IGNORED),
        }  # fmt: skip
        return batch | {name: torch.from_numpy(value) for name, value in made.items()}

    def count(self, tokens: Any) -> Any:
        """How many of so many tokens are hidden."""
        return np.maximum(np.round(self.rate * np.asarray(tokens)), 1).astype(np.int64)

    def _places(
        self, ids: NDArray[np.int64], keys: NDArray[np.float64], most: int, kinds: TokenKinds
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(B, K) places in random order, and which of them are to be guessed."""
        if self.whole_words and kinds.goes_on is not None:
            first = np.where(kinds.goes_on[ids], 0, np.arange(ids.shape[1]))
            keys = np.take_along_axis(keys, np.maximum.accumulate(first, 1), 1)  # one for each word
        keys = np.where(kinds.is_ordinary[ids], keys, _NEVER)
        order = np.argsort(keys, 1, kind="stable")
        in_order = np.take_along_axis(keys, order, 1)
        allowed = self.count(kinds.is_ordinary[ids].sum(1))[:, None]  # (B, 1)
        is_place = (np.arange(most) < allowed) & (in_order[:, :most] < _NEVER)
        if (
            self.whole_words
        ):  # the pieces of a word stand side by side: one that is not all within is left out
            is_place &= in_order[:, :most] < np.take_along_axis(in_order, allowed, 1)
        return np.where(is_place, order[:, :most], 0), is_place
