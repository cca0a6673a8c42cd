"""The files of a run directory: their reader, their seal, their format, and what marks the folder."""

import json
import os
from pathlib import Path

import pytest
import yaml

from aiexp import cli
from aiexp.checkpoint.manifest import read_manifest, saved_steps
from aiexp.command.looking import doctor
from aiexp.errors import AiexpError, CheckpointError, OtherFormatError
from aiexp.rundir import judged_by
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import read_stored
from aiexp.rundir.metrics import read_metrics
from aiexp.rundir.record import find_runs, read_record
from aiexp.rundir.seal import make_seal
from aiexp.rundir.state import State
from aiexp.runs.listing import headline
from aiexp.storage.mark import is_run_directory
from aiexp.storage.shape import ShapeError, fields, list_of, map_of, number, one_of, whole
from aiexp.sweep.ledger import Ledger
from tests.compare.made import make_run, make_seeds


def sealed(folder: Path) -> Path:
    """A finished run as a session leaves it."""
    run = make_run(folder, 0.9)
    RunDirectory(run).write_status(seal=make_seal(run, {"test/accuracy": 0.9}))
    return run


@pytest.mark.parametrize("name", ["metrics.jsonl", "status.json"])
def test_a_finished_run_is_sealed(tmp_path: Path, name: str) -> None:
    run = sealed(tmp_path)
    assert find_runs([run], is_sealed=True)[0].state == State.FINISHED
    assert doctor.check_metrics(RunDirectory(run)) == "1 lines"
    content = (run / name).read_text()
    for changed in (
        content.replace("0.9", "0.8").replace("1.0", "1.1"),
        "" if name == "metrics.jsonl" else content,
    ):
        if changed == content:
            continue
        (run / name).write_text(changed)
        (record,) = find_runs([run], is_sealed=True)
        assert (record.state, name in record.problem) == (State.DAMAGED, True)
        assert read_record(run).state == State.FINISHED  # not looked at where nothing is concluded from it
        with pytest.raises(CheckpointError, match="ended with"):
            doctor.check_metrics(RunDirectory(run))


def test_compare_leaves_a_broken_seal_out_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_seeds(tmp_path, [0.7, 0.8])
    (sealed(tmp_path) / "metrics.jsonl").write_text("")
    assert cli.main(["compare", str(tmp_path)]) == 0
    assert "run_002 (metrics.jsonl is not as the run ended with it)" in capsys.readouterr().out


def test_a_run_of_another_format_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, 0.9)
    RunDirectory(run).write_status(format=2)
    (run / "status.json").write_text('{"format": 2, "state": {"of": "another shape"}}')
    for command in ("resume", "doctor"):
        assert cli.main([command, str(run)]) == 4
        assert capsys.readouterr().err.count("run directory has format 2, this aiexp reads 1") == 1
    assert "format 2" in read_record(run).problem
    with pytest.raises(OtherFormatError):
        RunDirectory.open(run)


def test_a_pipe_is_never_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, 0.9)
    for name in ("metrics.jsonl", ".lock", "status.json"):
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)
        assert cli.main(["doctor", str(run)]) == cli.main(["resume", str(run)]) == 4
        assert cli.main(["runs", str(tmp_path)]) == 0
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("status.json", '{"state": ["running"]}', "state is a list, not one of starting"),
        ("status.json", '{"metrics": {"a": "b"}}', "metrics.a is 'b', not a number"),
        ("status.json", '{"step": -1}', "step is -1, not a whole number from 0 on"),
        ("overrides.yaml", "choices: 3\noverrides: []", "choices is 3, not a mapping"),
        ("overrides.yaml", "choices: {}", "overrides is missing"),
        ("environment.json", '{"dataset": [1]}', "dataset is a list"),
        ("environment.json", '{"differs": 1}', "differs is 1, not a list"),
        ("config.yaml", "a: &x [1]\nb: *x", "alias"),
        ("config.yaml", "[" * 10_000, "deep"),
        ("config.yaml", f"seed: {'9' * 5000}", "digits"),
        ("config.yaml", f"seed: {'9' * 400}", "seed is an integer of too many digits"),
        ("config.yaml", "a: 2001-01-01", "a is a date"),
        ("manifest.json", '{"format": Infinity}', "format is inf"),
        ("manifest.json", '{"format": 2, "files": []}', "files is a list, not a mapping"),
    ],
)
def test_what_has_another_shape_is_named(tmp_path: Path, name: str, text: str, what: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CheckpointError) as caught:
        read_manifest(tmp_path) if name == "manifest.json" else read_stored(tmp_path / name)
    assert what in caught.value.what
    assert caught.value.what.startswith(name)
    assert caught.value.where == str(tmp_path / name)


