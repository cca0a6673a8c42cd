"""Sequences of windows of running text: one window, or two segments that may or may not belong together.

Tensor letters: `B` windows, `T` tokens of each, `S` tokens of a sequence.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiexp.dataset.draws import uniforms
from aiexp.task.pretraining.token_kinds import TokenKinds

ALONE, PAIR = 2, 3  # tokens that a sequence has beside those of its windows


def alone(windows: Tensor, kinds: TokenKinds) -> dict[str, Tensor]:
    """[CLS] window [SEP]: `input_ids`, (B, T + 2) int64, of (B, T)."""
    ends = [torch.full((len(windows), 1), token) for token in (kinds.cls, kinds.sep)]
    return {"input_ids": torch.cat([ends[0], windows, ends[1]], 1)}


def pairs(windows: Tensor, kinds: TokenKinds, *key: int) -> dict[str, Tensor]:
    """[CLS] A [SEP] B [SEP], where B follows A in every second sequence, and else is of another window.

    Source: Devlin et al. 2018 (arXiv 1810.04805), section 3.1 and appendix A.2.
    Departures: a window is cut where a sentence ends, or in its middle; B of another window is as long as the
    shorter of both, and so is one that follows, so that lengths say nothing.

    Args:
        windows: (B, T) int64; the other window is half the batch away.
        kinds: Of the tokens.
        key: What the draws depend on.

    Returns:
        `input_ids` and `segments`, (B, T + 3) int64; `attention_mask`, (B, T + 3) bool; `is_next`, (B,)
        int64.
    """
    ids: NDArray[np.int64] = windows.numpy()
    rows, length = ids.shape
    cut = cuts(ids, kinds)  # (B,)
    other = (np.arange(rows) + rows // 2) % rows
    is_next = (uniforms(rows, *key) < 0.5) | (rows == 1)
    size = length - np.maximum(cut, cut[other])[:, None]  # (B, 1) of B
    source, start = np.where(is_next, np.arange(rows), other), np.where(is_next, cut, cut[other])
    place, cut = np.arange(length + PAIR), cut[:, None]  # (S,), (B, 1)
    first = np.take_along_axis(ids, np.broadcast_to(np.clip(place - 1, 0, length - 1), (rows, len(place))), 1)
    second = ids[source[:, None], np.clip(start[:, None] + place - (cut + 2), 0, length - 1)]
    last = cut + 2 + size
    made: dict[str, Any] = {
        "input_ids": np.select(
            [place == 0, place <= cut, (place == cut + 1) | (place == last), place < last],
            [np.full_like(first, kinds.cls), first, np.full_like(first, kinds.sep), second], kinds.pad,
        ),
        "segments": ((place > cut + 1) & (place <= last)).astype(np.int64),
        "attention_mask": place <= last,
        "is_next": is_next.astype(np.int64),
    }  # fmt: skip
    return {name: torch.from_numpy(value) for name, value in made.items()}


def cuts(ids: NDArray[np.int64], kinds: TokenKinds) -> NDArray[np.int64]:
    """(B,) where the second segment of each (B, T) window begins.

    Behind the end of a sentence that is nearest the middle, in the middle half; else in the middle.
    """
    length = ids.shape[1]
    place, middle = np.arange(1, length + 1), length / 2
    distance = np.where(kinds.ends_sentence[ids], np.abs(place - middle), np.inf)  # (B, T)
    nearest = distance.argmin(1)
    is_near = distance[np.arange(len(ids)), nearest] <= length / 4
    return np.where(is_near, nearest + 1, (length + 1) // 2).astype(np.int64)
