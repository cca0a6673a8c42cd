"""Our BERT against transformers' (in one subprocess-free import), and its own promises."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from aiexp.errors import ConfigError, DataError, SecurityError
from aiexp.model.text.bert import Bert, Shape, random_bert
from aiexp.model.text.bert_weights import load_bert
from aiexp.model.text.tokenizer import letter_pair_tokenizer
from tests.model.saved_bert import save_bert


def small(*, dropout: float = 0.0, num_layers: int = 3) -> Bert:
    torch.manual_seed(0)
    return random_bert(
        num_layers=num_layers,
        num_heads=4,
        hidden_size=32,
        intermediate_size=64,
        max_tokens=48,
        dropout=dropout,
        attention_dropout=dropout,
    )


def padded_batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 900, (4, 19), generator=generator)
    mask = torch.arange(19) < torch.tensor([[19], [7], [12], [1]])
    return ids * mask, mask


def objective(hidden: Tensor, pooled: Tensor, mask: Tensor) -> Tensor:
    weights = torch.linspace(-1, 1, hidden.shape[-1])
    return (hidden * weights)[mask].sin().sum() + (pooled * weights).sum()


@pytest.fixture(scope="module")
def transformers_bert(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bert, torch.nn.Module]:
    folder = tmp_path_factory.mktemp("bert")
    ours = small()
    with torch.no_grad():  # make biases and norms count
        for parameter in ours.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
        ours.embedding.word.weight[0].zero_()
    save_bert(ours, folder)
    from transformers import BertModel

    return load_bert(folder, dropout=0.0, attention_dropout=0.0), BertModel.from_pretrained(
        folder, attn_implementation="eager", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_numbers_and_gradients_of_transformers(transformers_bert: tuple[Bert, torch.nn.Module]) -> None:
    ours, theirs = (model.train() for model in transformers_bert)
    ids, mask = padded_batch()
    expected = theirs(input_ids=ids, attention_mask=mask.long())
    hidden = ours(ids, mask)
    assert (hidden - expected.last_hidden_state)[mask].abs().max() < 1e-5
    assert (ours.pool(hidden) - expected.pooler_output).abs().max() < 1e-5
    objective(hidden, ours.pool(hidden), mask).backward()
    objective(expected.last_hidden_state, expected.pooler_output, mask).backward()
    grads = {name: p.grad for name, p in theirs.named_parameters()}
    for i, layer in enumerate(ours.layers):
        names = [f"encoder.layer.{i}.attention.self.{part}.weight" for part in ("query", "key", "value")]
        torch.testing.assert_close(
            layer.query_key_value.weight.grad, torch.cat([grads[n] for n in names]), atol=1e-5, rtol=1e-4
        )
        output = grads[f"encoder.layer.{i}.output.dense.bias"]
        torch.testing.assert_close(layer.output.bias.grad, output, atol=1e-5, rtol=1e-4)
    for ours_grad, name in (
        (ours.embedding.word.weight.grad, "embeddings.word_embeddings.weight"),
        (ours.embedding.position.weight.grad, "embeddings.position_embeddings.weight"),
        (ours.pooler.weight.grad, "pooler.dense.weight"),
    ):
        torch.testing.assert_close(ours_grad, grads[name], atol=1e-5, rtol=1e-4)


def test_sentence_vectors_are_the_pooled_hidden_states_with_their_gradients() -> None:
    short, full = small(), small()
    ids, mask = padded_batch()
    one, other = short.sentence_vectors(ids, mask), full.pool(full(ids, mask))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    one.sin().sum().backward()
    other.sin().sum().backward()
    for (name, p), q in zip(short.named_parameters(), full.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, atol=1e-6, rtol=1e-4, msg=name)


def test_padding_does_not_change_a_sentence() -> None:
    model = small().eval()
    ids, mask = padded_batch()
    alone = model.sentence_vectors(ids[1:2, :7])
    torch.testing.assert_close(model.sentence_vectors(ids, mask)[1:2], alone, atol=1e-6, rtol=1e-5)


def test_compiled_path_agrees_with_the_cpu_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    fast, plain = small(), small()
    ids, mask = padded_batch()
    result = fast(ids, mask)
    result.sin().sum().backward()
    monkeypatch.setattr("aiexp.model.text.attention.is_eager_cpu", lambda x: False)
    expected = plain(ids, mask)
    expected.sin().sum().backward()
    torch.testing.assert_close(result[mask], expected[mask], atol=1e-5, rtol=1e-5)
    for (name, p), q in zip(fast.named_parameters(), plain.named_parameters(), strict=True):
        torch.testing.assert_close(p.grad, q[1].grad, atol=1e-4, rtol=1e-3, msg=name)


def test_autocast_stays_close_and_training_draws_from_the_global_generator() -> None:
    model = small(dropout=0.1).train()
    ids, mask = padded_batch()
    results: list[Tensor] = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        with torch.autocast("cpu", torch.bfloat16):
            model.zero_grad()
            model.sentence_vectors(ids, mask).float().sum().backward()
        assert model.embedding.word.weight.grad is not None
        results.append(model.embedding.word.weight.grad.clone())
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    model.eval()
    with torch.autocast("cpu", torch.bfloat16):
        low = model.sentence_vectors(ids, mask)
    assert (low.float() - model.sentence_vectors(ids, mask)).abs().max() < 0.02


def test_gradients_of_the_kernels_with_dropout() -> None:
    """Finite differences under a fixed seed: the backward pass uses the mask of the forward pass."""
    from aiexp.model.layer.dropout import dropout_add
    from aiexp.model.text.attention import attend

    def run(projected: Tensor, residual: Tensor) -> Tensor:
        torch.manual_seed(3)
        return dropout_add(attend(projected, None, 2, 0.3), residual, 0.3, training=True)

    torch.manual_seed(0)
    projected = torch.randn(2, 3, 12, dtype=torch.float64, requires_grad=True)
    residual = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    # The softmax is float32 by design, hence the coarse step and tolerance.
    assert torch.autograd.gradcheck(run, (projected, residual), eps=1e-2, atol=2e-3, rtol=1e-2)


def test_layer_groups_hold_every_parameter_once_from_first_to_last() -> None:
    model = small()
    groups = model.layer_groups()
    assert len(groups) == model.num_layers + 2
    flat = [id(p) for group in groups for p in group]
    assert sorted(flat) == sorted(id(p) for p in model.parameters())
    assert id(model.embedding.word.weight) in map(id, groups[0])
    assert id(model.pooler.weight) in map(id, groups[-1])


def test_round_trip_of_weights_sizes_and_tokenizer(tmp_path: Path) -> None:
    model = small(dropout=0.2)
    save_bert(model, tmp_path)
    again = load_bert(tmp_path, dropout=None, attention_dropout=0.5)
    assert again.shape == model.shape
    assert (again.dropout, again.attention_dropout) == (0.2, 0.5)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), again.parameters(), strict=True))
    assert again.tokenizer.to_str() == model.tokenizer.to_str()
    assert all(p.requires_grad for p in again.parameters())


def test_sizes_alone_need_no_memory(tmp_path: Path) -> None:
    save_bert(small(), tmp_path)
    with torch.device("meta"):
        models = [small(), load_bert(tmp_path, dropout=0.1, attention_dropout=0.1)]
        shapes = [m(torch.zeros(2, 5, dtype=torch.long)).shape for m in models]
    assert all(p.is_meta for m in models for p in m.parameters())
    assert shapes == [(2, 5, 32), (2, 5, 32)]


def test_loading_does_not_import_the_compiler(tmp_path: Path) -> None:
    """Drawing weights on the meta device does, for seconds, though they would be thrown away."""
    save_bert(small(), tmp_path)
    program = f"""
