"""`aiexp init`, `new` and `schema` as they are typed."""

import json
from pathlib import Path

import pytest

from aiexp import cli
from tests.lab import HEAVY, Lab, make_lab

Printed = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_nothing_to_a_second_model(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    assert cli.main(["init", "arms"]) == 0
    said = capsys.readouterr().out
    assert "arms/conf/task/arms.yaml\n" in said
    assert said.rstrip().endswith("pytest")
    assert "next  cd arms\n      aiexp run task=arms\n" in said
    monkeypatch.chdir(here / "arms")
    assert cli.main(["new", "model", "wide"]) == 0
    assert "next  aiexp run task=vector_classification model=wide" in capsys.readouterr().out
    assert cli.main(["list", "model"]) == 0
    assert "wide" in capsys.readouterr().out
    schema = json.loads(Path("conf/.schema/model.json").read_text())
    assert "file-arms.model.wide.Wide" in schema["definitions"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["init", "a", "b"], "one name is wanted, not 2"),
        (["init", "Arms"], "'Arms' cannot be a name here | aiexp init Arms | fix: lower-case letters"),
        (["new", "taks", "x"], "'taks' is nothing that can be new. Did you mean 'task'?"),
        (["new", "task"], "a new task needs a name"),
        (["new", "task", "x"], "there is no project here | aiexp new | fix: aiexp init NAME makes one"),
        (["new", "task", "bert_finetune", "--package", "lab"], "aiexp has a task 'bert_finetune' of its own"),
        (["new", "task", "x", "--package", "my-lab"], "'my-lab' cannot be a name here"),
        (["schema", "modle"], "no group 'modle'. Did you mean 'model'?"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    here: Path, capsys: Printed, words: list[str], message: str
) -> None:
    assert cli.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert list(here.iterdir()) == []


def test_a_schema_is_printed_or_all_are_written(here: Path, capsys: Printed) -> None:
    assert cli.main(["schema", "trainer"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "aiexp: a file of conf/trainer"
    assert cli.main(["schema", "--out", "schemas"]) == 0
    assert {path.stem for path in Path("schemas").iterdir()} >= {"task", "model", "dataset", "optimizer"}
    assert "# yaml-language-server: $schema=" in capsys.readouterr().out


def test_they_import_nothing_heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab: Lab = make_lab(tmp_path, monkeypatch)
    watch = f"import atexit, sys; atexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules]))"
    for words in (["init", "arms"], ["schema", "task"], ["new", "model", "wide", "--package", "my_lab"]):
        done = lab.aiexp(*words, program=watch)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "[]"
