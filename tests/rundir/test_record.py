"""Records of run directories in any state."""

import json
from pathlib import Path

import pytest

from aiexp.rundir.record import find_runs, read_record
from tests.compare.made import flat, make_run


def test_what_a_record_holds(tmp_path: Path) -> None:
    sweep = tmp_path / "toy" / "2026-01-01_00-00-00_sweep_abc123"
    run = make_run(sweep, 0.5, "seed=3", "task.optimizer.lr=0.1")
    record = read_record(run)
    assert record.config == flat(seed=3, **{"dataset.seed": 3, "task.optimizer.lr": 0.1})
    assert (record.task, record.seed, record.sweep, record.state) == ("toy", 3, sweep, "finished")
    assert (record.overrides, record.choices["model"]) == (["seed=3", "task.optimizer.lr=0.1"], "small")
    assert (record.metrics, record.seconds, record.peak_memory_bytes) == ({"test/accuracy": 0.5}, 90.0, 2**30)
    assert record.hardware["threads"] == 2


def test_runs_are_found_once_and_other_folders_are_passed_over(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "toy", 0.5), make_run(tmp_path / "toy" / "x_sweep_y", 0.5)]
    (tmp_path / "latest").symlink_to(runs[0])
    make_run(runs[0] / "checkpoints", 0.1)  # inside a run: not one of ours
    (tmp_path / "hydra" / ".hydra").mkdir(parents=True)
    (tmp_path / "hydra" / "config.yaml").write_text("a: 1")
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "status.json").write_text('{"ok": true}')
    assert [r.path for r in find_runs([tmp_path])] == sorted(runs)
    assert [r.path for r in find_runs([tmp_path / "latest", runs[0], tmp_path / "toy"])] == sorted(runs)
    assert find_runs([tmp_path / "nowhere"]) == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("config.yaml", b"a: [1", "expected"),
        ("config.yaml", b"\xff\xfe", "utf-8"),
        ("config.yaml", None, "config.yaml is missing"),
        ("status.json", b'{"state": "fini', "Unterminated"),
        ("status.json", b"[1]", "not a mapping"),
        ("status.json", None, "status.json is missing"),
        ("config.yaml", b"{}", "config.yaml is empty"),
        ("status.json", b"{}", "status.json says no state"),
    ],
)
def test_a_damaged_run_says_why(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    run = make_run(tmp_path / "toy", 0.5)
    (run / name).unlink() if content is None else (run / name).write_bytes(content)
    (record,) = find_runs([tmp_path])
    assert (record.state, record.task, record.name) == ("damaged", "toy", run.name)
    assert reason in record.problem


def test_a_run_under_way_has_its_last_metrics(tmp_path: Path) -> None:
    run = make_run(tmp_path, None, state="running")
    lines = [
        {"step": 1, "train/loss": 2.0},
        {"step": 2, "eval/accuracy": 0.5},
        {"step": 3, "train/loss": 1.0},
    ]
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 4, "train/l')
    assert read_record(run).metrics == {"train/loss": 1.0, "eval/accuracy": 0.5}


@pytest.mark.parametrize("damaged", ['nonsense "a"', "", "7", '{"a":4},{"b":5}'])
def test_last_metrics_pass_over_damaged_lines(tmp_path: Path, damaged: str) -> None:
    run = make_run(tmp_path, None, state="running")
    (run / "metrics.jsonl").write_text(f'{{"step":1,"a":1.0}}\n{damaged}\n{{"step":2,"b":NaN,"c":3}}\n')
    assert str(read_record(run).metrics) == "{'a': 1.0, 'b': nan, 'c': 3.0}"
    (run / "metrics.jsonl").unlink()
    assert read_record(run).metrics == {}


def test_hardware_behind_a_large_diff(tmp_path: Path) -> None:
    run = make_run(tmp_path, 0.5)
    content = {
        "git": {"diff": '\n  "hardware": {' * 3},
        "hardware": {"threads": 7, "x": {"y": 1}},
        "tracker": {},
    }
    (run / "environment.json").write_text(json.dumps(content, indent=2))
    assert read_record(run).hardware == {"threads": 7, "x": {"y": 1}}
    (run / "environment.json").write_text("{")
    assert read_record(run).hardware == {}
