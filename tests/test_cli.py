"""The `aiexp` command from outside: exit codes, lines, sweeps, what it must not import or leave behind."""

import os
import subprocess
import sys
from ast import literal_eval
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiexp import cli
from tests.lab import HEAVY, Lab, make_lab
from tests.stub_run import STUB
from tests.wheel import install_wheel

ROOT = Path(__file__).parent.parent


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make_lab(tmp_path, monkeypatch)


@pytest.fixture
def run_stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delitem(sys.modules, "aiexp.run", raising=False)
    exec(STUB, {})
    yield
    sys.modules.pop("aiexp.run", None)


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(list(words))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rnu"], "unknown command 'rnu'. Did you mean 'run'?"),
        (["task=toy"], "type: aiexp run task=toy"),
        (["run", "--mulitrun"], "unknown flag '--mulitrun'. Did you mean '--multirun'?"),
        (["run", "--config-name", "x"], "write a file in conf/task"),
        (["run", "--cfg", "jbo"], "--cfg takes job|hydra|all, not 'jbo'. Did you mean 'job'?"),
        (["run", "--cfg"], "--cfg takes job|hydra|all"),
        (["run", "--cfg", "job", "-p", "task.dropot"], "no key 'task.dropot'. Did you mean 'task.dropout'?"),
        (["run", "--cfg", "job", "-m"], "leave out -m"),
        (["run", "--trust"], "not the name of a package"),
        (["run", "--config-dir", "nowhere"], "no such folder: nowhere"),
        (["list", "taks"], "no group 'taks'. Did you mean 'task'?"),
        (["completion", "basch"], "Did you mean 'bash'?"),
    ],
)
def test_misuse_is_one_line_and_exit_2(
    lab: Lab, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    code, out, err = call(capsys, *words)
    assert (code, out) == (2, "")
    assert expected in err
    assert err.startswith("aiexp: error[config]: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["run", "task=toy", "--cfg", "job", "trainer.steps=3", "--resolve", "seed=5"],
        ["run", "--resolve", "--cfg=job", "task=toy", "trainer.steps=3", "seed=5"],
        ["run", "-c", "job", "seed=5", "--resolve", "trainer.steps=3", "task=toy"],
    ],
)
def test_flags_stand_anywhere(lab: Lab, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    code, out, err = call(capsys, *words)
    assert code == 0, err
    assert "steps: 3" in out
    assert "hydra" not in out
    assert out.count("seed: 5") == 2  # at the top, and resolved in dataset


def test_hydras_own_views(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert "steps: 10" in call(capsys, "run", "--cfg", "job", "--package", "trainer")[1]
    assert "job_logging" in call(capsys, "run", "--cfg", "hydra")[1]
    assert f"file://{lab.root}/conf" in call(capsys, "run", "--info", "searchpath")[1]
    assert "trainer/toy" in call(capsys, "run", "--info", "defaults", "task=toy")[1]
    assert "hydra/launcher" in call(capsys, "run", "--hydra-help")[1]


@pytest.mark.usefixtures("run_stub")
def test_one_run(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "run", "model=large")
    assert (code, out) == (0, "RUN toy 64 0 None\n"), err
    assert "note: conf/aiexp.yaml replaces aiexp's own defaults" in err


@pytest.mark.usefixtures("run_stub")
@pytest.mark.parametrize(
    ("seed", "code", "line"), [(1, 3, "data"), (3, 143, "stopped"), (4, 130, "interrupted")]
)
def test_errors_become_exit_codes(
    lab: Lab, capsys: pytest.CaptureFixture[str], seed: int, code: int, line: str
) -> None:
    got, _, err = call(capsys, "run", f"seed={seed}")
    assert got == code
    assert line in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.usefixtures("run_stub")
def test_a_bug_keeps_its_traceback_and_hides_secrets(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "canary-123456")
    code, _, err = call(capsys, "run", "seed=2", "outputs=canary-123456")
    assert code == 1
    assert "RuntimeError: boom" in err
    assert "please report" in err
    assert "canary-123456" not in err


@pytest.mark.usefixtures("run_stub")
def test_a_sweep_runs_every_job_and_reports_failures(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(
        capsys, "run", "seed=0,1,2", "task=toy", "-m", "model=small,large", "trainer.steps=5",
        "hydra/launcher=basic",
    )  # fmt: skip
    assert code == 9
    jobs = [line.split(" ", 4) for line in out.splitlines()]
    assert [(int(width), int(seed)) for _, _, width, seed, _ in jobs] == [
        (4, 0), (64, 0), (4, 1), (64, 1), (4, 2), (64, 2),
    ]  # fmt: skip
    given = [literal_eval(rest) for *_, rest in jobs]
    (directory,) = {sweep_dir for sweep_dir, _, _ in given}
    assert Path(directory).parent == Path("outputs/toy")
    assert [index for _, index, _ in given] == [0, 1, 2, 3, 4, 5]
    assert given[3][2] == ["seed=1", "model=large"]
    assert "job 2 failed: seed=1 model=small" in err
    assert err.index("job 2 failed") < err.index("job 4 failed") < err.index("error[sweep]")
    assert "the file is empty | data.csv | fix: fill it" in err
    assert "4 of 6 jobs failed, 2 are complete" in err
    table = err[err.index(" job exit") :].splitlines()
    assert table[1].split()[1:4] == ["2", "3", "seed=1"]
    new = {Path(f).name for f in lab.files() if f.startswith("outputs/") and Path(f).is_file()}
    assert new == {"sweep.yaml", "ledger.jsonl", ".lock", ".jobs"}  # no .hydra, nothing of Hydra's


@pytest.mark.usefixtures("run_stub")
def test_ctrl_c_ends_a_sweep(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "run", "-m", "hydra/launcher=basic", "seed=0,3,5")
    assert code == 143
    assert out.count("RUN") == 2
    assert "sweep stopped, 1 of 3 jobs are complete; continue with: aiexp resume outputs/toy/" in err


@pytest.mark.usefixtures("run_stub")
def test_every_value_of_a_sweep_is_checked_before_it_starts(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "seed=0,x",
        "model=small,lrge",
        "trainer.stepps=1,2",
        "trainer.steps=1,2,many",
        "+model.bias=true,5",
    ]
    code, out, err = call(capsys, "run", "-m", *words)
    assert (code, out) == (2, "")
    for part in (
        "'seed' is 'x'",
        "'lrge'",
        "'trainer.stepps'",
        "'trainer.steps' is 'many'",
        "'model.bias' is 5",
    ):
        assert err.count(part) == 1, (part, err)
    assert err.count("\n") == 5
    assert not (lab.root / "outputs").exists()
    assert call(capsys, "run", "-m", "model._target_=my_lab.parts.Model,os.system")[0] == 10
    assert "sweeper" in call(capsys, "run", "-m", "trainer.clip=interval(0,1)")[2]


@pytest.mark.usefixtures("run_stub")
def test_sweeps_of_groups_and_odd_folder_names(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.write("conf/task/second.yaml", (lab.root / "conf/task/toy.yaml").read_text())
    code, out, err = call(
        capsys,
        "run",
        "-m",
        "hydra/launcher=basic",
        "task=toy,second",
        "model=glob(la*)",
        "outputs='it is, \\'quoted\\''",
    )
    assert code == 0, err
    assert out.count("RUN") == 2
    (sweep,) = (lab.root / "it is, 'quoted'/mixed").iterdir()
    assert sweep.name.split("_")[2] == "sweep"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["list"], 0),
        (["run", "--help"], 0),
        (["run", "--cfg", "job"], 0),
        (["run", "tsk=1"], 2),
        (["run", "-m", "seed=0,a"], 2),
        (["completion", "bash"], 0),
        (["completion", "--words", "aiexp run task="], 0),
    ],
)
def test_nothing_heavy_is_imported(lab: Lab, words: list[str], code: int) -> None:
    report = "lambda: print('LOADED', sorted(m for m in sys.modules if '.' not in m), file=sys.stderr)"
    done = lab.aiexp(*words, program=f"import atexit, sys; atexit.register({report})")
    assert done.returncode == code, done.stderr
    loaded = done.stderr.splitlines()[-1]
    assert not [m for m in HEAVY if f"'{m}'" in loaded]
    if words[0] in ("--help", "list") or "--help" in words or words == ["completion", "bash"]:
        assert "'hydra'" not in loaded
        assert "'omegaconf'" not in loaded


def test_nothing_is_left_behind(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    before = lab.files()
    for words in (
        ["run", "--cfg", "all"],
        ["run", "--info"],
        ["run", "seed=x"],
        ["run", "-m", "seed=x,1"],
        ["list"],
    ):
        call(capsys, *words)
    assert lab.files() == before


def test_list_shows_headers_and_marks_the_users_own(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.write("conf/hardware/cpu.yaml", "# My processor\n_target_: my_lab.parts.Hardware\ndevice: cpu\n")
    out = " ".join(call(capsys, "list", "task", "hardware")[1].split())
    assert "toy Toy task [yours: conf/task/toy.yaml] data: numbers time: a second" in out
    assert "My processor [yours: conf/hardware/cpu.yaml, replaces the built-in one]" in out
    assert "tracker" not in out


def test_a_wheel_runs_a_users_task_in_another_folder(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No checkout, no fork: conf/ comes out of the wheel, task and code out of the user's folder."""
    site = install_wheel(tmp_path_factory.mktemp("wheel"))
    (lab.root / "conf/aiexp.yaml").unlink()
    environment = {**os.environ, "PYTHONPATH": str(site)}
    program = f"{STUB}\nimport aiexp.cli; print(aiexp.__file__); sys.exit(aiexp.cli.main(sys.argv[1:]))"
    words = ["run", "task=toy", "tracker=none", "hardware=cpu"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=lab.root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(site / "aiexp/__init__.py"), "RUN toy 4 0 None"]
