"""A run keeps the user's code that made it; resumed, it runs no code but that."""

import importlib.util
import json
import os
import shutil
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from aiexp import cli
from aiexp.config.compose import compose
from aiexp.config.objects.build import build
from aiexp.config.validate import validate
from aiexp.dataset.environment.dataset import check_module
from aiexp.errors import SecurityError
from aiexp.rundir.code.own_code import own_code_of, record_imports, record_targets
from aiexp.rundir.code.record import code_digest, read_versions
from aiexp.rundir.directory import RunDirectory
from tests.forks import Ended, in_fork

RUN = [
    "run", "task=maml_sine", "trainer.steps=2", "dataset.num_tasks=2", "trainer.log_every=1",
    "trainer.evaluate_every=2", "trainer.checkpoint.every=2", "tracker=none", "hardware.threads=1",
    "model._target_=my_code.nets.Net",
]  # fmt: skip
NET = "from aiexp.model.few_shot.sine_mlp import SineMlp\nimport helpers\nclass Net(SineMlp):\n    pass\n"
CANARY = "open('canary', 'w').close()\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a package and a module."""
    monkeypatch.chdir(tmp_path)
    write("my_code/__init__.py", "")
    write("my_code/nets.py", NET)
    write("helpers.py", "WIDTH = 3\n")
    return tmp_path


