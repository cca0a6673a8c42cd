"""An encoder of ours and a linear head as a model of transformers, with its tokenizer."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from aiexp.dataset.text.ragged import pad_id
from aiexp.errors import ConfigError, reason_of
from aiexp.model.peft.merging import is_added
from aiexp.model.text.bert import Bert, sizes
from aiexp.model.text.bert_weights import first_names, their_names
from aiexp.model.text.hub import HubEncoder

SPECIAL = {  # role: how tokenizers call its token
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}


def sequence_classifier(encoder: Any, head: Any, class_names: list[str]) -> Any:
    """The `AutoModelForSequenceClassification` that is `head(encoder.sentence_vectors(...))`.

    Args:
        encoder: A `Bert` or a `HubEncoder`.
        head: A linear layer.
        class_names: One for each of its outputs.

    Raises:
        ConfigError: transformers has no such model.
    """
    from transformers import AutoModelForSequenceClassification, BertConfig

    if not isinstance(encoder, Bert | HubEncoder) or not isinstance(head, nn.Linear):
        raise no_form(f"{type(encoder).__name__} is no text encoder of transformers")
    if any(map(is_added, encoder.state_dict())):
        raise no_form("transformers has no classifier with a prefix or a prompt beside its weights")
    config: Any = BertConfig(**sizes(encoder)) if isinstance(encoder, Bert) else encoder.model.config
    config = type(config).from_dict(config.to_dict())
    config.id2label = dict(enumerate(class_names))
    config.label2id = {name: number for number, name in enumerate(class_names)}
    config.problem_type = "single_label_classification"
    try:
        with torch.random.fork_rng():
            model: Any = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    except ValueError as error:
        raise no_form(f"transformers has no classifier of this kind: {reason_of(error)}") from error
    state = their_state(encoder, head, model)
    wanted = model.state_dict()
    wrong = [name for name in {**wanted, **state} if name not in state or name not in wanted]
    if wrong:
        raise no_form(f"the head of {type(model).__name__} is another one than ours: {first_names(wrong)}")
    model.load_state_dict(state)
    return model.eval()


def no_form(what: str) -> ConfigError:
    """The error for a task that cannot be a model of transformers."""
    return ConfigError(what, where="--to huggingface", fix="--to onnx, torch_export or weights")


def their_state(encoder: Bert | HubEncoder, head: nn.Linear, model: Any) -> dict[str, Tensor]:
    """Our weights under the names that the model has for them.

    A head of two layers, as RoBERTa's, has our pooler for the first: both are a dense layer and tanh.
    """
    prefix, wanted = f"{model.base_model_prefix}.", model.state_dict()
    state: dict[str, Tensor] = {}
    if isinstance(encoder, Bert):
        for name, value in encoder.state_dict().items():
            names = their_names(name)
            state |= {
                prefix + theirs: part for theirs, part in zip(names, value.chunk(len(names)), strict=True)
            }
    else:
        state |= {prefix + name: value for name, value in encoder.model.state_dict().items()}
        if encoder.pooler is not None:
            state |= {f"{prefix}pooler.{name}": value for name, value in encoder.pooler.state_dict().items()}
    last = "classifier.out_proj." if "classifier.out_proj.weight" in wanted else "classifier."
    if last != "classifier.":
        for name in ("weight", "bias"):
            pooled = state.pop(f"{prefix}pooler.dense.{name}", None)
            if pooled is not None:
                state[f"classifier.dense.{name}"] = pooled
    state |= {last + name: value for name, value in head.state_dict().items()}
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def write_tokenizer(tokenizer: Tokenizer, max_tokens: int, folder: Path) -> None:
    """Writes a tokenizer as `AutoTokenizer` reads it: special tokens, cut to `max_tokens`."""
    ours = Tokenizer.from_str(tokenizer.to_str())
    ours.no_truncation()
    ours.no_padding()
    ours.save(str(folder / "tokenizer.json"))
    special = {
        role: next((token for token in names if ours.token_to_id(token) is not None), None)
        for role, names in SPECIAL.items()
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_tokens,
        "model_input_names": ["input_ids", "attention_mask"],
        "pad_token": ours.id_to_token(pad_id(ours)),
        **{role: token for role, token in special.items() if token is not None},
    }
    text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
