"""Attention as it is read off a running model is what the model computes."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from aiexp.model.text.bert import random_bert
from aiexp.use.explaining.attention import attention_maps, rollout, weights


def small_bert() -> Any:
    torch.manual_seed(0)
    return random_bert(
        num_layers=3, num_heads=2, hidden_size=16, intermediate_size=32, max_tokens=300, dropout=0.1,
        attention_dropout=0.1,
    ).eval()  # fmt: skip


def by_hand(bert: Any, ids: torch.Tensor) -> list[torch.Tensor]:
    """The mean over heads of every layer's softmax."""
    hidden, made = bert.embedding(ids), []
    for layer in bert.layers:
        query, key, _ = (
            x.unflatten(-1, (2, -1)).transpose(1, 2) for x in layer.query_key_value(hidden).chunk(3, -1)
        )
        made.append((query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1)[0].mean(0))
        hidden = layer(hidden, None)
    return made


@pytest.mark.parametrize("tokens", [5, 270])  # by our own kernel, and by torch's
def test_maps_of_our_bert_equal_those_by_hand_and_rows_add_up_to_one(tokens: int) -> None:
    bert = small_bert()
    ids = torch.randint(5, 900, (1, tokens), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = by_hand(bert, ids)
    maps = attention_maps(lambda: bert.sentence_vectors(ids, torch.ones_like(ids, dtype=torch.bool)), tokens)
    assert [tuple(m.shape) for m in maps] == [(tokens, tokens), (tokens, tokens), (1, tokens)]
    assert all(torch.allclose(m.sum(-1), torch.ones(len(m)), atol=1e-5) for m in maps)
    assert all(torch.allclose(m, w[: len(m)], atol=1e-5) for m, w in zip(maps, wanted, strict=True))


@pytest.mark.parametrize("kind", ["sdpa", "eager"])
def test_maps_of_a_model_of_transformers_equal_its_own(kind: str) -> None:
    from transformers import RobertaConfig, RobertaModel

    torch.manual_seed(0)
    make: Any = RobertaConfig
    config = make(
        vocab_size=50, max_position_embeddings=40, hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=32, attn_implementation=kind,
    )  # fmt: skip
    model: Any = RobertaModel(config).eval()
    ids, mask = torch.randint(5, 50, (1, 9)), torch.ones(1, 9, dtype=torch.long)
    maps = attention_maps(lambda: model(input_ids=ids, attention_mask=mask), 9)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        theirs = model(input_ids=ids, attention_mask=mask, output_attentions=True).attentions
    assert len(maps) == 2
    assert all(torch.allclose(m, t[0].mean(0), atol=1e-5) for m, t in zip(maps, theirs, strict=True))


@pytest.mark.parametrize("settings", [{"is_causal": True}, {"scale": 0.3}, {"enable_gqa": True}, {"mask": 1}])
def test_weights_are_those_of_torchs_attention(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(1, 4, 6, 8), torch.randn(1, 2, 6, 8), torch.randn(1, 2, 6, 8)
    if "enable_gqa" not in settings:
        key, value = key.repeat(1, 2, 1, 1), value.repeat(1, 2, 1, 1)
    if settings.pop("mask", None):
        settings["attn_mask"] = torch.rand(1, 1, 6, 6) > 0.2
    made = weights(query, key, value, **settings) @ (
        value if len(value[0]) == 4 else value.repeat_interleave(2, 1)
    )
    assert torch.allclose(made, F.scaled_dot_product_attention(query, key, value, **settings), atol=1e-5)


def test_a_rollout_is_the_first_row_of_the_product_of_all_layers() -> None:
    torch.manual_seed(0)
    maps = [torch.rand(6, 6).softmax(-1) for _ in range(3)]
    product = torch.eye(6)
    for each in maps:
        product = (0.5 * each + 0.5 * torch.eye(6)) @ product
    assert torch.allclose(rollout(maps), product[0], atol=1e-6)
    assert torch.allclose(rollout([*maps[:2], maps[2][:1]]), product[0], atol=1e-6)
    assert rollout(maps).sum().item() == pytest.approx(1.0)


def test_nothing_is_seen_where_there_is_no_attention() -> None:
    assert attention_maps(lambda: torch.rand(1, 3).softmax(-1), 3) == []
