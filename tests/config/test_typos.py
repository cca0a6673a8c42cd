"""Typos in YAML files, and several problems at once."""

# ruff: noqa: E501 (tables: one case a line)

import subprocess
import sys
from pathlib import Path

import pytest

from aiexp.config.compose import compose
from aiexp.errors import AiexpError, ConfigErrors
from tests.lab import Lab, make_lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def lines(*overrides: str) -> list[str]:
    """The lines of a command that must fail with exit code 2."""
    with pytest.raises(AiexpError) as caught:
        compose(list(overrides))
    assert caught.value.exit_code == 2, caught.value.lines()
    return caught.value.lines()


def test_the_nearest_definition_is_named(lab: Lab) -> None:
    (line,) = lines("model._target_=my_lab.parts.Modle")
    assert "Did you mean 'Model'?" in line


IN_FILES = [
    ("model", "width: 1\nactivation: relu\nwidht: 2", "unknown key 'model.widht'. Did you mean 'width'? | conf/model/mine.yaml: model.widht"),
    ("model", "width: a\nactivation: relu", "'model.width' is 'a' | conf/model/mine.yaml: model.width | fix: give a whole number"),
    ("model", "activation: relu", "needs the argument width | conf/model/mine.yaml: model | fix: add +model.width=..."),
    ("model", "width: ${dataset.size}\nactivation: relu", "refers to a key that does not exist. | conf/model/mine.yaml: model.width"),
    ("model", "width: 1\nwidth: 2\nactivation: relu", "found duplicate key width | conf/model/mine.yaml: line 3"),
    ("model", "width: [1\nactivation: relu", "not valid YAML"),
    ("model", "width: !!python/object/apply:os.system [touch canary]\nactivation: relu", "not valid YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("group", "text", "expected"), IN_FILES)
def test_yaml_file(lab: Lab, group: str, text: str, expected: str) -> None:
    lab.write(f"conf/{group}/mine.yaml", f"_target_: my_lab.parts.Model\n{text}\n")
    (line,) = lines(f"{group}=mine")
    assert expected in line
    assert "conf/model/mine.yaml" in line
    assert not (lab.root / "canary").exists()


def test_the_file_that_wrote_the_key_is_named(lab: Lab) -> None:
    lab.write("conf/model/small.yaml", "_target_: my_lab.parts.Model\nwidth: 4\nactivation: tanh\n")
    (line,) = lines("model=large")
    assert "conf/model/small.yaml: model.activation" in line


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [
        (
            "[override /model: smal]",
            "no option 'smal' in group 'model'. Did you mean 'small'? | conf/task/mine.yaml",
        ),
        ("[basis]", "no option 'basis' in group 'task'. | conf/task/mine.yaml: defaults"),
        (
            "[override /modle: small]",
            "'modle', which is no group. Did you mean 'model'? | conf/task/mine.yaml: defaults",
        ),
    ],
)
def test_defaults_list(lab: Lab, defaults: str, expected: str) -> None:
    lab.write("conf/task/mine.yaml", f"defaults: {defaults}\n_target_: my_lab.parts.Other\ngamma: 1\n")
    (line,) = lines("task=mine")
    assert expected in line


def test_everything_at_once(lab: Lab) -> None:
    lab.write("conf/model/mine.yaml", "_target_: my_lab.parts.Model\nwidht: 4\nactivation: relu\n")
    found = lines(
        "model=mine", "trainer.steps=x", "tracer=y", "seed", "+task.optimizer.lrr=1", "dataset=numbrs"
    )
    assert len(found) == 7
    for part in (
        "'tracer'",
        "'seed' is not",
        "'numbrs'",
        "model.widht",
        "argument width",
        "trainer.steps",
        "lrr",
    ):
        assert sum(part in line for line in found) == 1, part


def test_one_wrong_value_is_said_once(lab: Lab) -> None:
    (line,) = lines("seed=abc")  # dataset.seed repeats it
    assert "'seed' is 'abc', not a whole number" in line
    assert "| command line: seed=abc" in line


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_numbers_are_finite(lab: Lab, value: str) -> None:
    (line,) = lines(f"trainer.clip={value}")
    assert f"'trainer.clip' is {value} | command line: trainer.clip={value}" in line
    assert "a finite number" in line


@pytest.mark.parametrize("seed", [-1, 2**63, "inf", 0.5, "true"])
def test_seeds_have_63_bits(lab: Lab, seed: object) -> None:
    assert any("'seed' is" in line for line in lines(f"seed={seed}"))
    assert compose([f"seed={2**63 - 1}"]).config.seed == 2**63 - 1


def test_an_unknown_task_does_not_drag_its_keys_along(lab: Lab) -> None:
    (line,) = lines("task=dqn", "task.gamma=0.9", "trainer.steps=5")
    assert "no option 'dqn' in group 'task'" in line
    assert "gamma" not in line


def test_a_refusal_outranks_a_typo(lab: Lab) -> None:
    with pytest.raises(ConfigErrors) as caught:
        compose(["trainer.stepps=1", "model._target_=os.system"])
    assert caught.value.exit_code == 10
    assert "os.system" in caught.value.lines()[0]


@pytest.mark.parametrize("words", [["seed=${seed}"], ["seed=${dataset.seed}"]])
def test_keys_that_refer_to_each_other_in_a_circle(words: list[str]) -> None:
    with pytest.raises(ConfigErrors, match="cannot be resolved"):
        compose(["task=maml_sine", *words])


def test_networks_of_torchvision_are_known_without_importing_it() -> None:
    """As many as torchvision itself lists."""
    code = (
        "import sys\n"
        "from aiexp.config.misspelled import torchvision_networks\n"
        "found = torchvision_networks()\n"
        "assert not {'torch', 'torchvision'} & set(sys.modules)\n"
        "from torchvision import models\n"
        "assert found == set(models.list_models(module=models)), found\n"
        "print(len(found))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, int(done.stdout or 0) > 50) == (0, True), done.stderr


def test_a_network_of_torchvision_is_led_to_its_option() -> None:
    (line,) = lines("task=transfer", "model=resnet50")
    assert "no option 'resnet50' in group 'model': torchvision has a network of this name" in line
    fix = line.partition("fix: type ")[2].split(" |")[0]
    assert fix == "model=torchvision model.name=resnet50"
    assert compose(["task=transfer", *fix.split()]).config.model.name == "resnet50"
    (line,) = lines("task=transfer", "model=resnet5000")
    assert "model=torchvision" not in line
    (line,) = lines("task=mnist_cnn", "dataset=resnet50")
    assert "model=torchvision" not in line
