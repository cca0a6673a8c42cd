"""`aiexp show`: a config with what it means and where it comes from; a run in full."""

import json
from pathlib import Path

import pytest
import yaml

from aiexp import cli
from aiexp.config.compose import compose
from tests.command.test_runs import make_run


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(["show", *words]) == 0
    return capsys.readouterr().out


def sources(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, str]]:
    """Key to what is said of it."""
    return {line["key"]: line for line in json.loads(shown(capsys, *words, "--format", "json"))}


def test_a_shown_config_is_the_one_that_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    from omegaconf import OmegaConf

    words = ["task=mnist_cnn", "optimizer=sgd", "trainer.epochs=2"]
    content = yaml.safe_load(shown(capsys, *words))
    assert content == OmegaConf.to_container(compose(words).config, resolve=True)


def test_each_key_says_what_it_means_and_which_file_wrote_it(capsys: pytest.CaptureFixture[str]) -> None:
    found = sources(capsys, "task=mnist_cnn", "optimizer=sgd", "trainer.epochs=2")
    said = {key: (Path(found[key]["source"]).stem, found[key]["comment"]) for key in found}
    assert said["trainer.epochs"] == ("typed", "passes over the training split; null: use steps")
    assert said["trainer.log_every"] == ("cosine", "optimizer steps between lines of training metrics")
    assert said["trainer.accumulate"][0] == "default"
    assert said["task.optimizer.momentum"][0] == "sgd"
    assert said["task.optimizer.weight_decay"] == ("mnist_cnn", "on matrices and filters only")
    assert said["task.num_worst"][0] == "_image_classification"
    assert (found["dataset.seed"]["value"], found["dataset.seed"]["reference"]) == (0, "${seed}")


def test_several_trackers_have_their_own_files(capsys: pytest.CaptureFixture[str]) -> None:
    found = sources(capsys, "tracker=[wandb,tensorboard]", "tracker.wandb.mode=offline")
    assert found["tracker.wandb.mode"]["source"] == "typed"
    assert Path(found["tracker.wandb.project"]["source"]).stem == "wandb"
    assert found["tracker.wandb.project"]["comment"].startswith("W&B project")


def test_a_part_is_shown_alone_with_the_file_of_keys_that_differ(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, "task=mnist_cnn", "trainer=triangle", "trainer")
    assert out.startswith("trainer:")
    assert "hardware" not in out
    assert "triangle.yaml on default]" in out.splitlines()[0]
    (epochs,) = [line for line in out.splitlines() if line.startswith("  epochs: 6 ")]
    assert "# [triangle] passes" in epochs
    assert "[" not in next(line for line in out.splitlines() if line.startswith("  clip: null"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=mnist_cnn", "trainr"], "no key 'trainr'. Did you mean 'trainer"),
        (["task=mnist_cn"], "Did you mean 'mnist_cnn'"),
        (["nothing"], "no such run directory"),
        (["seed=1", "task", "model"], "name one key"),
    ],
)
def test_what_is_not_there(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert cli.main(["show", *words]) in (2, 4)
    assert message in capsys.readouterr().err


def test_a_finished_run(capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run("2026-01-01_00-00-00_a_aaaaaa", accuracy=0.9, steps=(10, 20), best=20)
    out = shown(capsys, "aaa")
    assert out.startswith("mnist  aaaaaa  finished\n")
    assert "accuracy   0.9000" in out
    assert "checkpoints/ of steps 10, 20" in out
    assert "aiexp predict aaaaaa ..." in out
    assert json.loads(shown(capsys, str(run), "--format", "json"))["metrics"]["test/accuracy"] == 0.9


@pytest.mark.parametrize(
    ("record", "lines"),
    [
        (
            {"wandb": {"id": "abc", "mode": "online"}, "tensorboard": {"folder": "tb"}},
            ["tracker     wandb: id abc, mode online", "            tensorboard: folder tb"],
        ),
        (
            {"id": "abc", "mode": "offline"},
            ["tracker     wandb: id abc, mode offline"],
        ),  # of an older aiexp
    ],
)
def test_a_run_says_who_tracked_it(
    capsys: pytest.CaptureFixture[str], record: dict[str, object], lines: list[str]
) -> None:
    run = make_run("2026-01-01_00-00-00_a_aaaaaa")
    (run / "environment.json").write_text(json.dumps({"tracker": record}))
    out = shown(capsys, "aaa").splitlines()
    place = out.index(lines[0])
    assert out[place : place + len(lines)] == lines


def test_a_run_that_died_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    make_run("2026-01-04_00-00-00_d_dddddd", state="running", steps=(5, 6))
    out = shown(capsys, "ddd")
    assert out.startswith("mnist  dddddd  died\n")
    assert "next        aiexp resume outputs/mnist/2026-01-04_00-00-00_d_dddddd" in out
