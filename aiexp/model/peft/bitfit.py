"""Only the biases learn."""

from typing import final

from torch import nn

from aiexp.model.peft.base import Peft, freeze, unfit


@final
class BitFit(Peft):
    """Bias-term fine-tuning: what is added to the outputs of layers and norms learns, nothing else.

    Source: Ben Zaken et al. 2021 (arXiv 2106.10199), section 3. Departures: none.

    Raises:
        ConfigError: when applied, of a network without biases.
    """

    def apply(self, model: nn.Module) -> None:
        """Freezes all but the biases."""
        freeze(model)
        biases = [p for name, p in model.named_parameters() if name.rpartition(".")[2] == "bias"]
        if not biases:
            raise unfit(model, "has no biases, which alone would learn")
        for bias in biases:
            bias.requires_grad_(True)
