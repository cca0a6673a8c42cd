"""Encoders by their name on the Hugging Face hub, or from a local folder in its layout.

Only safetensors weights are read, and code that comes with a model never runs.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import Tensor, nn

from aiexp.errors import DataError, SecurityError
from aiexp.model.carried import carried_folder, carry, is_carried
from aiexp.model.peft.attentions import add_prefixes
from aiexp.model.text.bert import Bert
from aiexp.model.text.bert_weights import first_names, load_bert, read_config, weights_file
from aiexp.model.trained import trained_network
from aiexp.ranges import Share
from aiexp.rundir.weights import fitting
from aiexp.source.download import is_offline
from aiexp.storage.mark import is_run_directory

FILES = [
    "config.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "*.model",
    "*.safetensors*",
]
HIDDEN_DROPOUT = ("hidden_dropout_prob", "hidden_dropout", "dropout", "dropout_rate", "mlp_dropout")
ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")


def hub_bert(
    *, name: str, revision: str | None, dropout: Share | None, attention_dropout: Share | None
) -> Bert:
    """Our `Bert` with weights from the hub; `transformers` is not imported.

    Args:
        name: `owner/name` on the hub, or a local folder with config.json and model.safetensors, or a run that
            has trained a BERT.
        revision: Commit, tag or branch; None is the newest. Ignored for a folder.
        dropout: Probability of dropping a hidden unit, [0, 1); None takes the model's own.
        attention_dropout: Probability of dropping an attention weight, [0, 1); None takes the model's own.

    Raises:
        DataError: not reachable and not in the cache, damaged, or no BERT.
        SecurityError: there are pickled weights only.
    """
    return load_bert(find_folder(name, revision), dropout=dropout, attention_dropout=attention_dropout)


@final
class HubEncoder(nn.Module):
    """Any text encoder that `transformers.AutoModel` knows, with the same interface as `Bert`.

    Importing `transformers` takes several seconds; `model=minilm` and `model=bert_base` do without.

    Args:
        name: `owner/name` on the hub, a local folder, or a run that has trained such an encoder.
        revision: Commit, tag or branch; None is the newest. Ignored for a folder.
        dropout: Probability of dropping a hidden unit, [0, 1); None takes the model's own.
        attention_dropout: Probability of dropping an attention weight, [0, 1); None takes the model's own.

    Raises:
        DataError: not reachable and not in the cache, damaged, or unknown to `transformers`.
        SecurityError: pickled weights only, or the model needs code of its own.
    """

    def __init__(
        self, *, name: str, revision: str | None, dropout: Share | None, attention_dropout: Share | None
    ) -> None:
        super().__init__()
        from transformers import AutoConfig, AutoModel, AutoTokenizer  # late: takes seconds to import
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        folder = find_folder(name, revision)
        trained = trained_network(folder) if is_run_directory(folder) else None
        if trained is not None:
            folder = trained.folder
        elif not is_carried():
            refuse_unsafe(folder)
        carry(folder, [name for name in FILES if "safetensors" not in name])
        try:
            config: Any = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            set_dropout(config, HIDDEN_DROPOUT, dropout)
            set_dropout(config, ATTENTION_DROPOUT, attention_dropout)
            self.model = load_weights(AutoModel, folder, config, is_bare=is_carried() or trained is not None)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise DataError(f"transformers cannot load the model: {error}", where=str(folder)) from error
        self.tokenizer = _backend(tokenizer, folder)
        self.hidden_size = int(config.hidden_size)
        self.num_layers = int(config.num_hidden_layers)
        self.max_tokens = min(tokenizer.model_max_length, getattr(config, "max_position_embeddings", 512))
        # Taken out of the model, whose forward would otherwise compute it as well.
        self.pooler: nn.Module | None = getattr(self.model, "pooler", None)
        if self.pooler is not None:
            self.model.pooler = None
        self.prompt: Any = None  # vectors before those of the tokens; see `add_prompt`
        if trained is not None:
            with fitting(
                DataError, "the run has trained another network", where=f"name={name}",
                fix="for a run of model=minilm or bert_tiny: model=minilm model.path=RUN",
            ):  # fmt: skip
                self.load_state_dict(dict(trained.weights))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Hidden states: (B, T) int64 ids and (B, T) bool mask to (B, T, H)."""
        mask = None if attention_mask is None else attention_mask.long()
        if self.prompt is None:
            return self.model(input_ids=input_ids, attention_mask=mask).last_hidden_state
        length = len(self.prompt)
        vectors = self.prompt.before(self.model.get_input_embeddings()(input_ids))
        mask = None if mask is None else F.pad(mask, (length, 0), value=1)
        return self.model(inputs_embeds=vectors, attention_mask=mask).last_hidden_state[:, length:]

    def sentence_vectors(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """`pool(forward(...))`: (B, H)."""
        return self.pool(self(input_ids, attention_mask))

    def pool(self, hidden: Tensor) -> Tensor:
        """Sentence vectors, by the model's own pooler or the first token; (B, T, H) to (B, H)."""
        if self.pooler is None:
            return hidden[:, 0]
        if isinstance(self.pooler, nn.Linear):  # ALBERT keeps the bare layer
            return torch.tanh(self.pooler(hidden[:, 0]))
        return self.pooler(hidden)

    def add_prefixes(self, make: Callable[[int, int], nn.Module]) -> None:
        """See `aiexp.model.peft.prefix.Prefixed`."""
        add_prefixes(self.model, make)

    def add_prompt(self, make: Callable[[nn.Embedding], nn.Module]) -> None:
        """See `aiexp.model.peft.prompt.Prompted`; the vectors take places of the longest text."""
        self.prompt = make(self.model.get_input_embeddings())
        self.max_tokens -= len(self.prompt)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters by depth: what comes before the layers, each layer, what comes after."""
        path = _layers_path(self.model, self.num_layers)
        groups: list[list[nn.Parameter]] = [[] for _ in range(self.num_layers + 2)]
        outside = 0
        for name, parameter in self.model.named_parameters():
            if name.startswith(path):
                groups[int(name.removeprefix(path).split(".")[0]) + 1].append(parameter)
                outside = self.num_layers + 1
            else:
                groups[outside].append(parameter)
        if self.pooler is not None:
            groups[-1].extend(self.pooler.parameters())
        if self.prompt is not None:
            groups[0].extend(self.prompt.parameters())
        return groups


def find_folder(name: str, revision: str | None) -> Path:
    """The local folder `name`, or a snapshot of that hub repository: no pickles, no code.

    `HF_HUB_OFFLINE=1` or `AIEXP_OFFLINE=1` uses the cache only.

    Raises:
        DataError: neither a folder nor a repository that can be had.
    """
    if (carried := carried_folder()) is not None:
        return carried
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(
            snapshot_download(name, revision=revision, allow_patterns=FILES, local_files_only=is_offline())
        )
    except HFValidationError:
        raise DataError(
            f"'{name}' is neither a folder nor a name on the hub",
            where="name",
            fix="give owner/name or a folder",
        ) from None
    except Exception as error:  # the client's errors share no base class with those of its HTTP library
        reason = str(error).strip().split("\n")[0]
        raise DataError(
            f"'{name}' could not be downloaded and is not in the cache: {reason}",
            where="name",
            fix="check the name and the network, or give a local folder with safetensors weights",
        ) from error


def refuse_unsafe(folder: Path) -> None:
    """Stops for pickles and for code of the model's own; what else is wrong, transformers says."""
    if not list(folder.glob("*.safetensors")):
        weights_file(folder)
    config = read_config(folder)
    from transformers import CONFIG_MAPPING

    if "auto_map" in config and config.get("model_type") not in CONFIG_MAPPING:
        raise SecurityError(
            "the model needs code of its own, which is never run", where=str(folder / "config.json")
        )


def load_weights(kind: Any, folder: Path, config: Any, *, is_bare: bool) -> Any:
    """The model, its weights in float32 however they are stored; none if bare, or if sizes are asked for.

    Args:
        kind: `transformers.AutoModel` or another one of its family.
        folder: With config and weights.
        config: Of the model.
        is_bare: Whether its weights come from elsewhere.

    Raises:
        DataError: weights are missing; a pooler may be.
    """
    if torch.get_default_device().type == "meta" or is_bare:
        return kind.from_config(config, dtype=torch.float32, trust_remote_code=False)
    model, found = kind.from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,  # not "auto": the optimizer would update bf16 weights
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    missing = sorted(key for key in found["missing_keys"] if "pooler" not in key)
    if missing:
        raise DataError(f"{len(missing)} weights are missing: {first_names(missing)}", where=str(folder))
    return model


def set_dropout(config: Any, names: tuple[str, ...], p: float | None) -> None:
    """Sets whichever of the `names` this architecture uses."""
    for name in names:
        if p is not None and name in config.to_dict():
            setattr(config, name, p)


def _backend(tokenizer: Any, folder: Path) -> Tokenizer:
    """The `tokenizers` object inside, without truncation and padding."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise DataError("the model has no fast tokenizer", where=str(folder), fix="add a tokenizer.json")
    backend.no_truncation()
    backend.no_padding()
    return backend


def _layers_path(model: nn.Module, num_layers: int) -> str:
    """Name, with a dot behind, of the list that holds the encoder's layers."""
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == num_layers:
            return name + "."
    raise DataError(f"{type(model).__name__} has no list of {num_layers} layers", where="name")
