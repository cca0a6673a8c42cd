"""A task built again from its run: what it falls back to, what it refuses."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aiexp.errors import AiexpError, CheckpointError, ConfigError, SecurityError
from aiexp.runs.loaded import load_run, made_hardware
from tests.use.trained_runs import pictures_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    every = ("trainer.checkpoint.every=2", "trainer.checkpoint.keep_last=3")
    return pictures_run(tmp_path_factory.mktemp("pictures"), *every)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run", symlinks=True)


def steps(run: Path) -> list[int]:
    return sorted(int(path.name[5:]) for path in (run / "checkpoints").glob("step-????????"))


def test_loading_leaves_random_numbers_alone_and_freezes_the_task(run: Path) -> None:
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    task = load_run(run).task
    assert torch.equal(torch.rand(2), wanted)
    assert not task.training
    assert not any(p.requires_grad for p in task.parameters())


def test_a_run_on_the_cpu_is_used_there_and_any_other_on_what_there_is(run: Path) -> None:
    hardware = load_run(run).config["hardware"]
    asked = {
        device: made_hardware({"hardware": {**hardware, "device": device}}, {}).device_type
        for device in ("cpu", "gpu")
    }
    assert asked == {"cpu": "cpu", "gpu": "cuda" if torch.cuda.is_available() else "cpu"}


def test_the_environment_is_set_before_torch_is_imported(run: Path) -> None:
    program = """
import sys
from pathlib import Path
from aiexp.hardware.hardware import Hardware
from aiexp.runs import loaded
set_environment = Hardware.set_environment
def watched(self):
    print("torch" in sys.modules)
    set_environment(self)
Hardware.set_environment = watched
loaded.load_run(Path(sys.argv[1]))
"""
    found = subprocess.run(
        [sys.executable, "-c", program, str(run)], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["False"]


def test_a_damaged_checkpoint_is_passed_over_and_named(run: Path) -> None:
    best = load_run(run).step
    (weights,) = (run / "checkpoints" / f"step-{best:08}").glob("model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-9] ^= 4
    weights.write_bytes(content)
    said: list[str] = []
    loaded = load_run(run, say=said.append)
    assert loaded.step in set(steps(run)) - {best}
    assert f"step {best}" in said[0]
    with pytest.raises(CheckpointError):
        load_run(run, step=best)


def test_an_unfinished_run_is_used_and_that_is_said(run: Path) -> None:
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"state": "stopped"}))
    said: list[str] = []
    assert load_run(run, say=said.append).step in steps(run)
    assert "the run is stopped" in said[0]


def test_a_run_without_a_checkpoint_says_what_to_do(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(CheckpointError, match="no checkpoint any more"):
        load_run(run)


def test_what_a_run_remembers_is_held_against_its_form(run: Path) -> None:
    for content in ("[]", '{"attributes": 3}', "{", '{"attributes": {"__class__": 1, "batch_size": "x"}}'):
        (run / "dataset.json").write_text(content)
        with pytest.raises(AiexpError):
            load_run(run)


def test_weights_of_another_task_are_refused_in_one_line(run: Path) -> None:
    remembered = json.loads((run / "dataset.json").read_text())
    remembered["attributes"]["class_names"] = ["only", "two"]
    (run / "dataset.json").write_text(json.dumps(remembered))
    with pytest.raises(ConfigError, match="do not fit"):
        load_run(run)


def test_a_run_that_names_code_of_elsewhere_is_refused(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    target = "aiexp.task.classification.image.ImageClassification"
    (run / "config.yaml").write_text(text.replace(target, "os.system"))
    with pytest.raises((SecurityError, ConfigError)):
        load_run(run)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("failed", "failed before its first checkpoint: error[data]: no file | "),
        ("stopped", "was stopped before its first checkpoint | "),
        ("running", "the run died before its first checkpoint | "),
        ("starting", "the run has no checkpoint yet | "),
    ],
)
def test_why_a_run_has_no_checkpoint(tmp_path: Path, state: str, expected: str) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / "config.yaml").write_text("seed: 0\n")
    (path / "overrides.yaml").write_text("choices: {task: mine}\noverrides: []\n")
    error = '"error[data]: no file"' if state == "failed" else "null"
    (path / "status.json").write_text(f'{{"state": "{state}", "error": {error}}}')
    with pytest.raises(CheckpointError) as caught:
        load_run(path)
    assert expected in caught.value.line()
    assert " | fix: " in caught.value.line()
