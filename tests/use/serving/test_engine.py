"""ONNX Runtime in place of a task's network: the same answers, or a refusal before anybody asks."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from aiexp import cli
from aiexp.errors import CheckpointError, ConfigError, HardwareError
from aiexp.prediction.network import Network, Port
from aiexp.prediction.prediction import Prediction
from aiexp.runs.loaded import load_run
from aiexp.use.exporting.onnx_form import OnnxForm, OnnxRebuilt
from aiexp.use.predicting import predict_batch
from aiexp.use.serving.engine import use_onnx
from tests.use.serving.stubs import Stub
from tests.use.trained_runs import loaded

PORTS = {"x": Port(sizes=("batch", 2))}


class Doubling(Stub):
    """Answers by a network that it calls, with tensors of numbers.

    Args:
        seed: Of its weights.
        more: What it says of its network.
    """

    def __init__(self, seed: int = 0, **more: Any) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.network, self.more = nn.Sequential(nn.Linear(2, 3), nn.Tanh()), more

    def networks(self) -> dict[str, Network]:
        return {"net": Network(module=self.network, inputs=PORTS, **self.more)}

    def predict(self, batch: Any) -> list[Prediction]:
        return [Prediction(line=str(row), values={"row": row}) for row in self.network(batch).tolist()]


class Two(Doubling):
    def networks(self) -> dict[str, Network]:
        return super().networks() | {"other": Network(module=nn.Linear(2, 1), inputs=PORTS)}


class MadeForExport(Doubling):
    def networks(self) -> dict[str, Network]:
        return {"net": Network(module=nn.Sequential(self.network), inputs=PORTS)}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network of `Doubling()` as a file; an export takes seconds."""
    run = loaded(tmp_path_factory.mktemp("doubling"), Doubling())
    OnnxForm(run, run.task.networks()).write("net", run.directory.path)
    return run.directory.path / "net.onnx"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, file: Path) -> list[str]:
    """The networks that were exported; what comes of it is that file."""
    names: list[str] = []

    def write(_: OnnxForm, name: str, folder: Path) -> None:
        names.append(name)
        shutil.copy(file, folder / f"{name}.onnx")

    monkeypatch.setattr(OnnxForm, "write", write)
    return names


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that ONNX Runtime has computed."""
    seen: list[int] = []
    outputs = OnnxRebuilt.outputs

    def counted(self: OnnxRebuilt, tensors: Any) -> list[Tensor]:
        seen.append(len(tensors[0]))
        return outputs(self, tensors)

    monkeypatch.setattr(OnnxRebuilt, "outputs", counted)
    return seen


def numbers(predictions: list[Prediction]) -> Tensor:
    """The probabilities of predictions."""
    return torch.tensor([list(one.values["probabilities"].values()) for one in predictions])


def test_texts_are_answered_as_by_the_task(texts: Path, calls: list[int]) -> None:
    run = load_run(texts)
    inputs = run.task.inputs()
    examples = inputs.prepare(["great", "dull film " * 30, "a"])
    wanted = predict_batch(run, inputs, examples)
    assert use_onnx(run) < 1e-4
    calls.clear()
    found = predict_batch(run, inputs, examples)
    assert calls == [3]
    assert torch.allclose(numbers(found), numbers(wanted), atol=1e-5)
    assert [one.values["label"] for one in found] == [one.values["label"] for one in wanted]
    assert not (texts / "exports").exists()


def test_a_network_inside_a_task_is_replaced_and_other_weights_are_noticed(
    calls: list[int], tmp_path: Path, written: list[str]
) -> None:
    task = Doubling()
    batch = torch.randn(4, 2)
    wanted = task.network(batch)
    use_onnx(loaded(tmp_path, task))
    calls.clear()
    assert torch.allclose(torch.tensor([p.values["row"] for p in task.predict(batch)]), wanted, atol=1e-6)
    assert torch.allclose(task.network(batch.double()), wanted, atol=1e-6)  # in the type of the network
    assert calls == [4, 4]
    others = {name: weight + 1 for name, weight in task.network.state_dict().items()}
    with pytest.raises(ConfigError, match="calls its network with other weights"):
        functional_call(task.network, others, (batch,))


def test_what_was_exported_of_this_checkpoint_is_taken_and_compared(
    tmp_path: Path, file: Path, written: list[str]
) -> None:
    run = loaded(tmp_path, Doubling())
    folder = run.directory.path / "exports" / "onnx"
    folder.mkdir(parents=True)

    def use(content: bytes, record: str) -> int:
        """How many networks were exported by then."""
        (folder / "net.onnx").write_bytes(content)
        (folder / "export.json").write_text(record)
        use_onnx(replace(run, task=Doubling()))
        return len(written)

    good = file.read_bytes()
    assert use(good, '{"step": 3}') == 0
    assert use(good, '{"step": 4}') == 1
    assert use(good, "{") == 2
    assert use(good[:100], '{"step": 3}') == 3
    with pytest.raises(CheckpointError, match="differs"):  # other weights: neither the kept one nor the new
        use_onnx(replace(run, task=Doubling(seed=1)))
    assert len(written) == 4


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (Two, r"Two has 2 networks \(net, other\), and an engine stands in for one"),
        (lambda: Doubling(adapts=True), "Doubling adapts its network 'net' to what it is asked"),
        (MadeForExport, "the network 'net' of MadeForExport is made for an export"),
        (Stub, "Stub names no networks to export"),
    ],
)
def test_a_task_that_no_engine_can_compute_is_refused(
    tmp_path: Path, make: Callable[[], Stub], line: str
) -> None:
    with pytest.raises(ConfigError, match=line) as raised:
        use_onnx(loaded(tmp_path, make()))
    assert raised.value.exit_code == 2


def test_a_network_that_differs_is_refused(tmp_path: Path, written: list[str]) -> None:
    task = Doubling(seed=1)
    with pytest.raises(CheckpointError, match="network 'net' differs from the trained one") as raised:
        use_onnx(loaded(tmp_path, task))
    assert raised.value.exit_code == 4
    assert written == ["net"]
    assert "forward" not in vars(task.network)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_extra_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(HardwareError) as raised:
        use_onnx(loaded(tmp_path, Doubling()))
    assert raised.value.fix == "pip install 'aiexp[export]'"


def test_an_engine_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "nowhere", "--engine", "tensorrt"]) == 2
    assert "--engine takes eager|onnx, not 'tensorrt'" in capsys.readouterr().err
