"""What composing accepts and gives."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from aiexp.config.compose import compose, shadow_notes
from aiexp.config.folders import conf_dirs
from aiexp.config.validate import validate
from aiexp.errors import AiexpError, ConfigError, SecurityError
from tests.lab import HEAVY, Lab, make_lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def test_a_task_selects_its_partners(lab: Lab) -> None:
    composed = compose([])
    assert composed.choices == {
        "task": "toy",
        "model": "small",
        "dataset": "numbers",
        "trainer": "toy",
        "hardware": "toy",
        "tracker": "toy",
    }
    assert composed.config.model.width == 4
    assert "hydra" not in composed.config


def test_the_command_line_beats_the_task(lab: Lab) -> None:
    composed = compose(
        ["model=large", "task=toy", "trainer.steps=3", "+task.extra=5", "~task.dropout", "+task.dropout=1"]
    )
    assert composed.choices["model"] == "large"
    assert composed.config.model.width == 64
    assert (composed.config.trainer.steps, composed.config.task.extra, composed.config.task.dropout) == (
        3,
        5,
        1,
    )
    assert composed.overrides[:2] == ["model=large", "task=toy"]


def test_groups_may_stay_empty(lab: Lab) -> None:
    composed = compose(["task=other"])
    assert composed.config.model is None
    assert "model" not in composed.choices


def test_interpolations_follow_overrides(lab: Lab) -> None:
    assert compose(["seed=7"]).config.dataset.seed == 7


def test_own_variables_are_readable_and_others_are_not(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIEXP_WIDTH", "12")
    monkeypatch.setenv("SECRET_TOKEN", "canary")
    assert compose(["model.width='${oc.decode:${oc.env:AIEXP_WIDTH}}'"]).config.model.width == 12
    with pytest.raises(SecurityError) as caught:
        compose(["model.activation=${oc.env:SECRET_TOKEN}"])
    assert "canary" not in str(caught.value)


def test_a_second_folder_adds_options_and_replaces_none(lab: Lab) -> None:
    lab.write("more/model/huge.yaml", "# Huge\n_target_: my_lab.parts.Model\nwidth: 999\nactivation: gelu\n")
    lab.write(
        "more/model/small.yaml", "# Not this\n_target_: my_lab.parts.Model\nwidth: 1\nactivation: gelu\n"
    )
    assert compose(["model=huge"], config_dir="more").config.model.width == 999
    assert compose(["model=small"], config_dir="more").config.model.width == 4
    with pytest.raises(ConfigError, match="no such folder"):
        compose([], config_dir="nowhere")


def test_global_files_of_a_users_own_group(lab: Lab) -> None:
    lab.write(
        "conf/experiment/e1.yaml",
        "# @package _global_\ndefaults: [override /model: large]\ntrainer: {steps: 77}\n",
    )
    composed = compose(["+experiment=e1"])
    assert (composed.config.trainer.steps, composed.config.model.width) == (77, 64)
    lab.write("conf/experiment/e2.yaml", "# @package _global_\ntrainer: {stepps: 77}\n")
    with pytest.raises(ConfigError, match=r"stepps.*conf/experiment/e2.yaml"):
        compose(["+experiment=e2"])


def test_a_shadowed_builtin_file_is_named(lab: Lab) -> None:
    lab.write("conf/hardware/cpu.yaml", "# Mine\n_target_: my_lab.parts.Hardware\ndevice: cpu\n")
    notes = shadow_notes(compose(["hardware=cpu"]), conf_dirs())
    assert notes == [
        "conf/aiexp.yaml replaces aiexp's own defaults",
        "conf/hardware/cpu.yaml replaces aiexp's own hardware=cpu",
    ]


def test_an_unrelated_config_yaml_is_harmless(lab: Lab) -> None:
    lab.write("conf/config.yaml", "this: [is, not, ours]\nhydra: {searchpath: [nowhere]}\n")
    assert compose([]).choices["task"] == "toy"


def test_composing_imports_nothing_heavy_and_not_the_users_code(lab: Lab) -> None:
    watch = f"lambda: print('LOADED', *{{*{(*HEAVY, 'my_lab')}}} & {{*sys.modules}})"
    program = f"import atexit, sys; atexit.register({watch})"
    done = lab.aiexp("run", "--cfg", "job", program=program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_validate_returns_plain_values_of_a_stored_config(lab: Lab) -> None:
    stored = OmegaConf.to_container(compose([]).config, resolve=True)
    assert isinstance(stored, dict)
    assert validate(stored, source="run/config.yaml") == stored  # type: ignore[arg-type]


def test_interpolations_in_a_stored_config_are_text(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = OmegaConf.to_container(compose([]).config, resolve=True)
    assert isinstance(stored, dict)
    bomb = {f"x{i}": f"${{x{i + 1}}}" * 10 for i in range(30)} | {"x30": "boom"}
    more = {
        "bomb": bomb,
        "env": "${oc.env:HOME}",
        "name": "a",
        "model": {**stored["model"], "_target_": "${name}"},
    }
    with pytest.raises(AiexpError, match=r"not .\$\{name\}"):
        validate({**stored, **more})
    del more["model"]
    assert validate({**stored, **more}) == {**stored, **more}


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("model", {"_target_": "os.system", "command": "touch canary"}, 10),
        (
            "model",
            {"_target_": "my_lab.parts.Model", "width": {"_target_": "builtins.eval"}, "activation": "relu"},
            10,
        ),
        ("seed", "${oc.env:HOME}", 2),
        ("model", {"_target_": "my_lab.parts.Model", "width": "a", "activation": "relu"}, 2),
        ("trainer", None, 2),
        ("task", "text", 2),
    ],
)
def test_a_stored_config_is_not_trusted(lab: Lab, key: str, value: object, code: int) -> None:
    stored = OmegaConf.to_container(compose([]).config, resolve=True)
    assert isinstance(stored, dict)
    with pytest.raises(AiexpError) as caught:
        validate({**stored, key: value}, source="run/config.yaml")  # type: ignore[dict-item]
    assert caught.value.exit_code == code
    assert all("run/config.yaml" in line for line in caught.value.lines())
    assert not (lab.root / "canary").exists()
