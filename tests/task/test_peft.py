"""`peft=...` through the commands: trained, resumed, begun from, asked, exported without adapters."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from aiexp.checkpoint.store import CheckpointStore
from aiexp.errors import ConfigError
from aiexp.model.peft.merging import is_added
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.weights import learned
from aiexp.runs.loaded import load_run
from aiexp.use.exporting.export import Request, export
from aiexp.use.exporting.weights_form import load_weights
from tests.use.trained_runs import again, aiexp, texts_run, train_again

FAST = "task.optimizer.lr=0.1"  # so that four steps of adapters are seen
TEXTS = ["a great warm film", "dull", "the film of the film, which was fine"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def parent(home: Path) -> Path:
    """A whole BERT that was trained."""
    return texts_run(home)


@pytest.fixture(scope="module")
def adapted(home: Path, parent: Path) -> Path:
    """A run that begins with it and trains low-rank adapters."""
    return train_again(home, parent, "peft=lora", "peft.rank=2", f"start_from={parent}", FAST)


def weights(run: Path) -> dict[str, Tensor]:
    return dict(learned(RunDirectory(run)).weights)


def started(run: Path) -> dict[str, Any]:
    (record,) = json.loads((run / "environment.json").read_text())["started_from"]
    return record


def logits(task: Any) -> Tensor:
    inputs = task.inputs()
    with torch.inference_mode():
        return task.logits(inputs.collate(inputs.prepare(TEXTS)))


def test_the_weights_of_a_run_without_adapters_stay_and_few_learn(parent: Path, adapted: Path) -> None:
    before, after = weights(parent), weights(adapted)
    added = after.keys() - before.keys()
    assert {name.rpartition(".")[2] for name in added} == {"lora_left", "lora_right", "lora_scale"}
    changed = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert changed == {"head.weight", "head.bias"}
    assert started(adapted)["left"] == []
    environment = json.loads((adapted / "environment.json").read_text())
    trained = sum(after[name].numel() for name in added if "scale" not in name) + 2 * 128 + 2
    assert environment["trained_parameters"] == trained < 0.01 * environment["parameters"]
    share = f"{100 * trained / environment['parameters']:.2g} %"
    assert f"{environment['parameters']:,} parameters, {share} trained" in (adapted / "run.log").read_text()


def test_a_checkpoint_has_moments_of_what_learns_alone(parent: Path, adapted: Path) -> None:
    whole, few = (
        (CheckpointStore(run / "checkpoints").path(4) / "training.safetensors").stat().st_size
        for run in (parent, adapted)
    )
    assert few < 0.02 * whole


@pytest.mark.parametrize("words", [["peft=lora", "peft.dropout=0.1"], ["peft=prefix"]])
def test_resumed_it_is_what_it_was(home: Path, parent: Path, words: list[str]) -> None:
    typed = RunDirectory(parent).read_typed()[1]
    ended = aiexp(home, "check", *typed, *words, "--resume")
    assert ended.code == 0, ended.stderr
    assert "everything is equal" in ended.stdout


SLOW_FORMS = [pytest.param(form, marks=pytest.mark.slow) for form in ("torch_export", "huggingface")]


@pytest.mark.parametrize("form", ["onnx", "weights", *SLOW_FORMS])
def test_an_exported_network_has_no_adapters_and_makes_the_same(
    adapted: Path, tmp_path: Path, form: str
) -> None:
    expected = logits(load_run(adapted).task)
    run, said = load_run(adapted), list[str]()
    folder = export(run, Request(form=form, out=tmp_path / "out"), said.append)
    assert said[0] == "the adapters of 2 layers are computed into the weights"
    assert not any(map(is_added, run.task.state_dict()))
    torch.testing.assert_close(logits(run.task), expected, atol=1e-5, rtol=1e-5)
    if form == "weights":
        plain = load_weights(folder)
        assert not any(map(is_added, plain.state_dict()))
        torch.testing.assert_close(logits(plain), expected, atol=1e-5, rtol=1e-5)
        assert "aiexp.model.peft.lora.Lora" in (folder / "README.md").read_text(), "how it was trained"


@pytest.mark.parametrize(("words", "kept"), [
    (["peft=lora", "peft.rank=2"], 6),
    pytest.param(["peft=lora"], 0, marks=pytest.mark.slow),
    ([], 0),
])  # fmt: skip
def test_a_run_goes_on_from_adapters(
    home: Path, parent: Path, adapted: Path, words: list[str], kept: int
) -> None:
    """Its own of the same size, or computed into the weights, where new ones begin without effect."""
    run = train_again(home, parent, *words, f"start_from={adapted}", "task.optimizer.lr=1e-30")
    assert started(run)["left"] == []
    same = [name for name, value in weights(adapted).items() if is_added(name)
            and name in weights(run) and torch.equal(weights(run)[name], value)]  # fmt: skip
    assert len(same) == kept
    torch.testing.assert_close(
        logits(load_run(run).task), logits(load_run(adapted).task), atol=1e-5, rtol=1e-5
    )


def test_the_encoder_of_a_run_is_taken_with_its_adapters(home: Path, parent: Path, adapted: Path) -> None:
    run = train_again(home, parent, "model=minilm", f"model.path={adapted}", "task.optimizer.lr=1e-30")
    batch = torch.tensor([[2, 50, 51, 3]])
    tasks: list[Any] = [load_run(path).task for path in (run, adapted)]
    ours, theirs = (task.model.sentence_vectors(batch) for task in tasks)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_a_prefix_stays_and_is_refused_where_it_has_no_place(
    home: Path, parent: Path, tmp_path: Path
) -> None:
    run = train_again(home, parent, "peft=prefix", FAST)
    answered = aiexp(home, "predict", str(run), "a great film")
    assert answered.code == 0, answered.stderr
    folder = export(load_run(run), Request(form="weights", out=tmp_path / "weights"), lambda _: None)
    torch.testing.assert_close(logits(load_weights(folder)), logits(load_run(run).task))
    with pytest.raises(ConfigError, match="no classifier with a prefix"):
        export(load_run(run), Request(form="huggingface", out=tmp_path / "hub"), lambda _: None)
    for words in (["model=minilm", f"model.path={run}"], [f"start_from={run}"]):
        ended = again(home, parent, *words)
        assert ended.code in (2, 3), ended.stderr
        assert "prefix" in ended.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=char_lm", "model=lstm_lm", "peft=lora"], "RecurrentLm has no attention"),
        (["task=char_lm", "peft=bitfit"], "Gpt has no biases"),
        (["peft=lora", "peft.target_modules=[querry]"], "no linear layer is called 'querry'."),
    ],
)
@pytest.mark.usefixtures("parent")  # who writes the reviews
def test_what_cannot_be_is_said_in_a_line_before_training(home: Path, words: list[str], said: str) -> None:
    (home / "some.txt").write_text("the king sings\n" * 60)
    data = ["dataset=text_file", f"dataset.train_file={home}/some.txt", "dataset.context=8"]
    texts = ["model=bert_tiny", "dataset=text_files", f"dataset.train_file={home}/reviews.csv"]
    typed = [*words, *(data if words[0].startswith("task") else texts), "tracker=none", "hardware=cpu"]
    ended = aiexp(home, "run", *typed)
    assert ended.code == 2
    (line,) = ended.stderr.splitlines()
    assert said in line
    assert "task.peft" in line
