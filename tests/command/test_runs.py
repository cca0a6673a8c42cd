"""`aiexp runs`: what it lists, and that it removes nothing else than it says."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from aiexp import cli
from aiexp.checkpoint.manifest import FILES, FORMAT
from aiexp.rundir import lock as run_lock
from aiexp.rundir.directory import RunDirectory
from aiexp.runs.disk import disk_bytes, freed_bytes
from tests.forks import in_fork

CONFIG = {
    "seed": 0,
    "trainer": {"steps": 100, "clip": None, "selection": {"monitor": None}},
    "task": {"optimizer": {"lr": 0.001}, "reference": {"metric": "test/accuracy"}},
}


def make_run(name: str, *, state: str = "finished", task: str = "mnist", **changes: object) -> Path:
    """A run directory as a run leaves it; `steps`: its checkpoints, the first with a second link."""
    path = Path("outputs", task, name)
    path.mkdir(parents=True)
    config = json.loads(json.dumps(CONFIG)) | {"seed": changes.get("seed", 0)}
    config["task"]["optimizer"]["lr"] = changes.get("lr", 0.001)
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    (path / "overrides.yaml").write_text(
        yaml.safe_dump({"choices": {"task": task, "model": "cnn"}, "overrides": []})
    )
    accuracy = changes.get("accuracy")
    status = {"state": state, "best_step": changes.get("best"), "seconds": 90.0, "error": None}
    status |= {"metrics": {"test/loss": 0.1, "test/accuracy": accuracy}} if accuracy is not None else {}
    (path / "status.json").write_text(json.dumps(status))
    for step in changes.get("steps", ()):  # type: ignore[attr-defined]
        make_checkpoint(path, step)
    return path


def make_checkpoint(run: Path, step: int) -> None:
    """Files under a manifest, as aiexp.checkpoint.store writes them."""
    folder = run / f"checkpoints/step-{step:08d}"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text(f"{name} of step {step}")
    files = {
        p.name: {"bytes": p.stat().st_size, "sha256": hashlib.sha256(p.read_bytes()).hexdigest()}
        for p in folder.iterdir()
    }
    (folder / "manifest.json").write_text(json.dumps({"format": FORMAT, "step": step, "files": files}))


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five runs of two tasks, and folders that are none."""
    monkeypatch.chdir(tmp_path)
    make_run("2026-01-01_00-00-00_a_aaaaaa", accuracy=0.9, steps=(10, 20, 30), best=20)
    make_run("2026-01-02_00-00-00_b_bbbbbb", accuracy=0.8, seed=1, lr=3e-4)
    make_run("2026-01-03_00-00-00_c_cccccc", state="failed")
    make_run("2026-01-04_00-00-00_d_dddddd", state="running", steps=(5, 6))
    make_run("2026-01-05_00-00-00_e_eeeeee", state="finished", task="bert", accuracy=float("nan"))
    Path("outputs/notes").mkdir()
    Path("outputs/notes/config.yaml").write_text("mine: true\n")
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(["runs", *words])
    return code, *capsys.readouterr()


def names(out: str) -> str:
    """The letters of the runs listed, in order."""
    return "".join(line.rsplit("_", 2)[1] for line in out.splitlines() if "_00-00-00_" in line)


def test_the_newest_run_comes_first_with_the_metric_of_its_task(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys)
    assert (code, names(out)) == (0, "edcba")
    assert "test/accuracy 0.9 " in out
    assert "died" in out  # status.json says running, and no process holds the lock
    assert out.splitlines()[-1].startswith("5 runs, ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["task=mnist"], "dcba"),
        (["state=failed,died"], "dc"),
        (["state!=finished", "task=mnist"], "dc"),
        (["seed=1"], "b"),
        (["task.optimizer.lr=0.0003"], "b"),
        (["task.optimizer.lr!=1e-3"], "b"),
        (["trainer.clip=null", "model=c*", "trainer.steps=100.0"], "edcba"),
        (["seed>=0", "seed<1"], "edca"),
        (["task.optimizer.lr<=3e-4", "trainer.steps>99.5"], "b"),
        (["outputs/bert"], "e"),
        (["outputs/mnist/2026-01-01_00-00-00_a_aaaaaa", "outputs/bert"], "ea"),
        (["--older", "1h"], "edcba"),
    ],
)  # fmt: skip
def test_filters(outputs: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str) -> None:
    assert names(call(capsys, *words)[1]) == expected


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["state=faild"], 2, "no state 'faild'. Did you mean 'failed'?"),
        (["trainer.stesp=1"], 2, "Did you mean 'trainer.steps'?"),
        (["tsk=mnist"], 2, "Did you mean 'task'?"),
        (["task=minst"], 0, "there is bert, mnist"),
        (["tag=first"], 0, "tag=first: among the 5 runs there is no tag"),
        (["trainer.clip>1"], 0, "there is null"),
        (["trainer.steps>many"], 2, "'many' is no number"),
        (["trainer.steps<1,2"], 2, "one number, such as 'trainer.steps<20'"),
        (["trainer.stesp>1"], 2, "Did you mean 'trainer.steps'?"),
        (["nowhere"], 2, "no such folder: nowhere"),
        (["--fromat", "csv"], 2, "Did you mean '--format'?"),
        (["--format", "cvs"], 2, "--format takes table|json|csv, not 'cvs'. Did you mean 'csv'?"),
        (["--metric", "test/acuracy"], 2, "Did you mean 'test/accuracy'?"),
        (["--older", "7days"], 2, "30min, 12h, 7d or 4w"),
        (["--yes"], 2, "--yes to what?"),
        (["prune", "--yes=no"], 2, "--yes takes no value"),
        (["rm"], 2, "remove what?"),
        (["rm", "--keep", "1"], 2, "--keep is for checkpoints"),
        (["prune", "--keep", "bets"], 2, "best, 1, 2"),
        (["rm", "outputs/notes"], 10, "is no run directory"),
        (["rm", "outputs"], 10, "is no run directory"),
        (["rm", "."], 10, "is no run directory"),
    ],
)
def test_misuse_is_one_line(
    outputs: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, expected: str
) -> None:
    got, _, err = call(capsys, *words)
    assert got == code
    assert expected in err
    assert len(err.splitlines()) == 1 + ("no runs" in err)
    assert len(list(outputs.rglob("status.json"))) == 5


