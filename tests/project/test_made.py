"""What `aiexp init` and `aiexp new` write: it runs, passes its own tests, and nothing is overwritten."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from aiexp import cli
from aiexp.config.folders import conf_dirs
from aiexp.config.schema.group import group_schema
from aiexp.errors import AiexpError
from aiexp.project.made import KINDS, add_part, make_project, package_of
from tests.forks import in_fork

ROOT = Path(__file__).parents[2]
QUICK = ["hardware=cpu", "tracker=none"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one more of each kind; nobody changes it."""
    folder = tmp_path_factory.mktemp("made") / "my_arms"
    make_project(folder)
    for kind in KINDS:
        add_part(kind, "second_one", folder, None)
    return folder


@pytest.fixture
def _inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(project)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "my_arms"]:
        del sys.modules[name]


@pytest.mark.usefixtures("_inside")
def test_a_new_task_runs_and_resumes_to_the_bit(tmp_path: Path) -> None:
    def body() -> int:
        return cli.main(["check", "task=second_one", "--resume", *QUICK]) or cli.main(
            ["run", "task=second_one", "trainer.epochs=1", f"outputs={tmp_path}", *QUICK]
        )

    ended = in_fork(body, tmp_path)
    assert ended.code == 0, ended.stderr
    assert "resume    exact" in ended.stdout


@pytest.mark.slow
def test_its_own_tests_pass(project: Path) -> None:
    """Those of `init`; those of `new` are the same templates."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "my_arms.py"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    home = {"HOME": str(project)}
    done = subprocess.run(words, cwd=project, env=environment | home, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "5 passed" in done.stdout


@pytest.mark.usefixtures("_inside")
def test_its_files_keep_their_schemas_and_its_code_is_formatted(project: Path) -> None:
    for kind in KINDS:
        validator = jsonschema_rs.validator_for(group_schema(kind, conf_dirs()))
        for path in (project / "conf" / kind).glob("*.yaml"):
            content = yaml.safe_load(path.read_text())
            assert [error.message for error in validator.iter_errors(content)] == []
            assert list(validator.iter_errors({**content, "epohcs": 3}))  # its own arguments are known
            line = re.search(r"\$schema=(.*)$", path.read_text(), re.MULTILINE)
            assert line is not None
            assert (path.parent / line[1]).is_file()
    for check in (["check", "--select", "E,F,I,UP,B"], ["format", "--check"]):
        words = [sys.executable, "-m", "ruff", *check, "--no-cache", "."]  # by its own settings
        done = subprocess.run(words, cwd=project, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_the_header_of_a_task_says_what_its_test_asks_for(project: Path, tmp_path: Path) -> None:
    """No number that nobody has measured: the accuracy is the bound of the test that it names."""
    header = (project / "conf/task/my_arms.yaml").read_text("utf-8").split("defaults:")[0]
    said = re.search(r"^# Expected: test/accuracy above ([\d.]+) \((.*)\)$", header, re.MULTILINE)
    assert said is not None
    assert f'run.test["accuracy"] > {said[1]}\n' in (project / said[2]).read_text("utf-8")
    (tmp_path / "lab").mkdir()
    add_part("task", "other", tmp_path, "lab")  # on data of aiexp, where nobody has tried it
    other = (tmp_path / "conf/task/other.yaml").read_text("utf-8")
    assert re.search(r"^# Expected: not measured yet$", other, re.MULTILINE)
    for text in (header, other):
        assert re.search(r"^# Time: not measured yet$", text, re.MULTILINE)


ODD_SETTINGS = {
    "tool = 3": "tool is 3, not a table",
    "[tool]\naiexp = 'lab'": "aiexp is 'lab', not a table",
    "[[tool.aiexp]]": "aiexp is [{}], not a table",
    "[tool": "this is no TOML",
}


@pytest.mark.parametrize("text", ODD_SETTINGS)
def test_odd_settings_of_a_project_are_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(AiexpError) as caught:
        package_of(tmp_path)
    assert ODD_SETTINGS[text] in caught.value.what
    assert caught.value.where == str(tmp_path / "pyproject.toml")


@pytest.mark.parametrize("text", ["", "[tool]", "[tool.aiexp]", "[tool.aiexp]\npackage = ''"])
def test_without_settings_the_only_package_is_the_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text(text)
    assert package_of(tmp_path) == "lab"


BAD_NAMES = {
    "My-Project": "lower-case letters, digits and _, a letter first: my_project",
    "3d": "my_3d",
    "class": "'class' is a word of Python",
    "torch": "a Python package 'torch' already",
    "conf": "a folder that a project has anyway",
    "digits": "aiexp has a dataset 'digits' of its own",
    "../up": "cannot be a name here",
    "": "cannot be a name here",
}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_cannot_be(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name if name not in ("../up", "") else Path(name)
    if name == "../up":
        folder = tmp_path / "Up "
    with pytest.raises(AiexpError) as caught:
        make_project(folder)
    assert BAD_NAMES[name] in f"{caught.value.what} {caught.value.fix}"
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(project: Path, tmp_path: Path) -> None:
    with pytest.raises(AiexpError, match="there is something of this name already"):
        make_project(project)
    before = {path: path.read_bytes() for path in project.rglob("*.py")}
    with pytest.raises(AiexpError, match="is there already, and is not overwritten"):
        add_part("task", "second_one", project, None)
    with pytest.raises(AiexpError, match="aiexp has a model 'mlp' of its own"):
        add_part("model", "mlp", project, None)
    assert {path: path.read_bytes() for path in project.rglob("*.py")} == before
    (tmp_path / "file_here").write_text("mine")
    with pytest.raises(AiexpError, match="something of this name"):
        make_project(tmp_path / "file_here")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "closed").write_text("")
    with pytest.raises(AiexpError) as caught:
        make_project(tmp_path / "closed" / "mine")
    assert caught.value.kind == "storage"


def test_where_code_goes(tmp_path: Path) -> None:
    with pytest.raises(AiexpError, match="there is no project here"):
        package_of(tmp_path)
    for name in ("lab", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    assert package_of(tmp_path) == "lab"
    (tmp_path / "lab/task.py").touch()
    with pytest.raises(AiexpError, match=r"lab/task\.py would be hidden"):
        add_part("task", "other", tmp_path, None)
    files = add_part("task", "other", tmp_path, "lab2")
    assert [path.relative_to(tmp_path).as_posix() for path in files] == [
        "conf/task/other.yaml", "lab2/task/other.py", "tests/test_task_other.py"
    ]  # fmt: skip
    (tmp_path / "more").mkdir()
    (tmp_path / "more/__init__.py").touch()
    with pytest.raises(AiexpError, match="several packages here: lab, lab2, more"):
        package_of(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.aiexp]\npackage = "more"\n')
    assert package_of(tmp_path) == "more"
