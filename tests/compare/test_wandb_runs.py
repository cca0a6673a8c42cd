"""Runs of W&B: the real client against a server on loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiexp.compare.wandb_runs import fetch_runs
from aiexp.errors import ConfigError
from tests.tracker.fake_wandb import FakeWandb


class Readable(FakeWandb):
    """Also answers the public API's question for the runs of a project."""

    def on_Runs(self, values: dict[str, Any]) -> dict[str, Any]:
        wanted = json.loads(values.get("filters") or "{}")
        self.asked = wanted
        runs = [r for r in self.runs.values() if not wanted or r.fields["groupName"] in json.dumps(wanted)]
        edges = [{"node": node(run), "cursor": run.id} for run in runs]
        page = {"endCursor": None, "hasNextPage": False}
        return {"project": {"internalId": "1", "runCount": len(edges), "readOnly": False,
                            "runs": {"edges": edges, "pageInfo": page}}}  # fmt: skip


def node(run: Any) -> dict[str, Any]:
    return {
        "id": run.id, "projectId": "1", "tags": [], "name": run.id, "displayName": run.fields["displayName"],
        "sweepName": None, "state": run.fields["state"], "group": run.fields["groupName"], "jobType": "toy",
        "commit": None, "readOnly": False, "createdAt": "2026-11-22T00:00:00", "description": "", "notes": "",
        "heartbeatAt": "2026-11-22T00:00:00", "historyLineCount": 0, "user": {"name": "me", "username": "me"},
        "config": run.fields["config"], "summaryMetrics": json.dumps(run.summary), "systemMetrics": "{}",
        "historyKeys": None,
    }  # fmt: skip


def add_run(server: FakeWandb, seed: int, rate: float, accuracy: Any, group: str = "sweep_1") -> None:
    run = server.run(f"id{len(server.runs)}")
    origin = {"run_id": run.id, "directory": f"outputs/toy/{run.id}", "task": "toy", "parameters": 3}
    config = {"aiexp": origin, "seed": seed, "task": {"optimizer": {"lr": rate}}, "dataset": {"seed": seed}}
    run.fields = {
        "displayName": f"lr={rate} seed={seed}", "groupName": group, "state": "finished",
        "config": json.dumps({key: {"value": value} for key, value in config.items()}),
    }  # fmt: skip
    run.summary = {"test/accuracy": accuracy, "best/eval/accuracy": 1.0, "_runtime": 30, "step": 9}


def compare(folder: Path, address: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; from aiexp.cli import main; sys.exit(main(['compare', '--wandb', {address!r}]))"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_") and "proxy" not in k.lower()}
    home = {"HOME": str(folder), "NETRC": str(folder / "netrc")}
    program = [sys.executable, "-c", code]
    environment = clean | home | environment
    return subprocess.run(program, env=environment, cwd=folder, capture_output=True, text=True, timeout=60)


def test_a_group_of_wandb_is_compared(tmp_path: Path) -> None:
    with Readable() as server:
        for seed in range(3):
            add_run(server, seed, 0.01, 0.9 + seed / 1000)
            add_run(server, seed, 0.1, 0.5 + seed / 900)
            add_run(server, seed, 0.1, 0.99, group="other")
        add_run(server, 3, 0.1, "NaN")
        done = compare(tmp_path, "me/project/sweep_1", **server.env())
        assert done.returncode == 0, done.stderr
        assert server.unknown == []
        assert "sweep_1" in json.dumps(server.asked)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["lr", "test/accuracy", "95", "%", "interval", "seeds", "time", "memory"]
    assert lines[1].split()[:2] == ["0.01", "0.9010"]
    assert lines[2].split()[-4:] == ["3", "of", "4", "30"] or "3 of 4" in lines[2]
    assert "lr=0.01 is better than lr=0.1 by" in done.stdout
    assert "test/accuracy is no finite number: lr=0.1 seed=3" in done.stdout


def test_without_a_key_it_is_one_line(tmp_path: Path) -> None:
    done = compare(tmp_path, "me/project")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("aiexp: error[hardware]: no W&B key is configured")
    assert done.stderr.count("\n") == 1


def test_an_address_that_is_none() -> None:
    with pytest.raises(ConfigError, match="'project' is no address of W&B runs"):
        fetch_runs("project")
