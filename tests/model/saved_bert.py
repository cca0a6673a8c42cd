"""Writes a `Bert` in Hugging Face's layout, for tests that read one."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from aiexp.model.text.bert import Bert
from aiexp.model.text.bert_weights import FIELDS, their_names


def save_bert(model: Bert, folder: Path) -> None:
    """Writes `model` so that `load_bert` and `transformers.AutoModel.from_pretrained(folder)` read it.

    Args:
        model: What to write; moved to the CPU and to contiguous tensors on the way.
        folder: Made when missing; files of the same names are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {theirs: getattr(model.shape, ours) for ours, theirs in FIELDS.items()}
    config |= {"architectures": ["BertModel"], "model_type": "bert"}
    config |= {"hidden_dropout_prob": model.dropout, "attention_probs_dropout_prob": model.attention_dropout}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    model.tokenizer.save(str(folder / "tokenizer.json"))
    specials: dict[str, Any] = {
        f"{word.strip('[]').lower()}_token": word for word in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    }
    settings = specials | {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": model.max_tokens}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    save_file(to_hub_layout(model.state_dict()), folder / "model.safetensors", metadata={"format": "pt"})


def to_hub_layout(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict under their names; the stacked projection comes apart."""
    result: dict[str, Tensor] = {}
    for name, value in state.items():
        names = their_names(name)
        pieces = value.detach().cpu().chunk(len(names))
        result |= {key: piece.contiguous().clone() for key, piece in zip(names, pieces, strict=True)}
    return result
