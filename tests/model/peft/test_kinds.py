"""Every kind of efficient fine-tuning on every network: what learns, what stays, what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from aiexp.errors import ConfigError
from aiexp.model.peft.lora import Lora, LoraLinear
from aiexp.model.peft.prompt import Prompt
from aiexp.model.text.hub import HubEncoder
from tests.model.language.test_networks import CONTEXT, VOCABULARY, gpt, recurrent
from tests.model.peft.networks import DECODERS, ENCODERS, KINDS, NETWORKS, adapted, answer, bert, hub_encoder

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
BEGINS_EQUAL = ("lora", "lora everywhere", "ia3", "bitfit")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", NETWORKS)
def test_only_what_is_added_learns_and_names_stay(network: str, kind: str, tmp_path: Path) -> None:
    model = NETWORKS[network](tmp_path).eval()
    if kind == "bitfit" and network in ("gpt", "rotary gpt"):
        with pytest.raises(ConfigError, match="has no biases"):
            KINDS[kind]().apply(model)
        return
    before, made = {n: p.clone() for n, p in model.named_parameters()}, answer(model)
    KINDS[kind]().apply(model)
    after = dict(model.named_parameters())
    assert all(torch.equal(after[name], value) for name, value in before.items())
    learning = {name for name, p in after.items() if p.requires_grad}
    if kind == "bitfit":
        assert learning == {name for name in before if name.endswith("bias")}
    else:
        assert learning == after.keys() - before.keys() != set()
    assert torch.equal(answer(model), made) == (kind in BEGINS_EQUAL)
    answer_of_training(model).square().sum().backward()
    without = {n for n, p in after.items() if p.grad is None}
    assert without & learning == set(), "what learns takes part"
    assert without >= after.keys() - learning


def answer_of_training(model: Any) -> Any:
    """With gradients; of a LoRA also those of the first matrix, which begin as zero."""
    ids = torch.randint(0, VOCABULARY, (3, 5), generator=torch.Generator().manual_seed(2))
    return model.sentence_vectors(ids) if hasattr(model, "sentence_vectors") else model(ids)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", ENCODERS)
def test_an_encoder_makes_the_same_of_a_text_beside_a_longer_one(
    network: str, kind: str, tmp_path: Path
) -> None:
    model = adapted(network, kind, tmp_path)
    ids = torch.randint(0, VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(9) < torch.tensor([[9], [4]])
    with torch.inference_mode():
        together, alone = model.sentence_vectors(ids, mask), model.sentence_vectors(ids[1:, :4])
        hidden = model(ids, mask)
        pooled = model.pool(hidden)
    assert hidden.shape == (2, 9, 16)
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pooled, together, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["lora", "ia3", "prefix", "prompt"])
@pytest.mark.parametrize("network", DECODERS)
@pytest.mark.parametrize("cuts", [[1], [4, 7]])
def test_a_decoder_sees_no_later_token_and_goes_on_from_a_state(
    network: str, kind: str, cuts: list[int], tmp_path: Path
) -> None:
    model = adapted(network, kind, tmp_path)
    length = CONTEXT - 2
    ids = torch.randint(0, VOCABULARY, (3, length), generator=torch.Generator().manual_seed(1))
    other, state = ids.clone(), None
    other[:, 5] = (other[:, 5] + 1) % VOCABULARY
    with torch.inference_mode():
        whole = model(ids)
        difference = (model(other) - whole).abs().amax((0, 2))
        for start, stop in zip([0, *cuts], [*cuts, length], strict=True):
            logits, state = model.continued(ids[:, start:stop], state)
            torch.testing.assert_close(logits, whole[:, stop - 1], atol=1e-4, rtol=1e-4)
    assert whole.shape == (3, length, VOCABULARY)
    assert (difference[:5] < 1e-5).all()
    assert (difference[5:] > 1e-5).all()


def test_lora_is_its_equation() -> None:
    layer = nn.Linear(5, 7)
    lora = LoraLinear(layer, 2, 1.5, 0.0)
    nn.init.normal_(lora.lora_left)
    x = torch.randn(4, 5)
    expected = layer(x) + 1.5 * (x @ lora.lora_right.T) @ lora.lora_left.T
    torch.testing.assert_close(lora(x), expected)
    torch.testing.assert_close(lora.part(x, slice(2, 6)), expected[:, 2:6])


def test_a_prefix_is_the_same_in_our_bert_and_in_that_of_transformers(tmp_path: Path) -> None:
    ours, theirs = bert().eval(), hub_encoder(tmp_path).eval()
    for model in (ours, theirs):
        KINDS["prefix"]().apply(model)
    assert isinstance(theirs, HubEncoder)
    for layer, other in zip(list[Any](ours.layers), theirs.model.encoder.layer, strict=True):
        layer.prefix.load_state_dict(other.attention.self.prefix.state_dict())
    ids = torch.randint(5, 900, (2, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(9) < torch.tensor([[9], [4]])
    with torch.inference_mode():
        torch.testing.assert_close(
            ours.sentence_vectors(ids, mask), theirs.sentence_vectors(ids, mask), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("kind", ["lora", "lora everywhere", "ia3", "prefix", "prompt"])
@pytest.mark.parametrize("network", ["lstm", "cnn"])
def test_a_network_without_attention_is_refused_in_a_line(kind: str, network: str) -> None:
    model = recurrent("lstm", tie_weights=False) if network == "lstm" else nn.Sequential(nn.Conv2d(1, 2, 3))
    with pytest.raises(ConfigError) as caught:
        KINDS[kind]().apply(model)
    assert type(model).__name__ in caught.value.what
    assert caught.value.fix.startswith("leave peft out")


@pytest.mark.parametrize(
    ("target", "said"),
    [("query_key_valu", "Did you mean 'query_key_value'?"), ("q_proj", "no linear layer is called 'q_proj'")],
)
def test_a_wrong_name_of_a_layer_is_refused_with_the_nearest(target: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Lora(rank=1, alpha=1.0, dropout=0.0, target_modules=[target]).apply(bert())
    assert said in caught.value.what
    assert "query_key_value, attention_output, intermediate, output, pooler" in caught.value.fix


def test_a_prompt_that_leaves_no_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="40 vectors leave HubEncoder no place for a text") as caught:
        Prompt(length=40).apply(hub_encoder(tmp_path))
    assert caught.value.fix == "at most Prompt.length=39"
    Prompt(length=40).apply(bert())  # its vectors have no positions


def test_layers_are_named_by_their_ends_or_as_a_whole() -> None:
    model = bert()
    Lora(rank=1, alpha=1.0, dropout=0.0, target_modules=["output", "layers.0.intermediate"]).apply(model)
    found = [name for name, module in model.named_modules() if isinstance(module, LoraLinear)]
    assert found == ["layers.0.intermediate", "layers.0.output", "layers.1.output"]


def test_all_leaves_out_the_head_of_a_language_model() -> None:
    model = gpt(tie_weights=False)
    KINDS["lora everywhere"]().apply(model)
    assert type(model.head) is nn.Linear
    assert len([m for m in model.modules() if isinstance(m, LoraLinear)]) == 8


def test_what_torch_computes_past_its_layers_is_left_alone() -> None:
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 8, batch_first=True), 1)
    with pytest.raises(ConfigError, match="has no linear layers"):
        KINDS["lora everywhere"]().apply(model)
