"""Reads `Bert` in Hugging Face's layout: config.json, model.safetensors, tokenizer.json.

Ours                                  Theirs (an optional "bert." in front; "gamma", "beta" in old files)
embedding.{word,position}.weight      embeddings.{word,position}_embeddings.weight
embedding.segment.weight              embeddings.token_type_embeddings.weight
embedding.norm.*                      embeddings.LayerNorm.*
layers.i.query_key_value.*            encoder.layer.i.attention.self.{query,key,value}.*, stacked
layers.i.attention_output.*           encoder.layer.i.attention.output.dense.*
layers.i.attention_norm.*             encoder.layer.i.attention.output.LayerNorm.*
layers.i.intermediate.*               encoder.layer.i.intermediate.dense.*
layers.i.output.*                     encoder.layer.i.output.dense.*
layers.i.output_norm.*                encoder.layer.i.output.LayerNorm.*
pooler.*                              pooler.dense.*
"""

import json
import logging
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from aiexp.errors import DataError, SecurityError
from aiexp.model.carried import carried_folder, carry, is_carried
from aiexp.model.text.bert import ACTIVATIONS, FIELDS, Bert, Shape
from aiexp.model.text.tokenizer import load_tokenizer
from aiexp.model.trained import trained_network
from aiexp.source.fetch import fetch
from aiexp.storage.mark import is_run_directory

PARTS = {  # order matters: the longer of two names that share a beginning comes first
    "embedding.word.": ["embeddings.word_embeddings."],
    "embedding.position.": ["embeddings.position_embeddings."],
    "embedding.segment.": ["embeddings.token_type_embeddings."],
    "embedding.norm.": ["embeddings.LayerNorm."],
    "query_key_value.": [f"attention.self.{part}." for part in ("query", "key", "value")],
    "attention_output.": ["attention.output.dense."],
    "attention_norm.": ["attention.output.LayerNorm."],
    "intermediate.": ["intermediate.dense."],
    "output.": ["output.dense."],
    "output_norm.": ["output.LayerNorm."],
    "pooler.": ["pooler.dense."],
}
DESCRIPTION = ("config.json", "tokenizer.json", "vocab.txt", "tokenizer_config.json")
MAX_CONFIG_BYTES = 1_000_000
OPTIONAL = ("type_vocab_size", "activation", "layer_norm_eps", "initializer_range", "pad_token_id")


def fetched_bert(
    *, source: str, path: str | None, dropout: float | None, attention_dropout: float | None
) -> Bert:
    """A pretrained `Bert` from a source that `aiexp data list` shows, or of your own.

    Args:
        source: Name of the weights in `aiexp data list`.
        path: A run that has trained one, or a folder in Hugging Face's layout, instead; None for the source.
        dropout: Probability of dropping a hidden unit, [0, 1); None takes the one of the pretrained model.
        attention_dropout: Probability of dropping an attention weight, [0, 1); None as above.

    Raises:
        DataError: nothing could be fetched, or it is damaged or no BERT.
    """
    folder = carried_folder() or (fetch(source) if path is None else own_folder(path))
    return load_bert(folder, dropout=dropout, attention_dropout=attention_dropout)