def test_shapes() -> None:
    shape = fields({"a": whole(1)}, b=list_of(one_of("x", "y")), c=map_of(number))
    for good in (
        {"a": 1},
        {"a": 1, "b": ["x"], "c": {"k": float("nan")}},
        {"a": 2, "b": None, "z": object()},
    ):
        shape(good, "")
    for bad in (
        {},
        {"a": 0},
        {"a": True},
        {"a": 1, "b": "x"},
        {"a": 1, "b": ["z"]},
        {"a": 1, "c": {"k": None}},
        [],
    ):
        with pytest.raises(ShapeError):
            shape(bad, "")


def test_metrics_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step":1,"a":2}\n{"step":2,"a":\0}\n{"step":"3"}\n{"step":4,"a":5}\n{"torn')
    assert [line["step"] for line in read_metrics(path)] == [1, 4]
    with pytest.raises(CheckpointError, match="line 2 is damaged"):
        read_metrics(path, is_strict=True)


def test_a_config_is_stored_without_aliases_and_beside_it_for_programs(tmp_path: Path) -> None:
    directory = RunDirectory.at(tmp_path / "run")
    shared = {"lr": 0.1, "text": "1e-5"}
    directory.write_config({"seed": 1, "a": shared, "b": [shared, shared]}, {"task": "toy"}, ["seed=1"])
    assert "*" not in (directory.path / "config.yaml").read_text()
    assert directory.read_config() == {"seed": 1, "a": shared, "b": [shared, shared]}
    fast = read_record(directory.path)
    (directory.path / "config.json").unlink()
    assert read_record(directory.path) == fast
    directory.write_config({"seed": 1}, {"task": "toy"}, [])
    (directory.path / "config.yaml").write_text("seed: 2\n")  # by hand: the file for programs is out of date
    assert read_record(directory.path).config == {"seed": 2}


def test_the_diff_is_a_file_of_its_own(tmp_path: Path) -> None:
    directory = RunDirectory.at(tmp_path / "run")
    directory.write_environment(git={"commit": "c", "status": "", "diff": "+x\n"})
    assert directory.read("environment.json")["git"] == {"commit": "c", "status": ""}
    assert (directory.path / "git.diff").read_text() == "+x\n"


def test_the_next_holder_of_the_lock_tidies_up(tmp_path: Path) -> None:
    directory = RunDirectory.at(tmp_path / "run")
    (directory.path / ".status.json.x1.tmp").write_text("{")
    directory.lock().close()
    assert not list(directory.path.glob(".*.tmp"))


def test_what_is_a_run_directory(tmp_path: Path) -> None:
    assert is_run_directory(RunDirectory.at(tmp_path / "begun").path)
    assert is_run_directory(make_run(tmp_path, 0.5, name="whole"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.yaml").write_text("a: 1")
    assert not is_run_directory(other)
    with pytest.raises(CheckpointError, match="before it had written its config"):
        RunDirectory.open(tmp_path / "begun")


def test_steps_are_written_in_our_digits(tmp_path: Path) -> None:
    for name in ("step-00000012", "step-٠٠٠٠٠٠١٣", "step-12", "step-0000000012", "step-x", "step-²"):
        (tmp_path / name).mkdir()
    assert saved_steps(tmp_path) == [12]


def test_a_ledger_line_of_another_shape_is_passed_over(tmp_path: Path) -> None:
    lines = [
        {"event": "planned", "job": 0, "overrides": ["a=1"], "config": "x"},
        {"event": "started", "job": 0, "directory": 7},
        {"event": "ended", "job": 0, "index": 0, "exit_code": 0, "overrides": [], "metrics": ["x"]},
        {"event": "planned", "job": "1", "overrides": ["a=1"], "config": "x"},
    ]
    (tmp_path / "ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "[" * 10_000)
    (entry,) = Ledger(tmp_path).entries().values()
    assert (entry.directory, entry.result) == ("", None)


def test_what_a_run_is_judged_by(tmp_path: Path) -> None:
    metrics = {"train/loss": 1.0, "test/loss": 1.0, "test/steps": 3.0, "test/wer": 0.1}
    run = make_run(tmp_path, metrics, status={"better": {"test/wer": "min", "test/loss": "min"}})
    config = yaml.safe_load((run / "config.yaml").read_text())
    del config["task"]["reference"], config["trainer"]["selection"]
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    record = read_record(run)
    assert headline(record) == "test/wer"
    assert judged_by.candidates(record.metrics, record.config.get, record.better) == [
        "test/wer", "test/loss", "test/steps", "train/loss",
    ]  # fmt: skip
    assert judged_by.direction("eval/wer", {}.get, record.better) == "min"
    assert judged_by.direction("test/steps", {}.get, record.better) is None
    monitored = {"trainer.selection.monitor": "eval/wer", "trainer.selection.mode": "max"}
    assert judged_by.direction("test/wer", monitored.get, record.better) == "max"


def test_every_error_here_has_the_exit_code_of_checkpoints() -> None:
    assert issubclass(OtherFormatError, AiexpError)
    assert OtherFormatError("x").exit_code == CheckpointError("x").exit_code == 4
