"""Whatever a run directory holds, every command ends soon, in a result or in one line."""

import json
import random
import shutil
import signal
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest

from aiexp import cli
from aiexp.checkpoint.store import CheckpointStore
from aiexp.command.looking.doctor import verified
from aiexp.errors import CheckpointError
from aiexp.rundir.record import find_runs
from aiexp.rundir.state import State
from tests.damage import change_value, copy_run, damage, fit_manifest

FILES = ("status.json", "environment.json", "config.yaml", "overrides.yaml", "metrics.jsonl", "config.json")
RUN = (
    "task=maml_sine", "trainer.steps=4", "dataset.num_tasks=4", "trainer.log_every=1",
    "trainer.evaluate_every=4", "trainer.checkpoint={every: 1, keep_last: 9}",
    "tracker=none", "hardware.threads=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two finished runs: one stays whole."""
    folder = tmp_path_factory.mktemp("runs")
    assert cli.main(["run", *RUN, f"outputs={folder}/made"]) == 0
    (run,) = (folder / "made/maml_sine").iterdir()
    for name in ("whole", "damaged"):
        copy_run(run, folder / name)
    return folder


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all tests imported so far would be the user's own code, to be recorded."""
    monkeypatch.chdir(tmp_path)


@contextmanager
def soon(seconds: float = 60.0) -> Generator[None]:
    """Raises in the middle of a body that takes longer; no error that a command would explain."""

    def late(*_: object) -> None:
        pytest.fail(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with soon():
        code = cli.main(list(words))
    out, err = capsys.readouterr()
    return code, out + err


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_an_answer_of_one_line(
    runs: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        import_module("aiexp.run"), "train", lambda *_: 0
    )  # resuming as far as the files of the run are read
    draw = random.Random(name)
    allowed = {0, 4, 10} | ({2} if name == "config.yaml" else set())  # a wrong value of the user's own
    copy_run(runs / "whole", tmp_path / "runs/whole")
    for number in range(10):
        run = copy_run(runs / "damaged", tmp_path / "runs/damaged")
        kind = damage(run / name, draw)
        commands = [["doctor", str(run)], ["resume", str(run)], ["runs", str(tmp_path)]]
        if number % 10 == 0:  # it takes a moment to compute
            commands.append(["compare", str(tmp_path)])
        for words in commands:
            code, said = call(capsys, *words)
            assert code in allowed, (number, kind, words, said)
            assert "Traceback" not in said
        with soon():
            records = find_runs([tmp_path], is_sealed=True)
        assert [r.state for r in records][-1] == State.FINISHED, "the whole run"


def stopped(runs: Path, folder: Path) -> Path:
    """A run to be resumed at step 3, which has a checkpoint of step 2, too."""
    run = copy_run(runs / "damaged", folder / "stopped")
    shutil.rmtree(run / "checkpoints/step-00000004")
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"state": "stopped", "seal": None}))
    return run


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("task", "text"), ("step", -1), ("step", 10**30), ("step", 2), ("random", {}), ("random", "x"),
        ("session", None), ("selection", []), ("stepper", 1), ("metrics", {"a": "b"}), ("evaluated", "yes"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_nonsense_is_damaged(runs: Path, tmp_path: Path, key: str, value: object) -> None:
    """Though its manifest fits: the one before it serves."""
    run = stopped(runs, tmp_path)
    checkpoint = run / "checkpoints/step-00000003"
    state = json.loads((checkpoint / "state.json").read_text())
    state["state"][key] = value
    (checkpoint / "state.json").write_text(json.dumps(state))
    fit_manifest(checkpoint)
    store = CheckpointStore(run / "checkpoints")
    step, problems = store.newest_valid()
    assert step == 2
    assert "state.json" in problems[0].what
    with pytest.raises(CheckpointError, match=r"state\.json"):
        verified(checkpoint)


def test_doctor_refuses_the_metrics_that_resuming_refuses(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (runs / "whole/metrics.jsonl").read_bytes()
    first, _, rest = whole.partition(b"\n")
    for content, expected in ((first + b"\n", "bytes, the checkpoint was"), (rest + first, "are not those")):
        run = stopped(runs, tmp_path)
        (run / "metrics.jsonl").write_bytes(content)
        for command in ("doctor", "resume"):
            code, said = call(capsys, command, str(run))
            assert (code, expected in said) == (4, True), said
    assert call(capsys, "doctor", str(stopped(runs, tmp_path)))[0] == 0


def test_a_damaged_checkpoint_is_resumed_from_or_refused(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(1)
    for number in range(5):
        run = stopped(runs, tmp_path)
        checkpoint = run / "checkpoints/step-00000003"
        name = draw.choice(("state.json", "state.json", "manifest.json"))
        if name == "state.json":
            change_value(checkpoint / name, draw)
            fit_manifest(checkpoint)
        else:
            damage(checkpoint / name, draw)
        code, said = call(capsys, "resume", str(run))
        assert code in (0, 4, 10), (number, name, said)
        assert "Traceback" not in said
        assert call(capsys, "doctor", str(run))[0] in (0, 4, 10)
