"""An exponential moving average of a network's weights: what it makes varies less than the network's own."""

import copy
from typing import Any, final

import torch
from torch import Tensor, nn


@final
class MovingAverage(nn.Module):
    """A copy of a network that follows it; call it like the network. As a submodule it is in checkpoints.

    Source: for generators Yazici et al. 2018 (arXiv 1806.04498). The first weights were noise and are soon
    forgotten: decay = min(decay, (1 + n) / (10 + n)) after n updates, as in TensorFlow's.

    Args:
        network: Followed, not kept.
        decay: Factor on the past at each update, in (0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay
        self.num_updates: Tensor
        self.register_buffer("num_updates", torch.tensor(0))

    def forward(self, *arguments: Any) -> Any:
        """What the averaged network makes of the arguments."""
        return self.network(*arguments)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Moves parameters and running statistics towards those of `network`."""
        self.num_updates += 1
        count = self.num_updates.double()  # where it is: reading it would wait for a GPU
        weight = (1 - torch.clamp((1 + count) / (10 + count), max=self.decay)).float()
        means = self.network.state_dict()
        for name, value in network.state_dict().items():
            mean = means[name]
            if mean.is_floating_point():
                mean.lerp_(value, weight.to(mean.dtype))
            else:  # batch norm counts its batches
                mean.copy_(value)
