"""Vectors in classes: learns, equals a loop written by hand, resumes and predicts."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import TensorDataset

from aiexp import cli
from aiexp.checkpoint.state import seed_everything
from aiexp.dataset.array.dataset import ArrayDataset
from aiexp.dataset.torch_dataset import TorchDataset
from aiexp.errors import AiexpError, ConfigError
from aiexp.model.vector.mlp import VectorMlp
from aiexp.task.classification.vector import VectorClassification
from aiexp.world.world import World
from tests.dataset.built_in import values_of
from tests.endings import check_killed_and_resumed
from tests.task.learning import losses

QUICK = ["tracker=none", "hardware=cpu", "hardware.threads=1", "hardware.precision=fp32"]


def blobs(**changes: Any) -> ArrayDataset:
    """Three clouds far from 0 whose numbers have different units, and one number that never changes."""
    labels = np.arange(90) % 3
    x = np.random.default_rng(0).normal(size=(90, 2, 2)) + labels[:, None, None] * 2
    x = x * [[1.0, 100.0], [0.01, 0.0]] + 50
    settings = {"batch_size": 16, "eval_batch_size": 7, "drop_last": False, "limit": None, "seed": 0}
    return ArrayDataset(
        arrays={"x": x, "labels": labels}, eval_fraction=0.2, test_fraction=0.2, **(settings | changes)
    )


def make(dataset: Any = None, **changes: Any) -> tuple[VectorClassification, ArrayDataset]:
    seed_everything(0)
    dataset = dataset or blobs()
    settings: dict[str, Any] = {
        "model": VectorMlp(hidden_sizes=[16, 16], dropout=0.0),
        "optimizer": lambda groups: torch.optim.Adam(groups, lr=1e-2),
        "standardize": True, "label_smoothing": 0.0, "num_worst": 5,
    }  # fmt: skip
    return VectorClassification(dataset=dataset, **(settings | changes)), dataset


def test_overfits_a_small_batch() -> None:
    task, dataset = make()
    curve = losses(task, itertools.repeat(next(dataset.train_batches(0))), 60)
    assert curve[0] > 0.9
    assert curve[-1] < 0.01


def test_equals_a_loop_written_by_hand() -> None:
    task, dataset = make(optimizer=lambda groups: torch.optim.SGD(groups, lr=0.1))
    curve = losses(task, dataset.train_batches(0), 6)
    seed_everything(0)
    layers = [nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)]
    network = nn.Sequential(nn.Flatten(), *layers)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    whole = dataset.arrays("train")["x"].double()
    mean, std = whole.mean(0), whole.std(0, correction=0)
    std[1, 1] = math.inf  # it says nothing
    for expected, batch in zip(curve, dataset.train_batches(0), strict=False):
        loss = F.cross_entropy(network(((batch["x"] - mean) / std).float()), batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_an_evaluation_is_one_pass_and_predictions_agree_with_it() -> None:
    task, dataset = make()
    losses(task, dataset.train_batches(0), 4)
    task.eval()
    x, labels = dataset.arrays("test")["x"], dataset.arrays("test")["labels"]
    with torch.inference_mode():
        result = task.evaluate(dataset, "test", report=True)
        logits = task(x)
        inputs = task.inputs()
        answers = task.predict(inputs.collate(inputs.prepare([row.tolist() for row in x])))
    right = (logits.argmax(1) == labels).float().mean().item()
    assert result.metrics["accuracy"] == pytest.approx(right)
    assert result.metrics["loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-4)
    said = [
        int(answer.values["label"]) == label for answer, label in zip(answers, labels.tolist(), strict=True)
    ]
    assert np.mean(said) == pytest.approx(right)
    assert result.pdfs["confusion_matrix"].startswith(b"%PDF")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("1, 2 3,4", [[1, 2], [3, 4]]), ("[[1,2],[3,4]]", [[1, 2], [3, 4]]), ([1, 2, 3, 4], [[1, 2], [3, 4]]),
        (np.ones((2, 2)), [[1, 1], [1, 1]]), ("1, 2", "4 numbers"), ("a b", "no list"), (None, "NoneType"),
        ([1, 2, 3, math.nan], "not finite"), ("", "no list"), ({"a": 1}, "dict"),
    ],
)  # fmt: skip
def test_an_example_comes_in_many_forms(value: Any, wanted: Any) -> None:
    (read,) = make()[0].inputs().prepare([value])
    if isinstance(wanted, str):
        assert isinstance(read, AiexpError)
        assert wanted in read.what.replace("2x2", "4")
    else:
        assert read.tolist() == wanted


def test_what_does_not_fit_is_named() -> None:
    numbers = {"x": np.zeros((20, 2)), "y": np.zeros(20)}
    settings = {"batch_size": 4, "eval_batch_size": 4, "drop_last": False, "limit": None, "seed": 0}
    with pytest.raises(ConfigError, match="has numbers to find, not classes"):
        make(ArrayDataset(arrays=numbers, **settings))
    pairs = TensorDataset(torch.randn(20, 2), torch.arange(20) % 2)
    unnamed = TorchDataset(**(values_of("torch_dataset") | {"train": pairs, "batch_size": 4}))
    with pytest.raises(ConfigError, match="names no classes") as caught:
        make(unnamed)
    assert "dataset.class_names=" in (caught.value.fix or "")
    with pytest.raises(ConfigError, match="have no `x`"):
        make(ArrayDataset(arrays={"z": np.zeros((20, 2)), "labels": np.arange(20) % 2}, **settings))


class Normed(nn.Module):
    """A trunk that normalises over the batch."""

    def __init__(self, size: int = 4) -> None:
        super().__init__()
        self.feature_size, self.layer = size, nn.BatchNorm1d(size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(1))


def test_batch_norm_needs_two_examples() -> None:
    with pytest.raises(ConfigError, match=r"54 = 1 x 53 \+ 1\) has one example, and Normed has batch norm"):
        make(blobs(batch_size=53), model=Normed())
    make(blobs(batch_size=53, drop_last=True), model=Normed())
    make(blobs(batch_size=53))
    with pytest.raises(ConfigError, match="6 examples leaves one for a rank of 4"):
        make(blobs(), model=Normed())[0].join(World(0, 4))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["vector_classification", "vector_regression"])
def test_a_killed_run_ends_as_one_that_was_not(task: str, tmp_path: Path) -> None:
    words = [f"task={task}", *QUICK, "trainer.steps=12", "trainer.epochs=null", "trainer.checkpoint.every=5"]
    check_killed_and_resumed([*words, "trainer.evaluate_every=6", "trainer.log_every=3"], 8, tmp_path)


def test_a_table_is_learned_predicted_explained_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    rows = [(a, b, "ab"[int(a > b)]) for a, b in random.normal(size=(300, 2)).round(3)]
    Path("points.csv").write_text("a,b,kind\n" + "\n".join(f"{a},{b},{kind}" for a, b, kind in rows))
    words = ["task=vector_classification", "dataset=arrays", "dataset.train_file=points.csv"]
    assert cli.main(["run", *words, "dataset.target=kind", "trainer.epochs=12", *QUICK]) == 0
    run = str(Path("outputs/latest").resolve())
    Path("new.csv").write_text("note,b,a\nx,-2,2\ny,2,-2\nz,far,2\n")
    capsys.readouterr()
    assert cli.main(["predict", run, "new.csv", "3 -3", "--format", "jsonl", "--skip-bad"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["label"] for answer in answers] == ["b", "a", "b"]
    assert cli.main(["explain", run, "3 -3"]) == 0
    assert cli.main(["export", run, "--to", "torch_export", "--out", "program"]) == 0
