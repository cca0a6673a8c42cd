"""`aiexp doctor RUN` on healthy, dead and foreign run directories."""

import errno
import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from aiexp.command.looking import doctor
from aiexp.errors import HardwareError
from aiexp.rundir.directory import RunDirectory

REFERENCE = {"metric": "eval/loss", "value": 1.0, "tolerance": 0.1, "source": "measured"}


def make_run(path: Path, *, config: dict[str, Any], status: dict[str, Any]) -> RunDirectory:
    directory = RunDirectory(path)
    directory.write_config(config, {}, [])
    (path / "status.json").write_text(json.dumps(status))
    return directory


@pytest.mark.parametrize(
    ("config", "metrics", "code"),
    [
        ({}, {}, None),
        ({"task": None}, {}, None),
        ({"task": ["x"]}, {}, None),
        ({"task": {"reference": REFERENCE}}, None, None),
        ({"task": {"reference": REFERENCE}}, {"eval/loss": 1.05}, None),
        ({"task": {"reference": REFERENCE}}, {"eval/loss": 1.2}, 4),
        ({"task": {"reference": REFERENCE}}, {"eval/loss": float("nan")}, 4),
        ({"task": {"reference": {"metric": "eval/loss"}}}, {"eval/loss": 1.2}, 4),
    ],
)
def test_reference(
    tmp_path: Path,
    config: dict[str, Any],
    metrics: object,
    code: int | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_run(tmp_path, config=config, status={"state": "finished", "metrics": metrics})
    doctor.main([str(tmp_path)])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if " reference: " in line]
    assert line.startswith("ok " if code is None else "BAD ")
    if code:
        with pytest.raises(doctor.CheckpointError) as error:
            doctor.check_reference(RunDirectory(tmp_path))
        assert error.value.exit_code == code


def test_a_missing_package_is_a_problem_of_the_machine() -> None:
    with pytest.raises(HardwareError, match="no-such-package is not installed"):
        doctor.installed("no-such-package")


def test_only_a_held_lock_means_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = make_run(tmp_path, config={}, status={"state": "running", "step": 3, "total_steps": 9})
    with pytest.raises(doctor.CheckpointError, match="died at step 3 of 9"):
        doctor.check_state(directory)
    assert not (tmp_path / ".lock").exists()  # looking leaves no trace
    with directory.lock():
        holder = (tmp_path / ".lock").read_text()
        assert doctor.check_state(directory) == "running, step 3 of 9"
        assert (tmp_path / ".lock").read_text() == holder
    with pytest.raises(doctor.CheckpointError, match="died"):
        doctor.check_state(directory)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert "cannot be read" in doctor.check_state(directory)
