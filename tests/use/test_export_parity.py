"""What export refuses: networks that differ, names that clash, other tasks, missing libraries, no login."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aiexp import cli
from aiexp.errors import CheckpointError, ConfigError, HardwareError
from aiexp.prediction.network import Network, Port
from aiexp.prediction.seeds import Seeds
from aiexp.task.base import Task
from aiexp.use.exporting.examples import Data
from aiexp.use.exporting.export import FORMS, Request, fill
from aiexp.use.exporting.onnx_form import output_names
from aiexp.use.exporting.parity import difference
from tests.use.trained_runs import loaded

NO_DATA = Data(dataset=None, split="", fetched=[])
EMBEDDED = Port(sizes=("batch", 4))


class Odd(nn.Module):
    """Computes otherwise while it is traced."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.dense, self.factor = nn.Linear(4, 4), factor

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x) * (self.factor if torch.compiler.is_compiling() else 1.0)


class Chain(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(4, 4), Odd(factor), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.middle(self.first(x)).relu())


class Named(nn.Module):
    """torch calls the inner value of this one "embedding", and its input and output have one name."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3)

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        made = self.table(words)
        return made.sum(1), made * 2


class Nets(Task):
    """A task that is nothing but its networks."""

    def __init__(self, **networks: Network) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({name: network.module for name, network in networks.items()})
        self.named = networks

    def train_step(self, batch: Any) -> Iterator[Any]:
        raise NotImplementedError

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {}

    def inputs(self) -> Seeds:
        return Seeds(1)

    def networks(self) -> dict[str, Network]:
        return self.named


def written(folder: Path, task: Task, form: str = "onnx", *, quantize: bool = False) -> dict[str, Any]:
    """Fills `folder / "out"`; returns its record."""
    run = loaded(folder, task)
    made = FORMS[form](run, task.networks())
    made.check()
    out = folder / "out"
    out.mkdir()
    fill(out, run, made, Request(form=form, quantize=quantize), NO_DATA, lambda _: None)
    return json.loads((out / "export.json").read_text())["networks"]


@pytest.mark.parametrize("form", ["onnx", "torch_export"])
def test_a_network_that_differs_is_refused_by_its_layer(tmp_path: Path, form: str) -> None:
    torch.manual_seed(0)
    task = Nets(good=Network(module=Chain(1.0), inputs={"x": EMBEDDED}),
                bad=Network(module=Chain(1.01), inputs={"x": EMBEDDED}))  # fmt: skip
    with pytest.raises(CheckpointError, match="network 'bad' differs") as caught:
        written(tmp_path, task, form)
    assert caught.value.exit_code == 4
    assert caught.value.where == "bad.middle"


def test_equal_networks_are_kept(tmp_path: Path) -> None:
    task = Nets(good=Network(module=Chain(1.0), inputs={"x": EMBEDDED}, text="A chain."))
    made = written(tmp_path, task, quantize=True)
    assert made["good"]["largest_difference"] < 1e-5
    assert made["good"]["int8"]["accuracy"] is None
    assert "**good** (`good.onnx`): A chain." in (tmp_path / "out/README.md").read_text()


def test_names_that_clash_inside_a_file_are_told_apart(tmp_path: Path) -> None:
    import onnx

    words = Port(sizes=("batch", "length"), dtype=torch.int64, high=5)
    network = Network(module=Named(), inputs={"words": words}, outputs=("embedding", "words"))
    assert output_names(network) == ["embedding", "words_2"]
    written(tmp_path, Nets(one=network))
    graph = onnx.load(tmp_path / "out/one.onnx").graph
    assert [value.name for value in graph.output] == ["embedding", "words_2"]
    shape = graph.input[0].type.tensor_type.shape
    assert [size.dim_param for size in shape.dim] == ["batch", "length"]


def test_code_that_cannot_be_traced_is_one_line(tmp_path: Path) -> None:
    class Branches(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) if input.sum() > 0 else input

    task = Nets(one=Network(module=Branches(4, 4), inputs={"x": EMBEDDED}))
    with pytest.raises(ConfigError, match="network 'one' cannot be exported") as caught:
        written(tmp_path, task)
    assert "\n" not in caught.value.line()


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.25),  # by the largest value
        ([0.1], [0.2], 0.1),
        ([1.0], [float("nan")], float("inf")),
        ([float("nan")], [float("nan")], float("inf")),
        ([1.0], [1.0, 1.0], float("inf")),
        ([], [], 0.0),
    ],
)
def test_a_difference(ours: list[float], theirs: list[float], expected: float) -> None:
    assert difference(torch.tensor(ours), torch.tensor(theirs)) == pytest.approx(expected)


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_library_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(HardwareError) as caught:
        written(tmp_path, Nets())
    assert caught.value.fix == "pip install 'aiexp[export]'"


def test_a_task_of_another_kind_has_no_such_form(tmp_path: Path) -> None:
    task = Nets(one=Network(module=Chain(1.0), inputs={"x": EMBEDDED}))
    with pytest.raises(ConfigError, match="Nets is no classifier of texts"):
        written(tmp_path, task, "huggingface")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run"], "in which form?"),
        (["run", "other", "--to", "onnx"], "one run is exported at a time"),
        (["run", "--to", "weights", "--quantize", "int8"], "--quantize is for --to onnx"),
        (["run", "--to", "onnx", "--push", "reviews"], "fix: --push owner/name"),
        (["run", "--to", "onnx", "--step", "x"], "--step is 'x'"),
        (["nowhere", "--to", "onnx"], "no such run directory"),
    ],
)
def test_a_wrong_command_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: list[str], expected: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", *words]) in (2, 4)
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