import sys
from pathlib import Path
import torch
from aiexp.model.text.bert_weights import load_bert
load_bert(Path({str(tmp_path)!r}), dropout=None, attention_dropout=None)
with torch.device("meta"):
    load_bert(Path({str(tmp_path)!r}), dropout=None, attention_dropout=None)
from aiexp.model.carried import carried_by
with carried_by(Path({str(tmp_path)!r})):
    carried = load_bert(Path({str(tmp_path)!r}), dropout=None, attention_dropout=None)
assert all(not p.is_meta and p.requires_grad for p in carried.parameters())
assert not {{"torch._dynamo", "sympy"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_old_names_prefix_and_missing_pooler(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from safetensors.torch import load_file, save_file

    model = small()
    save_bert(model, tmp_path)
    path = tmp_path / "model.safetensors"
    state = {k: v for k, v in load_file(path).items() if "pooler" not in k}
    old = {f"bert.{k}".replace("LayerNorm.weight", "LayerNorm.gamma"): v for k, v in state.items()}
    old = {k.replace("LayerNorm.bias", "LayerNorm.beta"): v for k, v in old.items()}
    save_file(old | {"cls.predictions.bias": torch.zeros(3)}, path)
    again = load_bert(tmp_path, dropout=0.0, attention_dropout=0.0)
    assert torch.equal(again.layers[1].output_norm.weight, model.layers[1].output_norm.weight)
    assert "no pooler" in caplog.text


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\0" * 50), "damaged"),
        (lambda f: (f / "config.json").unlink(), "config.json is missing"),
        (lambda f: (f / "config.json").write_text("{"), "not JSON"),
        (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda f: (f / "tokenizer.json").write_text("{"), "tokenizer cannot be read"),
        (lambda f: change_config(f, model_type="gpt2"), "type gpt2"),
        (lambda f: change_config(f, hidden_act="swish9"), "activation swish9"),
        (lambda f: change_config(f, num_hidden_layers=5), "32 weights are missing: encoder.layer.3"),
        (lambda f: change_config(f, intermediate_size=60), "weights have a shape unlike"),
    ],
)
def test_bad_folders_are_data_errors_of_one_line(tmp_path: Path, damage, message: str) -> None:
    save_bert(small(), tmp_path)
    damage(tmp_path)
    with pytest.raises(DataError, match=message) as error:
        load_bert(tmp_path, dropout=None, attention_dropout=None)
    assert str(tmp_path) in error.value.line()
    assert "\n" not in error.value.line()


def test_pickles_are_refused(tmp_path: Path) -> None:
    save_bert(small(), tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(SecurityError, match=r"pytorch_model\.bin"):
        load_bert(tmp_path, dropout=None, attention_dropout=None)


def test_heads_must_divide_the_width() -> None:
    shape = Shape(vocab_size=9, hidden_size=10, num_layers=1, num_heads=3, intermediate_size=4)
    with pytest.raises(ConfigError, match="hidden_size 10"):
        Bert(shape, tokenizer=letter_pair_tokenizer(), dropout=0.0, attention_dropout=0.0)


def test_deep_copy_is_independent() -> None:
    model = small()
    copied = copy.deepcopy(model)
    with torch.no_grad():
        copied.pooler.weight.zero_()
    assert model.pooler.weight.abs().sum() > 0
