"""Every language model: what it sees, that going on from a state is reading all, and what it is made of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn

from aiexp.errors import ConfigError, DataError, SecurityError
from aiexp.model.language.gpt import Gpt, rotary_waves, turned
from aiexp.model.language.hub import HubCausal
from aiexp.model.language.recurrent import RecurrentLm

VOCABULARY, CONTEXT = 11, 12


def gpt(boundary: int | None = None, **changes: Any) -> Gpt:
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "num_layers": 2, "num_heads": 2, "hidden_size": 16, "positions": "learned", "dropout": 0.0,
        "tie_weights": True,
    }  # fmt: skip
    model = Gpt(**(settings | changes))
    model.set_vocabulary(VOCABULARY, CONTEXT, boundary)
    return scaled(model)


def recurrent(cell: Any, boundary: int | None = None, **changes: Any) -> RecurrentLm:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"num_layers": 2, "hidden_size": 12, "dropout": 0.0, "tie_weights": False}
    model = RecurrentLm(cell=cell, **(settings | changes))
    model.set_vocabulary(VOCABULARY, CONTEXT, boundary)
    return model


def scaled(model: Any) -> Any:
    """With weights so large that every token counts."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return model


def save_causal(folder: Path) -> Path:
    """A tiny GPT-2 of transformers with fresh weights, and a tokenizer of words."""
    from tokenizers import models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=16, n_layer=2, n_head=2, resid_pdrop=0.0,
        embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    scaled(GPT2LMHeadModel(config)).save_pretrained(folder)
    words = {
        word: number
        for number, word in enumerate(
            ["?", "the", "king", "sings", "to", "a", "fool", "and", "queen", "night", "hill"]
        )
    }
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_causal(tmp_path_factory.mktemp("causal"))


def hub(folder: Path, boundary: int | None = None) -> HubCausal:
    model = HubCausal(name=str(folder), revision=None, dropout=None)
    model.set_vocabulary(VOCABULARY, CONTEXT, boundary)
    return model


OURS: dict[str, Callable[[], Any]] = {
    "learned": gpt,
    "rotary": lambda: gpt(positions="rotary"),
    "head of its own": lambda: gpt(tie_weights=False),
    "lstm": lambda: recurrent("lstm"),
    "gru": lambda: recurrent("gru", tie_weights=True),
    "rnn": lambda: recurrent("rnn"),
}


@pytest.fixture(params=[*OURS, "hub"])
def model(request: pytest.FixtureRequest, folder: Path) -> Any:
    return (hub(folder) if request.param == "hub" else OURS[request.param]()).eval()


def tokens(length: int = CONTEXT) -> Any:
    return torch.randint(0, VOCABULARY, (3, length), generator=torch.Generator().manual_seed(1))


def test_a_token_sees_all_before_it_and_none_behind(model: Any) -> None:
    ids = tokens()
    logits = model(ids)
    assert logits.shape == (3, CONTEXT, VOCABULARY)
    for place in (0, 5, CONTEXT - 1):
        other = ids.clone()
        other[:, place] = (other[:, place] + 1) % VOCABULARY
        difference = (model(other) - logits).abs().amax((0, 2))
        assert (difference[:place] < 1e-6).all()
        assert (difference[place:] > 1e-5).all()


@pytest.mark.parametrize("cuts", [[], [1], [1, 2, 3, 11], [5, 6], [4, 9]])
def test_going_on_from_a_state_is_reading_all(model: Any, cuts: list[int]) -> None:
    ids, state = tokens(), None
    with torch.inference_mode():
        whole = model(ids)
        for start, stop in zip([0, *cuts], [*cuts, CONTEXT], strict=True):
            logits, state = model.continued(ids[:, start:stop], state)
            torch.testing.assert_close(logits, whole[:, stop - 1], atol=1e-4, rtol=1e-4)


PACKED: dict[str, Callable[[Path, int | None], Any]] = {
    "learned": lambda folder, boundary: gpt(boundary),
    "rotary": lambda folder, boundary: gpt(boundary, positions="rotary"),
    "hub": hub,
}


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("lengths", [(4, 3, 5), (1, 1, 10), (12,), (11, 1)])
def test_documents_side_by_side_are_read_as_each_alone(
    kind: str, lengths: tuple[int, ...], folder: Path
) -> None:
    """A window may begin in the middle of the first one, where no boundary is."""
    packed, alone = PACKED[kind](folder, 0).eval(), PACKED[kind](folder, None).eval()
    ids = tokens() % (VOCABULARY - 1) + 1
    for start in [sum(lengths[:i]) for i in range(1, len(lengths))]:
        ids[:, start] = 0
    with torch.inference_mode():
        made = packed(ids).split(lengths, 1)
        for logits, document in zip(made, ids.split(lengths, 1), strict=True):
            torch.testing.assert_close(logits, alone(document), atol=1e-4, rtol=1e-4)
        if len(lengths) > 1 and min(lengths) > 1:
            assert (alone(ids).split(lengths, 1)[1] - made[1]).abs().max() > 1e-2, "else nothing was kept"


