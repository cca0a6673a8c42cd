import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from aiexp import cli
from aiexp.command import COMMANDS, module_of
from aiexp.source import cache
from aiexp.source.catalog.entry import Entry
from tests.lab import Lab, make_lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


def complete(capsys: pytest.CaptureFixture[str], line: str) -> list[str]:
    assert cli.main(["completion", "--words", line]) == 0
    return capsys.readouterr().out.split()


def test_completion(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    run = lab.root / "outputs/toy/2026_run"
    run.mkdir(parents=True)
    (run / "status.json").write_text(json.dumps({"state": "finished"}))
    assert complete(capsys, "aiexp r") == ["run", "resume", "reproduce", "runs"]
    assert {"task=toy", "task=other"} <= set(complete(capsys, "aiexp run task="))
    assert complete(capsys, "aiexp run -m model=small,la") == ["model=small,large"]
    assert complete(capsys, "aiexp run trai") == ["trainer=", "trainer."]
    assert complete(capsys, "aiexp run trainer.") == ["trainer.steps=", "trainer.clip="]
    assert complete(capsys, "aiexp run task=other task.") == ["task.gamma="]
    assert complete(capsys, "aiexp run +model.bias=") == ["+model.bias=true", "+model.bias=false"]
    assert complete(capsys, "aiexp run --m") == ["--multirun"]
    assert complete(capsys, "aiexp run --info task=o") == ["task=other"]  # its value may be left out
    assert complete(capsys, "aiexp run --config-dir ") == []
    assert complete(capsys, "aiexp runs p") == ["prune"]
    assert complete(capsys, "aiexp help comp") == ["compare", "completion"]
    assert complete(capsys, "aiexp resume out") == ["outputs/"]
    assert complete(capsys, "aiexp resume outputs/toy/") == ["outputs/toy/2026_run"]
    assert "minilm" in complete(capsys, "aiexp data fetch ")
    assert complete(capsys, "aiexp run nonsense.") == []
    assert complete(capsys, "aiexp list ta") == ["task"]
    assert complete(capsys, "aiexp list task ot") == ["other"]
    assert complete(capsys, "aiexp runs state=fai") == ["state=failed"]
    assert complete(capsys, "aiexp runs st") == ["state="]
    assert "task=mnist_cnn" in complete(capsys, "aiexp runs task=mn")
    assert complete(capsys, "aiexp predict outputs/toy/") == ["outputs/toy/2026_run"]
    assert complete(capsys, "aiexp show task=o") == ["task=other"]
    assert "hydra/sweeper=optuna" in complete(capsys, "aiexp run -m hydra/sweeper=")
    assert "hydra.launcher.n_jobs=" in complete(capsys, "aiexp run -m hydra.launcher.")
    typed = "aiexp run -m hydra/sweeper=optuna hydra.sweeper.n_t"
    assert complete(capsys, typed) == ["hydra.sweeper.n_trials="]


def test_values_of_a_sweep_come_once(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert complete(capsys, "aiexp run -m model.bias=true,") == ["model.bias=true,false"]
    assert complete(capsys, "aiexp run -m model=small,sm") == []


def test_candidates_say_what_they_are(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert described(capsys, "aiexp comp")[0] == f"compare\t{COMMANDS['compare']}"
    assert described(capsys, "aiexp run task=ot") == ["task=other\tOther task"]
    assert described(capsys, "aiexp run task=toy,ot") == ["task=toy,other\tOther task"]
    assert described(capsys, "aiexp list task ot") == ["other\tOther task"]
    assert described(capsys, "aiexp run --res")[0].startswith("--resume\t")
    assert described(capsys, "aiexp run trainer.st") == ["trainer.steps=\tnow 10"]


@pytest.mark.parametrize("command", COMMANDS)
def test_completion_knows_every_flag_and_the_values_it_allows(
    lab: Lab, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    flags = import_module(module_of(command)).FLAGS.all
    assert complete(capsys, f"aiexp {command} --") == [flag.name for flag in flags]
    for flag in flags:
        for name in (flag.name, flag.short) if flag.choices and flag.short else (flag.name,):
            if flag.choices:
                assert complete(capsys, f"aiexp {command} {name} ") == [*flag.choices]
        joined = [f"{flag.name}={choice}" for choice in flag.choices]
        assert complete(capsys, f"aiexp {command} {flag.name}=") == joined


def make_run(lab: Lab, name: str, state: str, **changes: Any) -> Path:
    """A run directory, as far as completion reads it."""
    run = lab.root / "outputs/toy" / name
    run.mkdir(parents=True)
    config = {
        "seed": 0,
        "task": {"_target_": "my_lab.parts.Other", "gamma": 0.9},
        "model": {"_target_": "my_lab.parts.Model", "width": 4, "activation": "relu"},
        "trainer": {"_target_": "my_lab.parts.Trainer", "steps": 10, "accumulate": 1},
    } | changes
    (run / "config.yaml").write_text(json.dumps(config))
    choices = {"task": "other", "model": "small", "trainer": "toy"}
    (run / "overrides.yaml").write_text(json.dumps({"choices": choices, "overrides": []}))
    metrics = {"test/accuracy": 0.75, "train/loss": 0.5}
    status = {"format": 1, "state": state, "step": 10, "metrics": metrics, "better": {"test/accuracy": "max"}}
    (run / "status.json").write_text(json.dumps(status))
    (run / "checkpoints/step-00000010").mkdir(parents=True)
    return run


@pytest.fixture
def runs(lab: Lab) -> Lab:
    """Twelve finished runs, then a stopped one and one that failed; `latest` is the last."""
    for day in range(1, 13):
        make_run(lab, f"2026-01-{day:02}_10-00-00_lr_aaaa{day:02}", "finished", seed=day)
    make_run(lab, "2026-01-20_10-00-00_bbbb01", "stopped")
    last = make_run(lab, "2026-01-21_10-00-00_bbbb02", "failed")
    (lab.root / "outputs/latest").symlink_to(last)
    return lab


def described(capsys: pytest.CaptureFixture[str], line: str) -> list[str]:
    assert cli.main(["completion", "--described", line]) == 0
    return capsys.readouterr().out.splitlines()


def test_runs_are_offered_the_newest_first(runs: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    newest = [f"aaaa{day:02}" for day in range(12, 4, -1)]
    for command in ("predict", "branch", "evaluate", "serve", "reproduce", "runs rm"):
        found = complete(capsys, f"aiexp {command} ")
        ids = [word for word in found if not word.endswith("=") and word not in ("rm", "prune")]
        assert ids == ["latest", "bbbb02", "bbbb01", *newest, "outputs/"], command
    assert complete(capsys, "aiexp predict aaaa0")[-1] == "aaaa01"  # all of them, once one is begun
    assert complete(capsys, "aiexp resume ") == ["latest", "bbbb02", "bbbb01", "outputs/"]
    assert complete(capsys, "aiexp resume aaaa") == []
    assert described(capsys, "aiexp predict bbbb01") == ["bbbb01\tother, stopped, test/accuracy 0.75"]
    assert described(capsys, "aiexp show aaaa12") == ["aaaa12\tother, finished, test/accuracy 0.75, lr"]


def test_runs_are_values_of_keys_and_are_named_once(runs: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert "model.path=latest" in complete(capsys, "aiexp run model.path=la")
    assert "latest" in complete(capsys, "aiexp evaluate ")
    assert "latest" not in complete(capsys, "aiexp evaluate latest ")


def test_sweeps_are_offered_where_they_can_be_named(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(lab, "2026-02-01_10-00-00_sweep_cccc01/seed-1_dddd01", "finished")
    assert described(capsys, "aiexp resume cccc") == ["cccc01\ttoy, sweep of 1 job"]
    assert complete(capsys, "aiexp compare ") == ["dddd01", "cccc01", "outputs/"]
    assert complete(capsys, "aiexp predict ") == ["dddd01", "outputs/"]


def test_what_stands_after_a_run(runs: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert complete(capsys, "aiexp show latest ") == []
    assert complete(capsys, "aiexp help run ") == []
    assert complete(capsys, "aiexp branch latest trainer.") == ["trainer.steps="]  # nothing that is fixed
    assert complete(capsys, "aiexp branch latest model.activation=") == [
        "model.activation=relu",
        "model.activation=gelu",
    ]
    assert complete(capsys, "aiexp branch latest see") == []
    assert complete(capsys, "aiexp resume bbbb02 ") == ["trainer."]
    assert "digit.png" not in complete(capsys, "aiexp predict latest ")
    (runs.root / "digit.png").touch()
    assert "digit.png" in complete(capsys, "aiexp predict latest ")
    assert complete(capsys, "aiexp evaluate latest bbbb") == ["bbbb02", "bbbb01"]
    assert complete(capsys, "aiexp branch latest --step ") == ["10"]
    assert complete(capsys, "aiexp run start_from=bbbb") == ["start_from=bbbb02", "start_from=bbbb01"]


def test_filters_and_metrics_are_those_of_the_runs(runs: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert complete(capsys, "aiexp runs see") == ["seed="]
    assert complete(capsys, "aiexp runs trainer.") == ["trainer.steps=", "trainer.accumulate="]
    assert described(capsys, "aiexp runs task.g") == ["task.gamma=\t0.9"]
    assert complete(capsys, "aiexp runs seed=11,1") == ["seed=11,1", "seed=11,10", "seed=11,12"]
    failed = complete(capsys, "aiexp runs state=failed,")
    assert "state=failed,died" in failed
    assert "state=failed,failed" not in failed
    assert "state!=finished" in complete(capsys, "aiexp runs state!=")
    assert complete(capsys, "aiexp runs rm state=st") == ["state=starting", "state=stopped"]
    assert complete(capsys, "aiexp compare outputs/toy --metric ") == ["test/accuracy", "train/loss"]
    assert complete(capsys, "aiexp compare --metric=tr") == ["--metric=train/loss"]
    assert complete(capsys, "aiexp compare outputs/toy --by ") == ["seed"]


def test_values_behind_names_of_types_and_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    modes = [f"mode={mode}" for mode in ("auto", "online", "offline", "disabled", "required")]
    assert complete(capsys, "aiexp run tracker.mode=") == [f"tracker.{mode}" for mode in modes]
    assert complete(capsys, "aiexp run tracker.save_model=b") == ["tracker.save_model=best"]
    assert complete(capsys, "aiexp run tracker.rec") == ["tracker.record="]
    assert complete(capsys, "aiexp run tracker.record=") == ["tracker.record=["]
    assert complete(capsys, "aiexp run tracker.record=[git,con") == [
        "tracker.record=[git,console]",
        "tracker.record=[git,console,",
    ]
    assert complete(capsys, "aiexp run tracker=[wandb,notify] tracker.") == [
        "tracker.wandb.",
        "tracker.notify.",
    ]
    for line in ("aiexp run tracker=[wandb,notify]", "aiexp run 'tracker=[wandb,notify]'"):
        found = complete(capsys, f"{line} tracker.wandb.mode=")
        assert found == [f"tracker.wandb.{mode}" for mode in modes]
    lines = described(capsys, "aiexp run tracker=[wandb,notify] tracker.notify.")
    assert "tracker.notify.when=\tendings that are worth a message (now [finished,failed,stopped])" in lines


def test_lists_of_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for quote in ("", "'", '"'):
        found = complete(capsys, f"aiexp run {quote}tracker=[wa")
        assert found == ["tracker=[wandb]", "tracker=[wandb,"]
    others = complete(capsys, "aiexp run tracker=[wandb,")
    assert "tracker=[wandb,notify]" in others
    assert not [word for word in others if word.count("wandb") > 1 or "none" in word]
    assert complete(capsys, "aiexp run tracker=[wandb,notify,mlflow,") == [
        "tracker=[wandb,notify,mlflow,tensorboard]"
    ]


def test_keys_say_what_they_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    line = "aiexp run task=mnist_cnn trainer.log_e"
    assert described(capsys, line)[0].startswith("trainer.log_every=\toptimizer steps between lines of")
    assert described(capsys, "aiexp run trainer.sched") == ["trainer.schedule.\tshape, warmup, hold, final"]
    assert described(capsys, "aiexp run trainer.schedule.shape=l") == [
        "trainer.schedule.shape=linear\tas it is"
    ]
    texts = dict(line.split("\t") for line in described(capsys, "aiexp list --") if "\t" in line)
    assert texts["--format"] == "text|json how it is shown: for people, or for programs"
    assert described(capsys, "aiexp help comp")[0] == f"compare\t{COMMANDS['compare']}"


def test_what_lies_in_the_cache_can_be_removed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def is_complete(entry: Entry, *, is_quick: bool) -> bool:
        return is_quick and entry.name in ("mnist", "minilm")

    monkeypatch.setattr(cache, "is_complete", is_complete)
    assert complete(capsys, "aiexp data rm m") == ["minilm", "mnist"]
    assert complete(capsys, "aiexp data path mnist ") == ["minilm"]
    assert described(capsys, "aiexp data fetch mnist")[0].startswith("mnist\t11.5 MB, MNIST: 70,000")


BASH = """
aiexp() { "$PYTHON" -m aiexp "$@"; }
eval "$(aiexp completion bash)"
COMP_LINE="$1"; COMP_POINT=${#1}; COMP_WORDS=(aiexp)
compopt() { :; }
_aiexp
printf '%s\\n' "${COMPREPLY[@]}"
complete -p aiexp
"""


def test_the_bash_script_in_bash(lab: Lab) -> None:
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(
        ["bash", "-c", BASH, "bash", "aiexp run task=toy"],
        cwd=lab.root,
        env=environment,
        capture_output=True,
        text=True,
    )
    # bash itself keeps `task=`.
    assert done.stdout.splitlines() == ["toy", "complete -F _aiexp aiexp"], done.stderr
