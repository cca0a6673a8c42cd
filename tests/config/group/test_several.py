"""`tracker=[wandb,tensorboard]`: how the list is composed, and what is said of a wrong one."""

import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from aiexp.config.axes import check_sweep
from aiexp.config.compose import compose
from aiexp.config.folders import conf_dirs
from aiexp.config.origin import Origin
from aiexp.errors import ConfigError
from aiexp.tracker.several import SeveralTrackers

BOTH = "tracker=[wandb,tensorboard]"


def tracker_of(*words: str) -> dict[str, Any]:
    composed = compose(["task=mnist_cnn", *words])
    plain: Any = OmegaConf.to_container(composed.config.tracker)
    return plain


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf" / "task").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_option_has_a_block_of_its_own(folder: Path) -> None:
    both = tracker_of(BOTH, "tracker.wandb.mode=offline", "tracker.tensorboard.flush_seconds=1")
    assert both.pop("_target_") == f"{SeveralTrackers.__module__}.{SeveralTrackers.__name__}"
    alone = {name: tracker_of(f"tracker={name}") for name in both}
    alone["wandb"]["mode"], alone["tensorboard"]["flush_seconds"] = "offline", 1
    assert both == alone
    assert compose(["task=mnist_cnn", BOTH]).choices["tracker"] == "[wandb,tensorboard]"
    assert list(tracker_of("tracker=[none]")) == ["_target_", "none"]


def test_a_list_in_a_file_is_a_list(folder: Path) -> None:
    (folder / "conf/mine.yaml").write_text("")
    primary = (conf_dirs().builtin / "aiexp.yaml").read_text()
    (folder / "conf/aiexp.yaml").write_text(primary.replace("tracker: wandb", "tracker: [tensorboard, none]"))
    assert list(tracker_of()) == ["_target_", "tensorboard", "none"]
    assert list(tracker_of("tracker=tensorboard")) == ["_target_", "flush_seconds"], "a word beats the file"
    assert list(tracker_of("tracker=[wandb]")) == ["_target_", "wandb"]
    (folder / "conf/task/own.yaml").write_text(
        "defaults: [mnist_cnn, _self_, {override /tracker: [wandb, tensorboard]}]\n"
    )
    (folder / "conf/aiexp.yaml").unlink()
    assert list(compose(["task=own"]).config.tracker) == ["_target_", "wandb", "tensorboard"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tracker=[wandb,tensorbord]"], "no option 'tensorbord' in group 'tracker'. Did you mean 'tensor"),
        (["tracker=[wandb,wandb]"], "names an option twice"),
        (["tracker=[]"], "names no option"),
        (["model=[small_cnn,mlp]"], "'model' takes one option, not a list"),
        (["tracker=wandb,tensorboard"], "or type 'tracker=[wandb,tensorboard]' for all of them in one run"),
        ([BOTH, "tracker.mode=offline"], "Did you mean 'tracker.wandb.mode'?"),
        ([BOTH, "tracker.wandb.mode=offlin"], "'tracker.wandb.mode' is 'offlin'"),
        (["tracker=wandb", "tracker.wandb.mode=offline"], "Did you mean 'tracker.mode'?"),
    ],
)  # fmt: skip
def test_a_wrong_list_is_one_clear_error(words: list[str], said: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):  # one: several would be `ConfigErrors`
        tracker_of(*words)


def test_unknown_names_in_a_file_are_named(folder: Path) -> None:
    (folder / "conf/task/own.yaml").write_text(
        "defaults: [mnist_cnn, _self_, {override /tracker: [wandb, nope]}]\n"
    )
    with pytest.raises(ConfigError, match="no option 'nope' in group 'tracker'"):
        compose(["task=own"])


def test_keys_come_from_the_files_of_the_options(folder: Path) -> None:
    origin = Origin(overrides=[BOTH], choices={"tracker": "[wandb,tensorboard]"}, dirs=conf_dirs())
    assert origin.where("tracker.tensorboard.flush_seconds").endswith(
        "conf/tracker/tensorboard.yaml: tracker.tensorboard.flush_seconds"
    )
    assert "conf/tracker/wandb.yaml" in origin.where("tracker.wandb.mode")


def test_values_without_brackets_are_jobs_of_a_sweep(folder: Path) -> None:
    for word, values in [
        ("tracker=wandb,tensorboard", ["tracker=wandb", "tracker=tensorboard"]),
        ("tracker=[wandb,tensorboard],none", ["tracker=[wandb,tensorboard]", "tracker=none"]),
    ]:
        axes, first = check_sweep(["task=mnist_cnn", word])
        assert axes.groups == [values]
        assert f"tracker={first.choices['tracker']}" == values[0]