def own_folder(path: str) -> Path:
    """The folder that a user names; raises `DataError` if there is none."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"there is no folder '{path}'", where="path", fix="name a run, or a folder of a model"
        )
    return folder


def load_bert(folder: Path, *, dropout: float | None, attention_dropout: float | None) -> Bert:
    """The `Bert` in a folder of Hugging Face's layout; sizes only when the default device is "meta".

    Args:
        folder: Holds config.json, model.safetensors and tokenizer.json or vocab.txt; or a run that has
            trained a `Bert`.
        dropout: As in `fetched_bert`.
        attention_dropout: As in `fetched_bert`.

    Raises:
        DataError: a file is missing or damaged, or the weights do not fit the config.
        SecurityError: the folder has pickled weights only.
    """
    trained = None
    if is_run_directory(folder):
        trained = trained_network(folder)
        folder = trained.folder
    model = _without_weights(folder, dropout, attention_dropout)
    carry(folder, DESCRIPTION)
    if is_carried():
        _put(model, _blank(model), folder)
        return model
    if torch.get_default_device().type == "meta":  # only sizes are asked for
        return model
    if trained is not None:
        _put(model, dict(trained.weights), trained.folder.parent)
        return model
    path = weights_file(folder)
    try:
        theirs = load_file(path)
    except SafetensorError as error:
        raise DataError(
            f"the weights are damaged: {error}", where=str(path), fix="fetch them again"
        ) from None
    _assign(model, theirs, path)
    return model


def _without_weights(folder: Path, dropout: float | None, attention_dropout: float | None) -> Bert:
    """The `Bert` that the files in a folder describe, on the meta device."""
    config = read_config(folder)
    if dropout is None:
        dropout = float(config.get("hidden_dropout_prob", 0.1))
    if attention_dropout is None:
        attention_dropout = float(config.get("attention_probs_dropout_prob", 0.1))
    with torch.device("meta"):  # the drawn weights would be thrown away
        return Bert(
            _shape(config, folder / "config.json"),
            tokenizer=load_tokenizer(folder),
            dropout=dropout,
            attention_dropout=attention_dropout,
        )


def weights_file(folder: Path) -> Path:
    """The path of model.safetensors in `folder`.

    Raises:
        DataError: there are no weights.
        SecurityError: there are pickled weights only; loading a pickle can run any code.
    """
    path = folder / "model.safetensors"
    if path.is_file():
        return path
    pickles = sorted(p.name for p in folder.glob("*") if p.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl"))
    if pickles:
        fix = "convert them with transformers' save_pretrained to model.safetensors"
        raise SecurityError(f"pickled weights are never loaded: {pickles[0]}", where=str(folder), fix=fix)
    raise DataError(
        "model.safetensors is missing", where=str(folder), fix="give a folder with safetensors weights"
    )


def their_names(name: str) -> list[str]:
    """Their names for our parameter: three for a stacked projection, else one."""
    prefix = ""
    if name.startswith("layers."):
        _, index, name = name.split(".", 2)
        prefix = f"encoder.layer.{index}."
    ours = next(part for part in PARTS if name.startswith(part))
    return [prefix + theirs + name.removeprefix(ours) for theirs in PARTS[ours]]


def _assign(model: Bert, theirs: dict[str, Tensor], path: Path) -> None:
    """Puts tensors under their names into a model built on the meta device."""
    has_prefix = any(name.startswith("bert.") for name in theirs)
    theirs = {
        _modern(name): value for name, value in theirs.items() if not has_prefix or name.startswith("bert.")
    }
    if not any(name.startswith("pooler.") for name in theirs):
        logging.getLogger(__name__).warning("%s has no pooler; it starts from random weights", path)
        size, std = model.hidden_size, model.shape.initializer_range
        theirs |= {
            "pooler.dense.weight": torch.randn(size, size) * std,
            "pooler.dense.bias": torch.zeros(size),
        }
    expected = model.state_dict()
    missing = [key for name in expected for key in their_names(name) if key not in theirs]
    if missing:
        raise DataError(f"{len(missing)} weights are missing: {first_names(missing)}", where=str(path))
    state = {name: torch.cat([theirs[key] for key in their_names(name)]).float() for name in expected}
    _put(model, state, path)


def _blank(model: Bert) -> dict[str, Tensor]:
    """Memory for the weights of a model built on the meta device; `to_empty` imports sympy, for a second."""
    return {name: torch.empty(value.shape, dtype=value.dtype) for name, value in model.state_dict().items()}


def _put(model: Bert, state: dict[str, Tensor], where: Path) -> None:
    """Puts tensors under our names into a model built on the meta device."""
    expected = model.state_dict()
    if missing := [name for name in expected if name not in state]:
        raise DataError(f"{len(missing)} weights are missing: {first_names(missing)}", where=str(where))
    wrong = [
        f"{name} {tuple(state[name].shape)} for {tuple(value.shape)}"
        for name, value in expected.items()
        if state[name].shape != value.shape
    ]
    if wrong:
        raise DataError(
            f"{len(wrong)} weights have a shape unlike config.json's: {first_names(wrong)}", where=str(where)
        )
    model.load_state_dict({name: state[name] for name in expected}, assign=True)
    model.requires_grad_(True)


def _modern(name: str) -> str:
    """Their current name for one of an old file."""
    name = name.removeprefix("bert.")
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def first_names(names: list[str]) -> str:
    """The first five names, and dots when there are more."""
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def read_config(folder: Path) -> dict[str, Any]:
    """config.json as a dict.

    Raises:
        DataError: it is missing, damaged, or larger than any description of a model.
    """
    path = folder / "config.json"
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise DataError(f"config.json has more than {MAX_CONFIG_BYTES:,} bytes", where=str(path))
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("config.json is missing", where=str(folder)) from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise DataError(f"not JSON: {reason}", where=str(path)) from None
    if not isinstance(config, dict):
        raise DataError("not a JSON object", where=str(path))
    return config


def _shape(config: dict[str, Any], path: Path) -> Shape:
    """The sizes that config.json names."""
    kind = config.get("model_type")
    if (
        kind != "bert"
        or config.get("position_embedding_type", "absolute") != "absolute"
        or config.get("is_decoder")
    ):
        fix = "use model=hub model.name=... for encoders other than BERT"
        raise DataError(f"the model is of type {kind}, not a plain BERT encoder", where=str(path), fix=fix)
    missing = [theirs for ours, theirs in FIELDS.items() if theirs not in config and ours not in OPTIONAL]
    if missing:
        raise DataError(f"{len(missing)} sizes are missing: {first_names(missing)}", where=str(path))
    if config.get("hidden_act", "gelu") not in ACTIVATIONS:
        raise DataError(
            f"activation {config['hidden_act']} is unknown",
            where=f"{path}: hidden_act",
            fix=", ".join(ACTIVATIONS),
        )
    return Shape(
        **{ours: config[theirs] for ours, theirs in FIELDS.items() if config.get(theirs) is not None}
    )
