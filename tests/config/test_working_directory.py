"""Files of the working directory are imported because a config names them, never because they lie there."""

import sys
from pathlib import Path

import pytest

from aiexp.config.objects.build import build
from tests.forks import in_fork
from tests.lab import Lab, make_lab

CANARY = "open('canary', 'w').close()\n"
OPTIONAL = "try:\n    import optional_extra\nexcept ImportError:\n    optional_extra = None\n"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """With an installed library that tries an optional module, and a file of that name in the folder."""
    lab = make_lab(tmp_path, monkeypatch)
    lab.write("installed/some_library.py", OPTIONAL)
    monkeypatch.syspath_prepend(lab.root / "installed")
    lab.write("optional_extra.py", CANARY)
    lab.write("helpers.py", "def width():\n    import later\n    return later.WIDTH\n")
    lab.write("later.py", "import importlib\nWIDTH = importlib.import_module('last').WIDTH\n")
    lab.write("last.py", "WIDTH = 3\n")
    return lab


def test_a_library_does_not_get_a_file_of_the_working_directory(lab: Lab) -> None:
    lab.write("mine.py", "import some_library\nclass Model:\n    extra = some_library.optional_extra\n")
    ended = in_fork(lambda: int(build({"_target_": "mine.Model"}).extra is not None), lab.root)
    assert (ended.code, ended.stderr) == (0, "")
    assert not (lab.root / "canary").exists()


@pytest.mark.parametrize("name", ["mine.py", "spaces/deep/mine.py"])  # the second is a namespace package
def test_own_code_imports_what_lies_beside_it_now_and_later(lab: Lab, name: str) -> None:
    lab.write(name, "import helpers\nclass Model:\n    def width(self):\n        return helpers.width()\n")
    target = name.removesuffix(".py").replace("/", ".") + ".Model"
    ended = in_fork(lambda: build({"_target_": target}).width() - 3, lab.root)
    assert (ended.code, ended.stderr) == (0, "")


def test_looking_for_a_target_admits_nothing(lab: Lab) -> None:
    def attempt() -> None:
        with pytest.raises(Exception, match="does not exist"):
            build({"_target_": "optional_extra.Model"})
        import some_library  # pyright: ignore[reportMissingImports]

        assert some_library.optional_extra is None

    assert in_fork(attempt, lab.root).stderr == ""
    assert not (lab.root / "canary").exists()


def test_the_directory_is_on_no_path(lab: Lab) -> None:
    build({"_target_": "my_lab.parts.Model", "width": 1, "activation": "relu"})
    assert not {"", str(lab.root)} & set(sys.path)


def test_no_process_that_is_started_looks_there_either(lab: Lab) -> None:
    """Python itself would: `-m`, and the `-c` of multiprocessing, put the folder before everything."""
    for module in ("torch", "hydra", "yaml", "omegaconf", "resource", "cloudpickle"):
        lab.write(f"{module}.py", f"import sys\nsys.stderr.write('imported {module}')\n{CANARY}")
    ended = lab.program("run", "-m", "seed=0,1", "model.width=1")
    assert "imported" not in ended.stderr
    assert "2 of 2 jobs failed" in ended.stderr  # the toys cannot be trained: the jobs got that far
    assert not (lab.root / "canary").exists()
