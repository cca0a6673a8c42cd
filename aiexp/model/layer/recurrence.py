"""Recurrent layers of torch, in a precision that every device has."""

from typing import Any

import torch
from torch import Tensor, nn


def run(layers: nn.Module, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
    """`layers(x, state)`; on a CPU in float32, since an LSTM in bf16 is an error on one without AVX512-BF16.

    Args:
        layers: Of torch: an LSTM, a GRU or an RNN.
        x: (B, T, H).
        state: As the layers have it; None: zeros.
    """
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return layers(x, state)
    with torch.autocast("cpu", enabled=False):
        return layers(x.float(), state)
