"""A sweep is resumed as it was started, by one process, from the state its files are in."""

import json
import signal
from pathlib import Path

import pytest

from tests.lab import Lab, make_lab
from tests.sweep.conftest import SweepLab, call, wait_until
from tests.sweep.stand_in import results, stub


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setitem(__import__("sys").modules, "aiexp.run", stub)
    return make_lab(tmp_path, monkeypatch)


def only_sweep(lab: Lab) -> Path:
    (sweep,) = (lab.root / "outputs/toy").glob("*_sweep_*")
    return sweep


def test_a_changed_definition_is_refused_with_the_difference(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "-m", "seed=0,1", "trainer.steps=2", "hydra/launcher=basic"]
    assert call(capsys, *words)[0] == 0
    sweep = only_sweep(lab)
    before = (sweep / "ledger.jsonl").read_bytes()
    code, errors = call(capsys, "run", "-m", "seed=0,1,2", "trainer.steps=2", "--resume")
    assert code == 4
    assert "- seed=0,1, + seed=0,1,2" in errors
    code, errors = call(capsys, "resume", str(sweep), "seed=7")
    assert (code, "'seed=7' would make other jobs" in errors) == (2, True)
    model = lab.root / "conf/model/small.yaml"
    model.write_text(model.read_text().replace("width: 4", "width: 5"))
    for again in (["resume", str(sweep)], [*words, "--resume"]):
        code, errors = call(capsys, *again)
        assert code == 4
        assert "model.width: 4 -> 5" in errors
    assert (sweep / "ledger.jsonl").read_bytes() == before
    model.write_text(model.read_text().replace("width: 5", "width: 4"))
    code, errors = call(capsys, *words, "--resume")
    assert code == 0, errors
    assert "resuming: 2 of 2 jobs are complete already" in errors


def test_a_change_of_another_jobs_file_is_found_too(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "run", "-m", "model=small,large", "hydra/launcher=basic")[0] == 0
    model = lab.root / "conf/model/large.yaml"
    model.write_text(model.read_text().replace("64", "65"))
    code, errors = call(capsys, "resume", str(only_sweep(lab)))
    assert code == 4
    assert "job 1 is not what it was" in errors


def test_what_is_no_sweep_says_so(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert "has no config.yaml" in call(capsys, "resume", str(lab.root))[1]
    assert call(capsys, "run", "seed=0", "--resume")[0] == 2
    code, errors = call(capsys, "run", "-m", "seed=0,1", "--resume")
    assert (code, "no sweep to resume" in errors) == (4, True)
    damaged = lab.root / "outputs/toy/2026_sweep_0"
    damaged.mkdir(parents=True)
    (damaged / "sweep.yaml").write_text("overrides: [")
    code, errors = call(capsys, "resume", str(damaged))
    assert code == 4
    assert "cannot be read" in errors
    assert call(capsys, "run", "-m", "seed=0,1", "--resume")[0] == 4


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("hydra.launcher.n_job=1", "Did you mean 'n_jobs'? | command line: hydra.launcher.n_job=1"),
        ("hydra.launcher.n_jobs=0", "n_jobs is 0 | hydra.launcher.n_jobs"),
        ("hydra.launcher.gpus=[99]", "no GPU 99"),
        ("hydra/launcher=loca", "no option 'loca' in group 'hydra/launcher'"),
        ("trainer.clip=1.0,many", "'trainer.clip' is 'many'"),
        ("trainer.steps=range(3,3)", "'trainer.steps=range(3,3)' has no values, so the sweep has no jobs"),
        ("model=glob(zz*)", "has no values"),
        ("trainer.clips=1,2", "Did you mean 'trainer.clip'"),
    ],
)
def test_wrong_settings_are_one_line_before_anything_is_made(
    lab: Lab, capsys: pytest.CaptureFixture[str], word: str, expected: str
) -> None:
    code, errors = call(capsys, "run", "-m", "seed=0,1", word)
    assert code in (2, 5)
    assert expected in errors
    assert not (lab.root / "outputs").exists()


def test_secrets_stay_out_of_the_sweeps_files(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "canary-123456")
    words = ["run", "-m", "seed=0,1", "trainer.steps=2", "task.names=[canary-123456]", "hydra/launcher=basic"]
    code, errors = call(capsys, *words)
    assert code == 0, errors
    sweep = only_sweep(lab)
    for path in sweep.rglob("*"):
        assert not path.is_file() or b"canary-123456" not in path.read_bytes(), path
    code, errors = call(capsys, "resume", str(sweep))
    assert code == 2
    assert "type the same aiexp run -m command with --resume" in errors
    assert "canary" not in errors
    assert call(capsys, *words, "--resume")[0] == 0


def test_one_process_at_a_time_and_another_number_of_slots(sweep_lab: SweepLab) -> None:
    words = ["seed=0,1,2", "trainer.steps=300", "hydra.launcher.n_jobs=1"]
    process = sweep_lab.start("run", "-m", *words)
    wait_until(lambda: sweep_lab.sweeps() and results(sweep_lab.sweeps()[0]))
    sweep = sweep_lab.sweeps()[0]
    name = str(sweep.relative_to(sweep_lab.lab.root))
    code, errors = sweep_lab.aiexp("resume", name)
    assert code == 8
    assert f"in use by process {process.pid}" in errors
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 143
    torn = (sweep / "ledger.jsonl").read_bytes() + b'{"event": "ended", "job": 0, "ex'
    (sweep / "ledger.jsonl").write_bytes(torn)
    code, errors = sweep_lab.aiexp("resume", name, "hydra.launcher.n_jobs=3")
    assert code == 0, errors
    assert {i: len(lines) for i, lines in results(sweep).items()} == dict.fromkeys(range(3), 300)
    states = [json.loads(p.read_text())["state"] for p in sweep.glob("*/status.json")]
    assert states == ["finished"] * 3
