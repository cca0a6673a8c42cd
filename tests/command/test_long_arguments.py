"""Arguments that nobody types: one line and exit code 2, whichever command gets them."""

from pathlib import Path

import pytest

from aiexp import cli
from tests.command.test_runs import make_run

DIGITS = "9" * 5000
BRACKETS = "[" * 3000
NAME = "a" * 300


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return str(make_run("first", accuracy=0.5))


@pytest.mark.parametrize(
    "value", [DIGITS, BRACKETS, f"{{a: {DIGITS}}}", f"[{DIGITS}]", "${x}", "${${x}}", NAME]
)
@pytest.mark.parametrize(
    "words",
    [
        ["run", "seed=VALUE"], ["run", "+extra=VALUE"], ["run", "-m", "seed=VALUE,1"],
        ["run", "VALUE=1"],
        ["run", "task=VALUE", "--cfg=job"], ["check", "trainer=VALUE"], ["resume", "RUN", "seed=VALUE"],
        ["resume", "RUN", "VALUE=1"], ["resume", "VALUE"], ["compare", "VALUE"],
        ["compare", "--top", "VALUE"], ["compare", "--by=VALUE"], ["runs", "VALUE"], ["runs", "state=VALUE"],
        ["runs", "rm", "VALUE"], ["VALUE"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_one_line(run: str, words: list[str], value: str, capsys: pytest.CaptureFixture[str]) -> None:
    typed = [{"RUN": run}.get(word, word.replace("VALUE", value)) for word in words]
    code = cli.main(typed)
    err = capsys.readouterr().err
    assert code in (2, 3, 4), err[-500:]
    assert "Traceback" not in err
    assert "bug in aiexp" not in err
    assert all(len(line) < 3000 and line.startswith("aiexp: error[") for line in err.splitlines()), err[:3000]


def test_what_is_merely_long_is_taken(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["runs", f"seed=0,{NAME}"]) == 0
    assert "first" in capsys.readouterr().out
    cli.main(["resume", run, f"task.optimizer.lr=[{','.join('1' * 300)}]"])
    assert "too long" not in capsys.readouterr().err


def test_yaml_whose_keys_are_interpolations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf/task").mkdir(parents=True)
    for text in ("model: ${x}", "optimizer: ${x}", "${x}: 1", "reference: ${task.gone}"):
        (tmp_path / "conf/task/mine.yaml").write_text(f"defaults: [maml_sine, _self_]\n{text}\n")
        for words in (
            ["run", "task=mine"],
            ["run", "task=mine", "trainer.stps=1"],
            ["run", "task=mine", "task.x=1"],
        ):
            assert cli.main(words) == 2, text
            err = capsys.readouterr().err
            assert all(line.startswith("aiexp: error[config]") for line in err.splitlines()), err
