"""The commands with several trackers at once: each is whole after a kill and a resumption."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.endings import at_step
from tests.test_run import TINY, aiexp, folder, numbers, only_run
from tests.test_run_wandb import WORDS
from tests.tracker.conftest import home, server
from tests.tracker.fake_wandb import FakeWandb
from tests.tracker.test_tensorboard import read_events

__all__ = ["folder", "home", "server"]  # fixtures
BOTH = ["tracker=[wandb,tensorboard]", "tracker.wandb.has_system_metrics=false"]
STEPS = [w for w in WORDS if not w.startswith("tracker")]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow)]
)
def test_a_stopped_run_resumes_with_both(folder: Path, server: FakeWandb, number: int, code: int) -> None:
    assert aiexp(folder, "run", *STEPS, "tracker=none", "outputs=alone").code == 0
    ended = aiexp(
        folder, "run", *STEPS, *BOTH, before=lambda: at_step(5, lambda: os.kill(os.getpid(), number))
    )
    assert ended.code == code, ended.stderr
    ended = aiexp(folder, "resume", "outputs/latest")
    assert ended.code == 0, ended.stderr

    directory = only_run(folder)
    [(run_id, run)] = server.runs.items()
    record = directory.read_json("environment.json")["tracker"]
    assert (record["wandb"]["id"], record["tensorboard"]["mode"]) == (run_id, "tensorboard")
    lines = ended.stdout.splitlines()
    looks = [line[6:] for line in lines[lines.index(f"look  {run_url(record)}") :]][:2]
    assert looks == [run_url(record), record["tensorboard"]["look"]]

    accuracy = directory.read_json("status.json")["metrics"]["test/accuracy"]
    assert [row["test/accuracy"] for row in run.history if "test/accuracy" in row] == [accuracy]
    events = read_events(directory.path / "tensorboard")
    assert events.Scalars("test/accuracy")[0].value == pytest.approx(accuracy)
    assert [point.step for point in events.Scalars("train/loss")] == [3, 6, 9], "what was lost is hidden"
    alone = [p for p in (folder / "alone/bert_finetune").iterdir() if p.is_dir()]
    assert numbers(directory) == numbers(type(directory)(alone[0])), "trackers change no number"


def run_url(record: dict[str, Any]) -> str:
    return str(record["wandb"]["look"])


def test_a_tracker_that_cannot_start_is_one_line(folder: Path, server: FakeWandb) -> None:
    def break_it() -> None:
        from aiexp.tracker.tensorboard import TensorBoardTracker

        def start(self: Any, run: Any) -> Any:
            raise OSError("no events today")

        TensorBoardTracker.start = start

    ended = aiexp(folder, "run", *STEPS, *BOTH, before=break_it)
    assert ended.code == 0, ended.stderr
    lines = ended.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("aiexp: W&B: http")
    assert "tracking by tensorboard stopped" in lines[1]
    [run] = server.runs.values()
    assert run.exit_code == 0
    failure = only_run(folder).read_json("environment.json")["tracker"]["tensorboard"]["failure"]
    assert failure == "start: OSError: no events today"


def test_a_refused_run_leaves_nothing_at_the_server(folder: Path, server: FakeWandb) -> None:
    ended = aiexp(folder, "run", *STEPS, *BOTH, "trainer.selection.monitor=eval/acuracy")
    assert (ended.code, ended.stderr.count("\n")) == (2, 1)
    assert server.runs == {}
    assert list((folder / "outputs").iterdir()) == []


@pytest.mark.slow
def test_jobs_of_a_sweep_have_all_trackers(folder: Path, home: Path) -> None:
    words = [w for w in TINY if not w.startswith("tracker")]
    words += ["trainer.steps=2", "trainer.epochs=null", "seed=0,1", "tracker.wandb.mode=offline"]
    ended = aiexp(folder, "run", "-m", *words, *BOTH, "hydra.launcher.n_jobs=1")
    assert ended.code == 0, ended.stderr
    [sweep] = [p for p in (folder / "outputs/bert_finetune").iterdir() if "_sweep_" in p.name]
    jobs = [p.parent for p in sorted(sweep.glob("*/environment.json"))]
    assert len(jobs) == 2
    for job in jobs:
        record = json.loads((job / "environment.json").read_text())["tracker"]
        assert (record["wandb"]["mode"], record["tensorboard"]["mode"]) == ("offline", "tensorboard")
        assert list((job / "tensorboard").iterdir())
    assert len(list((sweep / ".wandb").iterdir())) == 2
