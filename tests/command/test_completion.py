import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from aiexp import cli
from aiexp.command import COMMANDS, module_of
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


def test_candidates_say_what_they_are(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    def described(line: str) -> list[str]:
        assert cli.main(["completion", "--described", line]) == 0
        return capsys.readouterr().out.splitlines()

    assert described("aiexp comp")[0] == f"compare\t{COMMANDS['compare']}"
    assert described("aiexp run task=ot") == ["task=other\tOther task"]
    assert described("aiexp run task=toy,ot") == ["task=toy,other\tOther task"]
    assert described("aiexp list task ot") == ["other\tOther task"]
    assert described("aiexp run --res")[0].startswith("--resume\t")
    assert described("aiexp run trainer.st") == ["trainer.steps="]


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
        ["bash", "-c", BASH, "bash", "aiexp run task=to"],
        cwd=lab.root,
        env=environment,
        capture_output=True,
        text=True,
    )
    # bash itself keeps `task=`.
    assert done.stdout.splitlines() == ["toy", "complete -F _aiexp aiexp"], done.stderr