def write(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


def aiexp(*words: str) -> Ended:
    return in_fork(lambda: cli.main(list(words)), Path.cwd(), seconds=60)


def files(run: Path) -> list[list[str]]:
    return [[file.path for file in version.files] for version in read_versions(run)]


def test_the_code_of_a_run_is_kept_and_its_changes_are_said(folder: Path) -> None:
    """Every imported file, by the name of its module, so that `code/1` is a folder to import them from."""
    write("secret.py", "password = 'canary-value'\n")
    write("helpers.py", "import secret\n")
    assert aiexp(*RUN).code == 0
    run = Path("outputs/latest").resolve()
    kept = ["helpers.py", "my_code/__init__.py", "my_code/nets.py", "secret.py"]
    assert files(run) == [kept]
    copies = {p.relative_to(run / "code/1").as_posix(): p.read_text() for p in run.glob("code/1/**/*.py")}
    assert copies == {"helpers.py": "import secret\n", "my_code/__init__.py": "", "my_code/nets.py": NET}
    assert not [p for p in run.rglob("*") if p.is_file() and b"canary-value" in p.read_bytes()]
    first = code_digest(run)
    write("helpers.py", "WIDTH = 4\n")
    write("my_code/nets.py", NET + "import more\n")
    write("more.py", "")
    for steps in (3, 4):
        assert aiexp("resume", str(run), f"trainer.steps={steps}").code == 0
    said = [line for line in (run / "run.log").read_text().splitlines() if "has changed since" in line]
    assert [line.split("code ")[1].split()[0] for line in said] == ["helpers.py", "my_code/nets.py"]
    assert f"has changed since {run / 'code/1/helpers.py'}" in said[0]
    assert files(run) == [kept, sorted([*kept, "more.py"])]
    assert (run / "code/1/helpers.py").read_text() == "import secret\n"
    assert (run / "code/2/helpers.py").read_text() == "WIDTH = 4\n"
    assert code_digest(run) != first


@lru_cache
def complete_config() -> dict[str, Any]:
    config: Any = OmegaConf.to_container(compose(RUN[1:-1]).config, resolve=True)
    return config


def begin(path: str, target: str) -> Path:
    """A run that was killed in its first second; its config names only a model."""
    run = Path(path)
    run.mkdir(parents=True, exist_ok=True)
    directory = RunDirectory.at(run)
    config = complete_config()
    directory.write_config(config | {"model": config["model"] | {"_target_": target}}, {}, [])
    return run


def make_model(run: Path, *trusted: str) -> Ended:
    """What resuming does up to the model."""

    def body() -> None:
        os.environ["AIEXP_TRUST"] = ",".join(trusted)
        with own_code_of(run.resolve()):
            config = validate(RunDirectory.open(run).read_config())
            build(config["model"])
            record_imports(run, is_start=True)

    return in_fork(body, Path.cwd())


def record(path: str, target: str) -> Path:
    """A run whose model this user's aiexp has made."""
    run = begin(path, target)
    record_targets(run, {"model": {"_target_": target}})
    assert make_model(run).code == 0
    return run


def test_a_run_without_own_code_has_no_record(folder: Path) -> None:
    run = record("outputs/r", "aiexp.model.few_shot.sine_mlp.SineMlp")
    assert not (run / "code").exists()
    assert code_digest(run) == ""


EVIL = [{"path": "bundle/evil.py", "module": "bundle.evil", "sha256": "0" * 64}]


@pytest.mark.parametrize("change", [{}, {"files": EVIL}, {"files": [1]}])
def test_code_that_came_with_a_run_is_not_run(folder: Path, change: dict[str, Any]) -> None:
    """A run is handed on with code beside it, and with a record that its giver has made up."""
    own = record("outputs/own", "my_code.nets.Net")
    write("bundle/evil.py", CANARY + NET)
    run = begin("bundle/r", "bundle.evil.Net")
    made_up = json.loads((own / "code/record.json").read_text())
    made_up["versions"][0] |= change
    write("bundle/r/code/record.json", json.dumps(made_up))
    ended = aiexp("resume", "bundle/r")
    assert ended.code == 10, ended.stderr
    assert "bundle/__init__.py, which this run has not recorded as your own code" in ended.stderr
    assert "add --trust bundle" in ended.stderr
    begin("bundle/r", "aiexp.model.few_shot.sine_mlp.SineMlp")  # a run that looks harmless for once
    assert make_model(run).code == 0
    begin("bundle/r", "bundle.evil.Net")
    assert make_model(run).code == 10
    assert not Path("canary").exists()
    assert make_model(run, "bundle").code == 0
    assert Path("canary").exists()
    assert make_model(run).code == 0  # what was trusted once is the user's


def test_a_config_does_not_choose_other_files_than_the_run_began_with(folder: Path) -> None:
    write("my_code/vendored.py", CANARY + NET)
    run = record("outputs/r", "my_code.nets.Net")
    begin("outputs/r", "my_code.vendored.Net")
    ended = make_model(run)
    assert (ended.code, "my_code/vendored.py, which this run has not" in ended.stderr) == (10, True)
    with pytest.raises(SecurityError, match="imports 'my_code'"), own_code_of(begin("bundle/r", "x.Y")):
        check_module("my_code:Env-v0")
    assert not Path("canary").exists()


@pytest.mark.parametrize("what", ["another folder", "another user", "no home"])
def test_own_code_is_known_by_its_place_and_its_user(
    folder: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "no home":
        Path("file").touch()
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "file"))
    run = begin("outputs/r", "my_code.nets.Net")
    record_targets(run, {"model": {"_target_": "my_code.nets.Net"}})
    assert make_model(run).code == (10 if what == "no home" else 0)
    if what == "another folder":
        shutil.copytree(folder, folder / "elsewhere")
        monkeypatch.chdir(folder / "elsewhere")
    if what == "another user":
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    ended = make_model(run)
    assert ended.code == 10
    assert "go on where you began the run; if you know this code, add --trust my_code" in ended.stderr
    assert make_model(run, "my_code").code == 0
    assert make_model(run).code == (10 if what == "no home" else 0)


def test_a_name_that_is_no_module_leads_nowhere(folder: Path) -> None:
    """Code may import a file by a name of its own making."""
    write("odd.py", "")
    run = begin("outputs/r", "my_code.nets.Net")

    def body() -> None:
        spec = importlib.util.spec_from_file_location("..x", "odd.py")
        assert spec
        sys.modules["../../x"] = importlib.util.module_from_spec(spec)
        record_imports(run, is_start=True)

    assert in_fork(body, folder).code == 0
    assert [p.name for p in run.rglob("*.py")] == []
    assert files(run) == [["odd.py"]]
