"""Our classifiers as models of transformers: the same logits, or one line that says why there are none."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from aiexp.errors import ConfigError
from aiexp.model.text.bert import random_bert
from aiexp.model.text.hub import HubEncoder
from aiexp.model.text.sequence_classifier import sequence_classifier
from tests.model.saved_bert import save_bert

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SMALL = {"vocab_size": 963, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
OTHERS: dict[str, dict[str, Any]] = {
    "roberta": SMALL | {"intermediate_size": 24, "max_position_embeddings": 42, "pad_token_id": 1},
    "electra": SMALL | {"intermediate_size": 24, "embedding_size": 16, "max_position_embeddings": 40},
    "distilbert": {"vocab_size": 963, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24},
}


def encoder(folder: Path, kind: str) -> Any:
    """An encoder in evaluation mode."""
    torch.manual_seed(0)
    ours = random_bert(
        num_layers=3, num_heads=2, hidden_size=16, intermediate_size=24, max_tokens=40,
        dropout=0.1, attention_dropout=0.1,
    ).eval()  # fmt: skip
    if kind == "ours":
        return ours
    save_bert(ours, folder)
    if kind in OTHERS:
        from transformers import AutoConfig, AutoModel

        AutoModel.from_config(AutoConfig.for_model(kind, **OTHERS[kind])).save_pretrained(folder)
    return HubEncoder(name=str(folder), revision=None, dropout=None, attention_dropout=None).eval()


@pytest.mark.parametrize("kind", ["ours", "bert", "roberta"])
def test_logits_are_equal(tmp_path: Path, kind: str) -> None:
    body, head = encoder(tmp_path, kind), nn.Linear(16, 3)
    model = sequence_classifier(body, head, ["a", "b", "c"])
    ids = torch.randint(5, 900, (4, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(9) < torch.tensor([[9], [4], [2], [7]])
    ids[~mask] = 1 if kind == "roberta" else 0
    with torch.no_grad():
        theirs = model(input_ids=ids, attention_mask=mask.long()).logits
        torch.testing.assert_close(theirs, head(body.sentence_vectors(ids, mask)), atol=1e-5, rtol=1e-5)
    assert model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert model.config.label2id == {"a": 0, "b": 1, "c": 2}


@pytest.mark.parametrize("kind", ["distilbert", "electra"])
def test_a_head_unlike_ours_is_one_line(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigError, match="is another one than ours") as caught:
        sequence_classifier(encoder(tmp_path, kind), nn.Linear(16, 3), ["a", "b", "c"])
    assert "--to onnx" in caught.value.fix
    with pytest.raises(ConfigError, match="Linear is no text encoder"):
        sequence_classifier(nn.Linear(2, 2), nn.Linear(2, 2), ["a", "b"])
