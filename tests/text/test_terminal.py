"""What is shown: no control character of anybody's reaches a terminal, whatever command prints it."""

import ast
import io
import json
import os
import re
from pathlib import Path

import pytest
import yaml
from rich.console import Console

import aiexp
from aiexp import cli
from aiexp.session.display import Display
from aiexp.sweep.result import Result
from aiexp.sweep.table import Objective, Table
from aiexp.text import terminal
from tests.command.test_runs import make_run

EVIL = "\x1b[2Jx\x07\x08\r\x9b31m\u202egpj\u2066"
SHOWN = r"\x1b[2Jx\x07\x08\r\x9b31m\u202egpj\u2066"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SOURCE = Path(aiexp.__file__).parent


@pytest.fixture
def evil_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two finished runs and a failed one whose names, values, metrics and errors are hostile."""
    monkeypatch.chdir(tmp_path)
    for seed, state in ((0, "finished"), (1, "finished"), (2, "failed")):
        run = make_run(f"{seed}{EVIL}", state=state, seed=seed, accuracy=0.5)
        config = yaml.safe_load((run / "config.yaml").read_text())
        config["task"] |= {"note": f"{seed}{EVIL}\nsecond", "reference": {"metric": f"test/{EVIL}"}}
        (run / "config.yaml").write_text(yaml.safe_dump(config))
        choices = {"task": EVIL, "model": f"{seed}{EVIL}"}
        (run / "overrides.yaml").write_text(
            yaml.safe_dump({"choices": choices, "overrides": [f"task.note={EVIL}"]})
        )
        status = json.loads((run / "status.json").read_text())
        status |= {"error": f"lost {EVIL}\nand more", "metrics": {f"test/{EVIL}": seed / 2}, "step": EVIL}
        (run / "status.json").write_text(json.dumps(status))
        (run / "metrics.jsonl").write_text("")
    return run


COMMANDS = (
    ["runs"], ["runs", "--format", "csv"], ["runs", "--format=json"], ["runs", f"state={EVIL}"],
    ["runs", EVIL], ["runs", "rm", "RUN"], ["runs", "--metric", EVIL],
    ["runs", f"--{EVIL}"], ["runs", f"--older={EVIL}"],
    ["runs", "prune", "--keep", EVIL], ["runs", "prune", "state=*"],
    ["compare"], ["compare", "--format=csv"], ["compare", "--format=md"], ["compare", "--format=json"],
    ["compare", "--by", EVIL], ["compare", "--metric", EVIL], ["compare", f"--{EVIL}"], ["compare", EVIL],
    ["compare", f"--top={EVIL}"], ["compare", "--html", f"{EVIL}.html"],
    ["doctor", "RUN"], ["doctor", EVIL], ["resume", "RUN"], ["resume", EVIL], ["resume", "RUN", EVIL],
    ["resume", "RUN", f"seed={EVIL}"], ["resume", "RUN", f"{EVIL}=1"],
    ["run", EVIL], ["run", f"seed={EVIL}"], ["run", f"task={EVIL}"], ["run", f"+{EVIL}=1"],
    ["run", f"--{EVIL}"], ["run", "--cfg", EVIL], ["run", "--cfg=job", "-p", EVIL],
    ["run", "--config-dir", EVIL],
    ["run", "--trust", EVIL], ["run", "-m", f"seed={EVIL}"], ["run", "--cfg=hydra", f"task={EVIL}"],
    ["run", f"outputs='{EVIL}'", "--cfg=job"], ["check", f"seed={EVIL}"],
    ["list", EVIL], ["data", EVIL], ["data", "fetch", EVIL], ["data", "path", EVIL], ["sweep", EVIL],
    ["sweep", f"--{EVIL}"], ["completion", EVIL], ["completion", "--words", "aiexp runs outputs/mnist/"],
    [EVIL],
)  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words).replace(EVIL, "EVIL"))
def test_no_command_shows_a_control_character(
    evil_run: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    cli.main([str(evil_run) if word == "RUN" else word for word in words])
    out, err = capsys.readouterr()
    assert not RAW.search(out), out
    assert not RAW.search(err), err
    assert "Traceback" not in err
    if words[0] != "completion" or words[1] == EVIL:
        assert out + err


@pytest.mark.parametrize("folder", ["conf/task", "conf/mine"])
def test_options_of_the_users_own_are_shown_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / f"{EVIL}.yaml").write_text(f"# Purpose {EVIL.replace(chr(13), '')}\n_target_: x\n")
    assert cli.main(["list"]) == 0
    out = capsys.readouterr().out
    assert SHOWN in out
    assert not RAW.search(out)


def test_run_log_and_terminal_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(tmp_path / "run.log")
    display.say(f"step 1  {EVIL}\nsecond [red]line[/]")
    display.close()
    line = rf"step 1  {SHOWN}\nsecond [red]line[/]"
    assert (tmp_path / "run.log").read_text().endswith(f" {line}\n")
    assert capsys.readouterr().out == f"{line}\n"


def test_the_bar_keeps_its_colours_and_nobody_elses(tmp_path: Path) -> None:
    display = Display(tmp_path / "run.log")
    text = io.StringIO()
    display.console = Console(file=text, force_terminal=True, width=300)
    display.begin(0, 10)
    display.show(3, f"loss [/nonsense] {EVIL} 1")
    display.close()
    assert f"loss [/nonsense] {SHOWN} 1" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.getvalue())
    assert "\x1b[" in text.getvalue()
    assert "\x1b[2Jx" not in text.getvalue()


def test_the_live_table_of_a_sweep(tmp_path: Path) -> None:
    table = Table(tmp_path, num_jobs=2, num_slots=1, objective=Objective(name=f"eval/{EVIL}", mode="max"))
    table.started(0, [f"model.x=[{EVIL},b]"], tmp_path)
    result = Result(index=1, exit_code=0, overrides=[EVIL], state="finished", metrics={f"eval/{EVIL}": 1.0})
    table.ended(result)
    text = io.StringIO()
    Console(file=text, width=400, markup=False).print(table._rows())
    assert text.getvalue().count(SHOWN) == 3
    assert not RAW.search(text.getvalue())


def test_our_own_line_breaks_stay() -> None:
    assert terminal.visible("a\nb\tc") == r"a\nb\tc"
    assert terminal.visible_lines("a\nb\tc\x1b") == "a\nb\tc\\x1b"
    assert terminal.visible("naïve 漢字 ± \U0001f600") == "naïve 漢字 ± \U0001f600"
    assert terminal.visible(os.fsdecode(b"\xff")) == r"\udcff"


def test_a_command_to_paste_is_quoted_and_keeps_the_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIEXP_TRUST", "mine,other")
    assert terminal.resume_command("out puts/x") == "aiexp resume 'out puts/x' --trust=mine --trust=other"
    monkeypatch.delenv("AIEXP_TRUST")
    assert terminal.resume_command(Path("outputs/x")) == "aiexp resume outputs/x"


def test_nothing_else_writes_to_the_terminal() -> None:
    """Where rich draws, its markup is off: `[red]` in a value is text."""
    found: list[str] = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            is_write = name in ("print", "sys.stdout.write", "sys.stderr.write")
            is_markup = name == "Console" and "markup=False" not in ast.unparse(node)
            is_column = name == "TextColumn" and "markup=False" not in ast.unparse(node)
            if (is_write and path.name != "terminal.py") or is_markup or is_column:
                found.append(f"{path.relative_to(SOURCE)}:{node.lineno}: {name}")
    assert found == []
