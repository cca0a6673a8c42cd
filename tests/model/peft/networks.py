"""Small transformers that adapters are put on: ours, and those of transformers from a folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aiexp.model.peft.base import Peft
from aiexp.model.peft.bitfit import BitFit
from aiexp.model.peft.ia3 import Ia3
from aiexp.model.peft.lora import Lora
from aiexp.model.peft.prefix import Prefix
from aiexp.model.peft.prompt import Prompt
from aiexp.model.text.bert import Bert, random_bert
from aiexp.model.text.hub import HubEncoder
from tests.model.language.test_networks import CONTEXT, VOCABULARY, gpt, hub, save_causal
from tests.model.saved_bert import save_bert


def bert() -> Bert:
    torch.manual_seed(0)
    made = random_bert(
        num_layers=2, num_heads=2, hidden_size=16, intermediate_size=24, max_tokens=40, dropout=0.0,
        attention_dropout=0.0,
    )  # fmt: skip
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return made


def hub_encoder(folder: Path) -> HubEncoder:
    save_bert(bert(), folder)
    return HubEncoder(name=str(folder), revision=None, dropout=0.0, attention_dropout=0.0)


NETWORKS: dict[str, Callable[[Path], Any]] = {
    "bert": lambda _: bert(),
    "gpt": lambda _: gpt(),
    "rotary gpt": lambda _: gpt(positions="rotary", tie_weights=False),
    "hub encoder": hub_encoder,
    "hub causal": lambda folder: hub(save_causal(folder)),
}
ENCODERS, DECODERS = ("bert", "hub encoder"), ("gpt", "rotary gpt", "hub causal")
KINDS: dict[str, Callable[[], Peft]] = {
    "lora": lambda: Lora(rank=2, alpha=4.0, dropout=0.0, target_modules="attention"),
    "lora everywhere": lambda: Lora(rank=2, alpha=4.0, dropout=0.0, target_modules="all"),
    "ia3": Ia3,
    "bitfit": BitFit,
    "prefix": lambda: Prefix(length=3, std=1.0),
    "prompt": lambda: Prompt(length=2),
}


def adapted(network: str, kind: str, folder: Path) -> Any:
    """A network with adapters that have learned something."""
    model = NETWORKS[network](folder)
    KINDS[kind]().apply(model)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape) * 0.3)
    return model.eval()


def answer(model: Any) -> Tensor:
    """What a network makes of three texts."""
    ids = torch.randint(0, VOCABULARY, (3, CONTEXT - 2), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return model.sentence_vectors(ids) if hasattr(model, "sentence_vectors") else model(ids)
