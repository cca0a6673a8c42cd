"""A fresh encoder takes the vocabulary of the data, or of a run."""

import json
from pathlib import Path
from typing import Any

import torch

from aiexp.dataset.language.wordpiece import SPECIAL_TOKENS, bert_tokenizer
from aiexp.model.carried import carried_by, collecting
from aiexp.model.text.bert_weights import fetched_bert
from aiexp.model.text.fresh_bert import fresh_bert

SIZES: dict[str, Any] = {
    "num_layers": 1, "num_heads": 2, "hidden_size": 8, "intermediate_size": 16, "max_tokens": 9,
    "dropout": 0.0, "attention_dropout": 0.0, "initializer_range": 0.02,
}  # fmt: skip


def words(*more: str) -> Any:
    return bert_tokenizer(
        {word: n for n, word in enumerate([*more, *SPECIAL_TOKENS, "a", "b"])}, lowercase=True
    )


def test_it_waits_for_the_vocabulary_of_the_data() -> None:
    with collecting() as carried:
        bert = fresh_bert(vocabulary=None, **SIZES)
        assert bert.tokenizer is None
        assert not carried
        bert.set_tokenizer(words("first"))
    assert bert.embedding.word.weight.shape == (8, 8)
    assert json.loads(carried["config.json"])["vocab_size"] == 8
    assert json.loads(carried["config.json"])["pad_token_id"] == bert.embedding.word.padding_idx == 1
    drawn = bert.embedding.word.weight.detach()
    assert torch.equal(drawn[1], torch.zeros(8))
    assert 0.01 < drawn[2:].std().item() < 0.03, "as all other weights are drawn"
    assert bert(torch.tensor([[3, 6, 7]])).shape == (1, 3, 8)


def test_a_vocabulary_that_there_is(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    words().save(str(tmp_path / "model/tokenizer.json"))
    bert = fresh_bert(vocabulary=str(tmp_path), **SIZES)
    assert bert.tokenizer is not None
    assert bert.tokenizer.get_vocab() == words().get_vocab()
    with carried_by(tmp_path / "model"):
        again = fresh_bert(vocabulary="gone", **SIZES)
    assert again.embedding.word.weight.shape == bert.embedding.word.weight.shape


def test_what_it_carries_describes_it(tmp_path: Path) -> None:
    with collecting() as carried:
        bert = fresh_bert(vocabulary=None, **SIZES)
        bert.set_tokenizer(words())
    for name, content in carried.items():
        (tmp_path / name).write_bytes(content)
    with carried_by(tmp_path):
        again = fetched_bert(source="minilm", path=None, dropout=None, attention_dropout=None)
    assert again.shape == bert.shape
    assert {n: t.shape for n, t in again.state_dict().items()} == {
        n: t.shape for n, t in bert.state_dict().items()
    }