def test_each_row_has_documents_of_its_own() -> None:
    model, ids = gpt(0).eval(), tokens() % (VOCABULARY - 1) + 1
    ids[0, 4] = ids[1, 7] = 0
    for row in range(3):
        torch.testing.assert_close(model(ids)[row], model(ids[row : row + 1])[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_recurrent_layers_learn_in_bf16_on_any_cpu(cell: str) -> None:
    model, ids = recurrent(cell), tokens()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(ids)
        last, _ = model.continued(ids, None)
    torch.testing.assert_close(logits.float(), model(ids), atol=2e-2, rtol=2e-2)
    torch.testing.assert_close(last.float(), model(ids)[:, -1], atol=2e-2, rtol=2e-2)
    logits.float().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_rotary_products_depend_on_the_distance_alone() -> None:
    waves = rotary_waves(20, 8)
    query, key = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    queries, keys = (turned(x.expand(1, 1, 20, 8), waves)[0, 0] for x in (query, key))
    products = queries @ keys.T
    for distance in range(-5, 6):
        line = products.diagonal(distance)
        torch.testing.assert_close(line, line[:1].expand_as(line), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(queries.norm(dim=1), query.norm().expand(20))


def test_parameters_are_those_of_the_sizes() -> None:
    block = 12 * 16 * 16 + 2 * 16
    assert count(gpt()) == 2 * block + 16 + (VOCABULARY + CONTEXT) * 16
    assert count(gpt(positions="rotary", tie_weights=False)) == 2 * block + 16 + 2 * VOCABULARY * 16
    lstm = 2 * (4 * 12 * (12 + 12) + 8 * 12)
    assert count(recurrent("lstm")) == lstm + 2 * VOCABULARY * 12 + VOCABULARY


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_a_gpt_is_the_gpt2_of_transformers(folder: Path) -> None:
    """Its weights in ours, where it has no biases: the same logits."""
    theirs = hub(folder)
    state = {name.removeprefix("transformer."): value for name, value in theirs.model.state_dict().items()}
    with torch.no_grad():
        for name, value in state.items():
            if name.endswith("bias"):
                value.zero_()
    ours = gpt()
    names = {
        "ln_1": "attention_norm", "attn.c_attn": "query_key_value", "attn.c_proj": "attended",
        "ln_2": "feed_forward_norm", "mlp.c_fc": "intermediate", "mlp.c_proj": "output",
    }  # fmt: skip
    given = {"tokens.weight": state["wte.weight"], "positions.weight": state["wpe.weight"],
             "norm.weight": state["ln_f.weight"]}  # fmt: skip
    for number in range(2):
        for name, own in names.items():
            value = state[f"h.{number}.{name}.weight"]
            given[f"blocks.{number}.{own}.weight"] = value.T if value.ndim == 2 else value
    ours.load_state_dict(given)
    theirs.model.config.activation_function = "gelu"
    for block in theirs.model.transformer.h:
        block.mlp.act = nn.GELU()
    torch.testing.assert_close(ours.eval()(tokens()), theirs.eval()(tokens()), atol=1e-4, rtol=1e-4)


def test_widths_that_do_not_divide() -> None:
    with pytest.raises(ConfigError, match=r"not a multiple of 4.*hidden_size=20"):
        gpt(hidden_size=18, positions="rotary")


def test_dropout_is_for_training_alone() -> None:
    for model in (gpt(dropout=0.5), recurrent("gru", dropout=0.5)):
        assert not torch.equal(model(tokens()), model(tokens()))
        model.eval()
        assert torch.equal(model(tokens()), model(tokens()))


def test_a_model_of_transformers_brings_its_vocabulary(folder: Path) -> None:
    model = hub(folder)
    assert model.tokenizer.encode("the king").ids == [1, 2]
    assert model.max_tokens == CONTEXT
    assert len(model.shards()) == 2


def test_what_is_refused_of_a_folder(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(SecurityError):
        hub(tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights.pop("transformer.h.1.mlp.c_fc.weight")
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match="1 weights are missing"):
        hub(tmp_path)
