"""Encoders through transformers, from local folders only."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from aiexp.errors import DataError, SecurityError
from aiexp.model.text.bert import random_bert
from aiexp.model.text.bert_weights import load_bert
from aiexp.model.text.hub import HubEncoder, find_folder, hub_bert
from tests.model.saved_bert import save_bert

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = random_bert(
        num_layers=3, num_heads=2, hidden_size=16, intermediate_size=24, max_tokens=40,
        dropout=0.1, attention_dropout=0.1,
    )  # fmt: skip
    save_bert(model, tmp_path)
    return tmp_path


def encoder(folder: Path, *, dropout: float | None = None) -> HubEncoder:
    return HubEncoder(name=str(folder), revision=None, dropout=dropout, attention_dropout=dropout)


def test_both_ways_of_loading_a_bert_agree(folder: Path) -> None:
    hub = encoder(folder).eval()
    ours = hub_bert(name=str(folder), revision=None, dropout=None, attention_dropout=None).eval()
    ids = ours.tokenizer.encode("a film about nothing").ids
    assert hub.tokenizer.encode("a film about nothing").ids == ids
    batch = torch.tensor([ids, ids[:3] + [0] * (len(ids) - 3)])
    mask = batch != 0
    for one, other in ((hub(batch, mask)[mask], ours(batch, mask)[mask]),):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        hub.sentence_vectors(batch, mask), ours.sentence_vectors(batch, mask), atol=1e-5, rtol=1e-5
    )
    assert (hub.hidden_size, hub.num_layers, hub.max_tokens) == (16, 3, 40)


def test_layer_groups_hold_every_parameter_once(folder: Path) -> None:
    hub = encoder(folder)
    groups = hub.layer_groups()
    assert len(groups) == 5
    assert all(groups)
    assert sorted(id(p) for g in groups for p in g) == sorted(map(id, hub.parameters()))
    names = {id(p): n for n, p in hub.named_parameters()}
    assert all("encoder.layer.1." in names[id(p)] for p in groups[2])


def test_dropout_can_be_set(folder: Path) -> None:
    dropouts = {m.p for m in encoder(folder, dropout=0.25).modules() if isinstance(m, torch.nn.Dropout)}
    assert dropouts == {0.25}


def test_weights_stored_as_bf16_are_trained_as_float32(folder: Path) -> None:
    state = {k: v.bfloat16() for k, v in load_file(folder / "model.safetensors").items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    assert {p.dtype for p in encoder(folder).parameters()} == {torch.float32}
    with torch.device("meta"):
        assert {p.dtype for p in encoder(folder).parameters()} == {torch.float32}


def test_sizes_alone_need_no_memory(folder: Path) -> None:
    with torch.device("meta"):
        assert all(p.is_meta for p in encoder(folder).parameters())


def test_pickles_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(SecurityError, match="pickled"):
        encoder(folder)


def test_code_of_the_model_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(SecurityError, match="code of its own"):
        encoder(folder)


def test_damaged_weights_are_a_data_error(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match="transformers cannot load"):
        encoder(folder)


def test_missing_weights_are_a_data_error_and_not_drawn_at_random(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 4}))
    with pytest.raises(DataError, match=r"16 weights are missing: encoder\.layer\.3"):
        encoder(folder)


@pytest.mark.parametrize("name", ["owner/name", "no such folder//at all"])
def test_what_cannot_be_had_says_so(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIEXP_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=name) as error:
        find_folder(name, None)
    assert error.value.fix


@pytest.mark.parametrize(
    ("value", "is_offline"), [("1", True), ("yes", True), ("0", False), ("false", False)]
)
def test_offline_means_the_same_everywhere(
    value: str, is_offline: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setenv("AIEXP_OFFLINE", value)
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download",
        lambda *_, local_files_only, **__: asked.append(local_files_only) or "x",
    )
    find_folder("owner/name", None)
    assert asked == [is_offline]


def test_tokenizer_from_vocabulary_alone(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "film", "##s", "good", "!"]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    tokenizer = load_bert(folder, dropout=None, attention_dropout=None).tokenizer
    assert tokenizer.encode("Good FILMS!").tokens == ["[CLS]", "good", "film", "##s", "!", "[SEP]"]
    assert tokenizer.encode("x").tokens == ["[CLS]", "[UNK]", "[SEP]"]
