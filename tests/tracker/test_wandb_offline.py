"""What an offline run leaves on disk, read back with a reader of its own."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiexp.errors import ConfigError
from aiexp.task.report import Table
from aiexp.tracker.base import RunInfo
from tests.tracker.conftest import make_tracker
from tests.tracker.fake_wandb import FakeWandb
from tests.tracker.pictures import GIF, PNG
from tests.tracker.wandb_file import read_wandb_file

MakeRun = Callable[..., RunInfo]


def follow(run: RunInfo) -> dict[str, Any]:
    """Logs a little of everything; returns what the tracker says of itself."""
    tracker = make_tracker(tags=["mine"], project="reviews", record=[])
    for name, content in (("p.png", PNG), ("g.gif", GIF)):
        (run.directory / name).write_bytes(content)
    record = tracker.start(run)
    tracker.log(1, {"train/loss": 0.5})
    for step, accuracy in ((1, 0.5), (2, 0.9), (3, float("nan")), (4, 0.7)):
        tracker.log(step, {"eval/accuracy": accuracy})
    tracker.log_picture(4, "test/confusion", run.directory / "p.png")
    tracker.log_picture(4, "test/film", run.directory / "g.gif")
    table = Table(columns=["text", "score"], rows=[["bad film", 0.25], ["ok", 1]])
    tracker.log_table(4, "test/confusion", table)
    tracker.close(143)
    return record


def test_offline_file_holds_the_run(home: Path, make_run: MakeRun, capfd: pytest.CaptureFixture[str]) -> None:
    run = make_run()
    record = follow(run)
    folder = run.directory / record["dir"]
    found = read_wandb_file(folder / f"run-{record['id']}.wandb")
    assert (found.id, found.name, found.project) == (record["id"], run.name, "reviews")
    assert (found.group, found.job_type) == (run.group, "bert_finetune")
    assert sorted(found.tags) == sorted([*run.tags, "mine"])
    assert {k: v for k, v in found.config.items() if k != "_wandb"} == run.config | {
        "aiexp": {
            "run_id": run.id, "directory": "run", "sweep": run.group, "task": "bert_finetune",
            "parameters": None,
        }
    }  # fmt: skip
    assert found.step_metrics["*"] == "step"
    assert found.rows[:3] == [
        {"step": 1, "train/loss": 0.5},
        {"step": 1, "eval/accuracy": 0.5},
        {"step": 2, "eval/accuracy": 0.9},
    ]
    assert found.rows[4] == {"step": 4, "eval/accuracy": 0.7}
    names = {
        "test/confusion": "image-file", "test/film": "video-file", "test/confusion_table": "table-file",
    }  # fmt: skip
    logged = {key.removesuffix("._type"): value for row in found.rows[5:] for key, value in row.items()}
    assert {name: logged[name] for name in names} == names
    assert [row["step"] for row in found.rows[5:]] == [4, 4, 4]
    assert found.exit_code == 143
    assert found.summary["best/eval/accuracy"] == 0.9
    kinds = sorted(path.suffix for path in (folder / "files" / "media").rglob("*") if path.is_file())
    assert kinds == [".gif", ".json", ".png"]

    assert record["mode"] == "offline"
    assert record["url"] is None
    out, err = capfd.readouterr()
    assert out == ""
    [line] = err.splitlines()
    assert line.startswith("aiexp: W&B offline: no W&B key is configured")
    assert line.endswith(f"upload later: wandb sync {os.path.relpath(folder)}")
    assert "\n".join(p.name for p in run.directory.rglob("*metadata*")) == ""


def test_resume_writes_a_second_segment_that_sync_merges(
    home: Path, make_run: MakeRun, capfd: pytest.CaptureFixture[str]
) -> None:
    first = make_tracker(mode="offline")
    record = first.start(make_run())
    for step in (1, 2, 3):
        first.log(step, {"train/loss": step / 10, "eval/accuracy": step / 10})
    first.close(143)
    lines = ['{"step":1,"eval/accuracy":0.1}', '{"step":3,"eval/accuracy":0.3}', '{"step":4,"eval/ac']
    (make_run().directory / "metrics.jsonl").write_text("\n".join(lines))

    second = make_tracker(mode="offline")
    again = second.start(make_run(previous=record))
    for step in (3, 4):  # step 3 is repeated: it came after the last checkpoint
        second.log(step, {"train/loss": step / 10, "eval/accuracy": 0.2})
    second.close(0)

    assert again["id"] == record["id"]
    assert again["dir"] != record["dir"]
    found = read_wandb_file(make_run().directory / again["dir"] / f"run-{record['id']}.wandb")
    assert found.id == record["id"]
    assert [row["step"] for row in found.rows if row] == [3, 4]
    assert "best/eval/accuracy" not in found.summary  # 0.3 was better, and metrics.jsonl knows it

    with FakeWandb() as server:
        command = f"{Path(sys.executable).parent}/{again['upload']}"
        subprocess.run(command, shell=True, check=True, capture_output=True, env=os.environ | server.env())
        [(run_id, uploaded)] = server.runs.items()
        assert run_id == record["id"]
        assert [row["step"] for row in uploaded.rows if row] == [1, 2, 3, 3, 4]
        assert uploaded.exit_code == 0


def test_no_key_never_prompts_on_a_terminal(home: Path, tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from aiexp.tracker.base import RunInfo\n"
        "from tests.tracker.conftest import make_tracker\n"
        "run = RunInfo(\n"
        "    directory=Path.cwd(), id='1', task='t', name='', group=None, tags=[], config={}, previous=None\n"
        ")\n"
        "tracker = make_tracker(mode='online')\n"
        "print(tracker.start(run)['mode'])\n"
        "tracker.close(0)\n"
    )
    parent, child = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=child, stdout=child, stderr=child, env=environment, cwd=tmp_path
    )
    os.close(child)
    assert process.wait(timeout=120) == 0
    screen = os.read(parent, 65536).decode()
    os.close(parent)
    assert screen.splitlines()[1:] == ["offline"]
    assert "no W&B key is configured" in screen.splitlines()[0]


@pytest.mark.parametrize("word", ["disabled", "offline", "dryrun"])
def test_wandb_mode_counts_in_auto(
    word: str, server: FakeWandb, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", word)
    tracker = make_tracker()
    record = tracker.start(make_run())
    tracker.log(1, {"train/loss": 1.0})
    tracker.close(0)
    assert record["mode"] == ("disabled" if word == "disabled" else "offline")
    assert server.requests == []


def test_unknown_modes_are_config_errors(
    home: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "of")
    with pytest.raises(ConfigError, match="WANDB_MODE"):
        make_tracker().start(make_run())


def test_sweep_agent_chooses_the_run(home: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    monkeypatch.setenv("WANDB_RUN_ID", "agentrun1")
    monkeypatch.setenv("WANDB_PROJECT", "agentproject")
    tracker = make_tracker(mode="offline", project="ours")
    record = tracker.start(make_run())
    tracker.close(0)
    assert (record["id"], record["project"]) == ("agentrun1", "agentproject")


KILLED = """
import os, signal, time
from pathlib import Path
from typing import Any
from aiexp.task.report import Table
from aiexp.tracker.base import RunInfo
from aiexp.tracker.guard import GuardedTracker
from tests.tracker.conftest import make_tracker
from tests.tracker.wandb_file import read_wandb_file

run = RunInfo(directory=Path.cwd(), id="1", task="t", name="", group=None, tags=[], config={}, previous=None)
tracker = GuardedTracker(make_tracker(mode="offline"))
tracker.start(run)
tracker.log_table(0, "test/errors", Table(columns=["text"], rows=[["bad film"]]))
for step in range(50):
    tracker.log(step, {"train/loss": 1.0})
for _ in range(600):  # what is logged reaches the disk while the run goes on
    files = Path.cwd().glob("wandb/offline-run-*/*.wandb")
    if sum("train/loss" in row for file in files for row in read_wandb_file(file).rows) == 50:
        break
    time.sleep(0.1)
print(tracker.failure)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_run_in_a_home_that_cannot_be_written(home: Path, tmp_path: Path) -> None:
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HOME": "/proc/nobody",
        "PYTHONUNBUFFERED": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        env=os.environ | environment, cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (-9, "None\n")
    [line] = done.stderr.splitlines()
    assert line.startswith("aiexp: W&B offline")
    [path] = tmp_path.glob("wandb/offline-run-*/*.wandb")
    found = read_wandb_file(path)
    assert [row["step"] for row in found.rows if "train/loss" in row] == list(range(50))