def test_json_and_csv_are_data(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(call(capsys, "--format", "json")[1])
    assert [row["value"] for row in rows] == [None, None, None, 0.8, 0.9]  # NaN is no JSON
    assert rows[4]["metrics"] == {"test/loss": 0.1, "test/accuracy": 0.9}
    assert (
        call(capsys, "--format=csv", "seed=1")[1]
        .splitlines()[1]
        .startswith(f"bbbbbb,{rows[3]['run']},mnist,finished")
    )
    assert [row["id"] for row in rows] == [letter * 6 for letter in "edcba"]


def test_rm_says_then_does(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Path("outputs/mnist/2026-01-02_00-00-00_b_bbbbbb")
    code, out, _ = call(capsys, "rm", str(run))
    assert (code, run.exists()) == (0, True)
    assert "would remove: 1 run" in out
    assert "removed: 1 run" in call(capsys, "rm", str(run), "--yes")[1]
    assert not run.exists()
    assert names(call(capsys)[1]) == "edca"
    assert sorted(p.name for p in Path("outputs/mnist").iterdir() if p.name.startswith(".")) == []


def test_rm_by_filter(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, "rm", "task=mnist", "state=finished", "--yes")
    assert names(call(capsys)[1]) == "edc"


@pytest.mark.parametrize("words", [["rm", "state=*"], ["prune", "--keep", "0"], ["prune"]])
def test_a_run_that_works_is_never_touched(
    outputs: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    run = Path("outputs/mnist/2026-01-04_00-00-00_d_dddddd")
    before = sorted(run.rglob("*"))
    with RunDirectory(run.absolute()).lock():
        assert "running" in call(capsys, "state=running")[1]
        _, _, err = call(capsys, *words, "--yes")
    assert [p for p in sorted(run.rglob("*")) if p.name != ".lock"] == before
    assert f"stays: {run.name}" in err


def test_a_run_that_begins_between_plan_and_removal_is_left(
    outputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path("outputs/mnist/2026-01-03_00-00-00_c_cccccc")
    monkeypatch.setattr(import_module("aiexp.runs.plan"), "actual_state", lambda record: "failed")
    with RunDirectory(run.absolute()).lock():
        code, _, err = call(capsys, "prune", "--yes", str(run))
    assert (code, run.exists()) == (8, True)
    assert "a process works on it" in err


def test_a_run_about_to_take_its_lock_is_no_leftover(
    outputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = RunDirectory.create(Path("outputs/mnist").absolute(), "young").path
    call(capsys, "prune", "--yes")
    assert made.exists()
    monkeypatch.setattr(run_lock, "START_SECONDS", -1.0)
    call(capsys, "prune", "--yes")
    assert not made.exists()


def test_prune_takes_what_came_to_nothing(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, "prune", "--yes")
    assert names(call(capsys)[1]) == "edba"  # d died, and its checkpoint can be resumed


@pytest.mark.parametrize(
    ("keep", "finished", "died"),
    [("best", [20], [6]), ("1", [20, 30], [6]), ("2", [20, 30], [5, 6]), ("0", [], [6])],
)
def test_prune_checkpoints(
    outputs: Path, capsys: pytest.CaptureFixture[str], keep: str, finished: list[int], died: list[int]
) -> None:
    call(capsys, "prune", "--keep", keep)
    assert len(list(outputs.rglob("step-*"))) == 5
    call(capsys, "prune", "--keep", keep, "--yes")
    left = {
        r: sorted(int(p.name[5:]) for p in Path(r).rglob("step-*"))
        for r in map(str, Path("outputs/mnist").iterdir())
    }
    assert left["outputs/mnist/2026-01-01_00-00-00_a_aaaaaa"] == finished
    assert left["outputs/mnist/2026-01-04_00-00-00_d_dddddd"] == died


def test_checkpoints_stay_when_the_one_to_keep_is_damaged(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path("outputs/mnist/2026-01-01_00-00-00_a_aaaaaa")
    (run / "checkpoints/step-00000020/state.json").write_text("{}")
    code, _, err = call(capsys, "prune", "--keep", "best", "--yes", str(run))
    assert code == 4
    assert "step-00000020" in err
    assert len(list(run.rglob("step-*"))) == 3


def test_links_are_neither_followed_nor_removed(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    treasure = outputs / "treasure"
    treasure.mkdir()
    (treasure / "status.json").write_text('{"state": "failed"}')
    run = Path("outputs/mnist/2026-01-03_00-00-00_c_cccccc")
    (run / "link").symlink_to(treasure)
    Path("outputs/latest").symlink_to(run.absolute())
    Path("outputs/newest").symlink_to(run.absolute())
    code, _, err = call(capsys, "rm", "outputs/newest", "--yes")
    assert (code, run.exists()) == (10, True)
    assert f"name the run itself: {run}" in err
    call(capsys, "rm", str(run), "--yes")
    assert not run.exists()
    assert Path("outputs/latest").resolve().name.endswith("e_eeeeee"), "the newest that is left"
    assert (treasure / "status.json").exists()

    kept = Path("outputs/mnist/2026-01-01_00-00-00_a_aaaaaa/checkpoints")
    kept.rename(outputs / "elsewhere")
    kept.symlink_to(outputs / "elsewhere")
    call(capsys, "prune", "--keep", "0", "--yes")
    assert len(list((outputs / "elsewhere").glob("step-*"))) == 3


def test_a_block_with_two_links_counts_once(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a/block").write_bytes(b"x" * 100_000)
    os.link(tmp_path / "a/block", tmp_path / "b/block")
    one = disk_bytes([tmp_path / "a"])
    assert one >= 100_000
    assert disk_bytes([tmp_path / "a", tmp_path / "b"]) == disk_bytes([tmp_path]) == one
    assert freed_bytes([tmp_path / "a"]) == 0
    assert freed_bytes([tmp_path / "a", tmp_path / "b"]) == one


def test_no_heavy_import(outputs: Path) -> None:
    program = """
import sys
from aiexp.cli import main
code = main(["runs"])
heavy = {"torch", "numpy", "scipy", "wandb", "omegaconf", "hydra"} & set(sys.modules)
sys.exit(str(heavy) if heavy else code)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_has_left(outputs: Path, tmp_path: Path) -> None:
    """As `aiexp runs | head -1`: no traceback, not even when Python ends and flushes."""

    def piped() -> int:
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)
        os.close(writing)
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
        code = cli.main(["runs"])
        print("more", flush=True)
        return code

    ended = in_fork(piped, tmp_path)
    assert (ended.code, ended.stderr) == (0, "")


def test_a_list_opens_no_file_of_a_run_twice(outputs: Path, tmp_path: Path) -> None:
    """A thousand runs cost their reading and little more; counted, for a clock would be no test."""

    def listed() -> int:
        opened: Counter[str] = Counter()

        def note(event: str, arguments: tuple[object, ...]) -> None:
            if event == "open" and "_00-00-00_" in str(arguments[0]):
                opened["/".join(str(arguments[0]).split("/")[-2:])] += 1

        sys.addaudithook(note)  # for good: in a fork
        code = cli.main(["runs"])
        print(json.dumps(opened), file=sys.stderr)
        return code

    ended = in_fork(listed, tmp_path)
    assert ended.code == 0
    opened: dict[str, int] = json.loads(ended.stderr)
    files = {f"{path.parent.name}/{path.name}" for path in outputs.rglob("status.json")}
    assert len(files) == 5
    assert files <= set(opened)
    assert {name: times for name, times in opened.items() if times > 1 and not name.endswith(".lock")} == {}
    assert not [name for name in opened if "safetensors" in name]


def test_rm_of_the_link_to_the_latest_run(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run("mine")
    (Path("outputs") / "latest").unlink(missing_ok=True)
    Path("outputs/latest").symlink_to("mnist/mine")
    code, out, _ = call(capsys, "rm", "outputs/latest", "--yes")
    assert code == 0
    assert "outputs/mnist/mine" in out
    assert not run.exists()
    assert Path("outputs/latest").resolve().name.endswith("e_eeeeee"), "the newest that is left"
    Path("outputs/latest").unlink()
    Path("outputs/latest").symlink_to("../elsewhere")
    assert call(capsys, "rm", "outputs/latest", "--yes")[0] in (2, 10)
