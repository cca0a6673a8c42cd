"""Online against a server on loopback, with the real client: what arrives, and every way to fail."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aiexp.errors import HardwareError
from aiexp.task.report import Table
from aiexp.tracker.base import RunInfo
from aiexp.tracker.guard import GuardedTracker
from tests.tracker.conftest import make_tracker
from tests.tracker.fake_wandb import BAD_KEY, FakeWandb
from tests.tracker.pictures import PNG

MakeRun = Callable[..., RunInfo]
Capture = pytest.CaptureFixture[str]


def test_run_arrives_and_resumes_in_place(server: FakeWandb, make_run: MakeRun, capfd: Capture) -> None:
    run, tracker = make_run(), make_tracker(entity="team", record=[])
    (run.directory / "p.png").write_bytes(PNG)
    record = tracker.start(run)
    for step in (1, 2, 3):
        tracker.log(step, {"train/loss": step / 10, "eval/accuracy": step / 10})
    tracker.log_picture(3, "test/confusion", run.directory / "p.png")
    tracker.log_table(3, "test/errors", Table(columns=["text"], rows=[["bad film"]]))
    tracker.close(143)

    assert (record["mode"], record["project"], record["entity"]) == ("online", "aiexp", "team")
    assert record["url"].startswith(server.url)
    assert capfd.readouterr() == ("", f"aiexp: W&B: {record['url']}\n")
    assert server.unknown == []
    [(run_id, found)] = server.runs.items()
    assert run_id == record["id"]
    assert (found.fields["displayName"], found.fields["groupName"]) == (run.name, run.group)
    assert (found.fields["jobType"], found.fields["entity"]) == ("bert_finetune", "team")
    assert sorted(found.fields["tags"]) == sorted(run.tags)
    origin = found.config["aiexp"]
    assert {k: v for k, v in found.config.items() if k != "aiexp"} == run.config
    assert (origin["run_id"], origin["directory"]) == (run.id, "run")
    assert not {"host", "commit", "repo"} & set(found.fields)
    assert [row["step"] for row in found.rows] == [1, 2, 3, 3, 3]
    assert found.summary["best/eval/accuracy"] == 0.3
    assert found.exit_code == 143
    assert {Path(name).suffix for name in found.files} == {".png", ".json", ".yaml"}
    assert not any("metadata" in name or "requirements" in name for name in found.files)
    assert [artifact["state"] for artifact in server.artifacts.values()] == ["COMMITTED"]

    again = make_tracker(project="other")  # a resumed run stays in its project
    resumed = again.start(make_run(previous=record))
    for step in (3, 4):
        again.log(step, {"train/loss": step / 10})
    again.close(0)
    assert {key: resumed[key] for key in ("id", "project", "entity", "url")} == {
        key: record[key] for key in ("id", "project", "entity", "url")
    }
    assert list(server.runs) == [run_id]
    assert [row["step"] for row in found.rows] == [1, 2, 3, 3, 3, 3, 4]
    assert found.exit_code == 0


@pytest.mark.parametrize("fault", ["dead", "hanging", "broken", "refusing", "no key", "malformed key"])
def test_required_fails_and_auto_goes_offline(
    fault: str, server: FakeWandb, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    if fault == "dead":
        server.close()
    elif fault == "hanging":
        server.is_hanging = True
    elif fault == "broken":
        server.fail = 503
    elif fault == "refusing":
        monkeypatch.setenv("WANDB_API_KEY", BAD_KEY)
    elif fault == "no key":
        monkeypatch.delenv("WANDB_API_KEY")
    else:
        monkeypatch.setenv("WANDB_API_KEY", "too-short")
    reason = {
        "dead": "is not reachable", "hanging": "did not answer in 0.3 s", "broken": "answered HTTP 503",
        "refusing": "refused the W&B key (HTTP 401)", "no key": "no W&B key is configured",
        "malformed key": "the W&B key cannot be used",
    }[fault]  # fmt: skip
    begin = time.monotonic()
    with pytest.raises(HardwareError) as error:
        make_tracker(mode="required", probe_seconds=0.3).start(make_run())
    assert time.monotonic() - begin < 15
    assert error.value.exit_code == 5
    assert reason in str(error.value)
    assert capfd.readouterr() == ("", "")

    tracker = make_tracker(probe_seconds=0.3)
    record = tracker.start(make_run())
    tracker.close(0)
    [line] = capfd.readouterr().err.splitlines()
    assert record["mode"] == "offline"
    assert reason in line
    assert "wandb sync run/wandb/offline-run-" in line
    assert "too-short" not in line


def test_server_that_hangs_after_the_probe(server: FakeWandb, make_run: MakeRun, capfd: Capture) -> None:
    server.hang_after = "Viewer"
    tracker = make_tracker(init_timeout_seconds=1)
    record = tracker.start(make_run())
    tracker.log(1, {"train/loss": 1.0})
    tracker.close(0)
    assert record["mode"] == "offline"
    assert "opening the run failed" in capfd.readouterr().err


@pytest.mark.parametrize("fault", ["dead", "broken", "refusing"])
def test_server_lost_in_the_run(fault: str, server: FakeWandb, make_run: MakeRun, capfd: Capture) -> None:
    tracker = GuardedTracker(make_tracker(finish_timeout_seconds=1))
    record = tracker.start(make_run())
    tracker.log(1, {"train/loss": 1.0})
    if fault == "dead":
        server.close()
    else:
        server.fail = 500 if fault == "broken" else 401
    tracker.log(2, {"train/loss": 0.5})
    tracker.close(0)
    lines = capfd.readouterr().err.splitlines()
    assert tracker.failure is None
    assert lines[-1] == f"aiexp: W&B has not received everything; upload the rest: {record['upload']}"
    assert len(lines) <= 3  # the link, perhaps "stopped uploading", the command

    with FakeWandb() as later:  # the command in that line works
        command = f"{Path(sys.executable).parent}/{record['upload']}"
        subprocess.run(command, shell=True, check=True, capture_output=True, env=os.environ | later.env())
        assert [row["step"] for row in later.runs[record["id"]].rows if row] == [1, 2]


CLIENT = """
import os, signal, time
from pathlib import Path
import wandb
from aiexp.tracker import guard
from aiexp.tracker.wandb import tracker as tracker_module
from aiexp.tracker.base import RunInfo
from tests.tracker.conftest import make_tracker

guard.DRAIN_SECONDS = tracker_module.GRACE_SECONDS = 0.3
run = RunInfo(directory=Path.cwd(), id="1", task="t", name="", group=None, tags=[], config={}, previous=None)
tracker = guard.GuardedTracker(make_tracker(finish_timeout_seconds=0.3))
print(tracker.start(run)["mode"])
os.kill(wandb.setup()._connection._proc._process.pid, signal.SIG%s)
time.sleep(0.2)
for step in range(2000):
    tracker.log(step, {"train/loss": 1.0})
print("trained")
tracker.close(0)
"""


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_wandb_service_dies_or_hangs(signal: str, server: FakeWandb, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLIENT % signal],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "online\ntrained\n")
    link, stopped = done.stderr.splitlines()
    assert link.startswith("aiexp: W&B: http")
    assert stopped.startswith("aiexp: tracking stopped, the run and its metrics.jsonl go on")
    assert "upload later: wandb sync --include-online " in stopped
