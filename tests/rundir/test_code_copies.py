"""A run is used where its code is not: by the copies that it holds, if they are the user's own or trusted."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from aiexp import cli
from aiexp.rundir.code.own_code import own_code_of
from aiexp.runs.loaded import load_run
from tests.forks import Ended, in_fork

RUN = [
    "run", "task=maml_sine", "trainer.steps=2", "dataset.num_tasks=2", "trainer.log_every=1",
    "trainer.evaluate_every=2", "trainer.checkpoint.every=2", "tracker=none", "hardware.threads=1",
    "model._target_=my_code.nets.Net",
]  # fmt: skip
NET = """
from aiexp.model.few_shot.sine_mlp import SineMlp
import helpers
class Net(SineMlp):
    def forward(self, *args, **kwargs):
        from late import SCALE  # imported when the run was loaded long ago
        return super().forward(*args, **kwargs) * SCALE
"""
FOREIGN = "open('canary', 'w').close()\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by code of the user's own, which is gone."""
    folder = tmp_path_factory.mktemp("lab")
    for name, text in {
        "my_code/__init__.py": "", "my_code/nets.py": NET, "helpers.py": "", "late.py": "SCALE = 2\n",
    }.items():  # fmt: skip
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def train() -> int:
        os.environ["XDG_CONFIG_HOME"] = str(folder / "config")
        os.chdir(folder)
        return cli.main(RUN)

    ended = in_fork(train, folder, seconds=60)
    assert ended.code == 0, ended.stderr
    run = (folder / "outputs" / "latest").resolve()
    shutil.rmtree(folder / "my_code")
    for name in ("helpers.py", "late.py"):
        (folder / name).unlink()
    return run


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Elsewhere, a copy of the run."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(made.parents[2] / "config"))
    return shutil.copytree(made, tmp_path / "run", symlinks=True)


def used(run: Path, *trusted: str) -> Ended:
    """Loads the run and asks it something; writes where its network was defined."""

    def body() -> None:
        os.environ["AIEXP_TRUST"] = ",".join(trusted)
        import sys

        import torch

        loaded = load_run(run)
        network = next(m for m in loaded.task.modules() if type(m).__name__ == "Net")
        network(torch.zeros(1, 1))
        print(sys.modules[type(network).__module__].__file__, sys.modules["late"].__file__)

    return in_fork(body, Path.cwd(), seconds=60)


def test_a_run_is_used_by_its_own_copies(run: Path) -> None:
    ended = used(run)
    assert ended.code == 0, ended.stderr
    assert all("aiexp-code-" in path for path in ended.stdout.split()[-2:])
    assert list(Path.cwd().glob("canary")) == []


def test_bytecode_beside_the_copies_is_not_run(run: Path) -> None:
    """Its header says that it is of a source of the same size and time."""
    import importlib.util
    import py_compile

    source = run / "code/1/my_code/nets.py"
    evil = run / "evil.py"
    evil.write_text(FOREIGN + NET)
    cached = Path(importlib.util.cache_from_source(str(source)))
    py_compile.compile(str(evil), cfile=str(cached), doraise=True)
    content, stamp = cached.read_bytes(), source.stat()
    sizes = int(stamp.st_mtime).to_bytes(4, "little") + stamp.st_size.to_bytes(4, "little")
    cached.write_bytes(content[:8] + sizes + content[16:])
    assert used(run).code == 0
    assert not Path("canary").exists()


@pytest.mark.parametrize("what", ["a copy", "the record", "another user"])
def test_copies_that_are_not_the_users_own_are_refused(
    run: Path, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "a copy":
        (run / "code/1/my_code/nets.py").write_text(FOREIGN + NET)
    if what == "the record":
        record = json.loads((run / "code/record.json").read_text())
        record["versions"][0]["files"][0]["sha256"] = "0" * 64
        (run / "code/record.json").write_text(json.dumps(record))
    if what == "another user":
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    ended = used(run)
    assert ended.code in (2, 10), ended.stderr
    assert "Traceback" not in ended.stderr
    assert not Path("canary").exists()
    if what == "another user":
        assert "--trust my_code" in ended.stderr
        assert used(run, "my_code", "helpers", "late").code == 0


@pytest.mark.parametrize("changed", ["my_code/nets.py", "helpers.py", "late.py"])
def test_two_versions_of_a_module_in_one_process_are_refused_in_a_line(run: Path, changed: str) -> None:
    """Also of one that is imported later, and would be the other run's then."""
    other = shutil.copytree(run, run.with_name("other"), symlinks=True)
    recorded = json.loads((other / "code/record.json").read_text())
    for file in recorded["versions"][0]["files"]:
        if file["path"] == changed:
            text = (other / "code/1" / changed).read_text() + "# changed\n"
            (other / "code/1" / changed).write_text(text)
            file["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (other / "code/record.json").write_text(json.dumps(recorded))

    def body() -> None:
        os.environ["AIEXP_TRUST"] = "my_code,helpers,late"
        load_run(run)
        load_run(shutil.copytree(run, run.with_name("same"), symlinks=True))
        load_run(other)

    ended = in_fork(body, Path.cwd(), seconds=60)
    assert ended.code == 2, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert "of this run cannot be imported beside that of" in line
    assert str(run) in line
    assert str(other) in line
    assert line.endswith("fix: use each of them in a process of its own")


def test_going_on_with_a_run_takes_no_copies(run: Path) -> None:
    ended = in_fork(lambda: cli.main(["resume", str(run)]), Path.cwd(), seconds=60)
    assert ended.code in (0, 2, 10)
    with own_code_of(run):
        from aiexp.config.target.working_directory import WORKING_DIRECTORY

        assert WORKING_DIRECTORY.folder == Path.cwd()
