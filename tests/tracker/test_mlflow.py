"""MLflow with the real client: a real server on loopback, a local store, and servers that are away."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiexp.errors import HardwareError
from aiexp.rundir.directory import RunDirectory
from aiexp.task.report import Table
from aiexp.tracker.base import RunInfo
from aiexp.tracker.guard import GuardedTracker
from aiexp.tracker.mlflow import MlflowTracker
from aiexp.tracker.mlflow import backlog as backlog_module
from aiexp.tracker.mlflow.described import MOST_VALUE, params_of
from aiexp.tracker.mlflow.tracker import probe
from tests.tracker.mlflow_server import MlflowServer
from tests.tracker.pictures import PNG
from tests.tracker.test_wandb_record import ENVIRONMENT, SECRET, checkout

__all__ = ["checkout"]  # a fixture
MakeRun = Callable[..., RunInfo]
Capture = pytest.CaptureFixture[str]
YAML = Path(__file__).parents[2] / "conf" / "tracker" / "mlflow.yaml"


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    pytest.importorskip("mlflow")
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(running: MlflowServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowServer:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    return running


def make_mlflow(**changes: Any) -> MlflowTracker:
    """The tracker of conf/tracker/mlflow.yaml with changes."""
    arguments = yaml.safe_load(YAML.read_text())
    del arguments["_target_"]
    return MlflowTracker(**(arguments | changes))


def client_of(uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri)


def only(uri: str, experiment: str) -> Any:
    """The one run of an experiment."""
    client = client_of(uri)
    [run] = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return run


def history(uri: str, run_id: str, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client_of(uri).get_metric_history(run_id, key)]


def files(uri: str, run_id: str, folder: str | None = None) -> list[str]:
    found: list[str] = []
    for item in client_of(uri).list_artifacts(run_id, folder):
        found += files(uri, run_id, item.path) if item.is_dir else [item.path]
    return sorted(found)


def described(make_run: MakeRun, checkout: Path) -> RunInfo:
    """A run with everything that can be said of one."""
    directory = make_run().directory
    for name, content in (("p.png", PNG), ("git.diff", b"+token = ***\n"), ("run.log", b"said\n")):
        (directory / name).write_bytes(content)
    config = {
        "seed": 7,
        "task": {"lr": 0.5, "tags": ["a"], "none": None},
        "long": "x" * 9000,
        "odd key!": True,
    }
    environment = {**ENVIRONMENT, "working_directory": str(checkout)}
    return make_run(config=config, environment=environment)


def test_a_run_arrives(server: MlflowServer, make_run: MakeRun, checkout: Path, capfd: Capture) -> None:
    run = described(make_run, checkout)
    tracker = make_mlflow(uri=server.url, experiment="arrives", notes="a first try", tags={"team": "vision"})
    record = tracker.start(run)
    for step in (1, 2, 3):
        tracker.log(step, {"train/loss": step / 10, "eval/accuracy": float("nan") if step == 2 else 1 / step})
    tracker.log_picture(3, "test/confusion", run.directory / "p.png")
    tracker.log_table(3, "test/errors", Table(columns=["text"], rows=[["bad film"]]))
    tracker.close(143)

    found = only(server.url, "arrives")
    run_id = found.info.run_id
    assert (record["id"], record["mode"]) == (run_id, "mlflow")
    assert record["look"] == f"{server.url}/#/experiments/{found.info.experiment_id}/runs/{run_id}"
    assert capfd.readouterr() == ("", f"aiexp: MLflow: {record['look']}\n")
    assert (found.info.run_name, found.info.status) == (run.name, "KILLED")
    assert found.data.params == {
        "seed": "7", "task.lr": "0.5", "task.tags": "['a']", "task.none": "null", "long": "x" * MOST_VALUE,
        "odd key_": "true",
    }  # fmt: skip
    tags = found.data.tags
    assert (tags["mlflow.note.content"], tags["team"], tags["aiexp.sweep"]) == (
        "a first try",
        "vision",
        run.group,
    )
    assert tags["mlflow.source.git.commit"] == "c0ffee"
    assert tags["mlflow.source.git.repoURL"] == "https://git.example.org/lab/code.git"
    assert tags["mlflow.source.name"] == ENVIRONMENT["command"]
    assert SECRET not in repr(tags)
    assert history(server.url, run_id, "train/loss") == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert [step for step, _ in history(server.url, run_id, "eval/accuracy")] == [1, 2, 3]
    assert files(server.url, run_id) == [
        "figures/test/errors_step-00000003.csv", "figures/test/p.png", "git.diff", "requirements.txt",
        "run.log",
    ]  # fmt: skip


def test_a_run_goes_on_in_the_same_one(server: MlflowServer, make_run: MakeRun) -> None:
    run = make_run()
    tracker = make_mlflow(uri=server.url, experiment="goes on")
    run_id = tracker.start(run)["id"]
    tracker.log(3, {"train/loss": 0.3})
    tracker.close(143)
    again = make_mlflow(uri=server.url, experiment="goes on")
    resumed = again.start(make_run(config=run.config | {"seed": 8}, previous={"id": run.id}))
    assert client_of(server.url).get_run(run_id).info.status == "RUNNING"
    again.log(4, {"train/loss": 0.4})
    again.close(0)
    found = only(server.url, "goes on")
    assert (resumed["id"], found.info.status) == (run_id, "FINISHED")
    assert history(server.url, run_id, "train/loss")[-1] == (4, 0.4)
    assert (found.data.params["seed"], found.data.tags["changed.seed"]) == ("7", "8")


def test_best_values_and_weights(server: MlflowServer, make_run: MakeRun) -> None:
    run = make_run()
    RunDirectory.at(run.directory).write_status(best_step=2)
    (run.directory / "config.yaml").write_text("seed: 1\n")
    folder = run.directory / "checkpoints/step-00000002"
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "training.safetensors", "manifest.json"):
        (folder / name).write_text(name)
    tracker = make_mlflow(uri=server.url, experiment="best", save_model="best", record=[])
    tracker.start(run)
    for step, accuracy in ((1, 0.5), (2, 0.9), (3, 0.7)):
        tracker.log(step, {"eval/accuracy": accuracy})
    tracker.close(0)
    found = only(server.url, "best")
    assert found.data.metrics == {"eval/accuracy": 0.7, "best/eval/accuracy": 0.9}
    assert files(server.url, found.info.run_id) == ["model/config.yaml", "model/model.safetensors"]
    assert not any("git" in key or "source.name" in key for key in found.data.tags)


def test_a_server_that_is_away_when_the_run_begins_gets_it_all_later(
    server: MlflowServer, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.setattr(backlog_module, "RETRY_SECONDS", 0.0)
    tracker = make_mlflow(uri="http://127.0.0.1:9", experiment="late", probe_seconds=1)
    begin = time.monotonic()
    record = tracker.start(make_run())
    for step in (1, 2):
        tracker.log(step, {"train/loss": float(step)})
    assert time.monotonic() - begin < 60
    assert (record["id"], record["look"]) == (None, "http://127.0.0.1:9")
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("aiexp: MLflow: 127.0.0.1:9 is unreachable")
    assert line.endswith("the run goes on, and what is logged is sent when the server answers")
    tracker.client = client_of(server.url)  # it is there
    tracker.log(3, {"train/loss": 3.0})
    tracker.close(0)
    found = only(server.url, "late")
    assert history(server.url, found.info.run_id, "train/loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert (found.info.status, capfd.readouterr().err) == ("FINISHED", "")


def test_a_server_lost_in_the_run_is_said_once_and_what_is_missing_at_the_end(
    server: MlflowServer, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.setattr(backlog_module, "RETRY_SECONDS", 0.0)
    inner = make_mlflow(uri=server.url, experiment="lost")
    tracker = GuardedTracker(inner)
    record = tracker.start(make_run())
    tracker.log(1, {"train/loss": 1.0})
    while history(server.url, record["id"], "train/loss") != [(1, 1.0)]:  # its thread sends it
        time.sleep(0.1)
    inner.client = client_of("http://127.0.0.1:9")
    for step in (2, 3):
        tracker.log(step, {"train/loss": float(step)})
    tracker.close(0)
    _, lost, missing = capfd.readouterr().err.splitlines()
    assert lost.startswith("aiexp: MLflow: ")
    assert lost.endswith("; the run goes on, and what is logged is sent when the server answers")
    assert missing.endswith("MLflow has not received everything (2 values); the run directory has it all")
    assert tracker.failure is None


def test_opening_that_fails_half_way_makes_one_run(
    server: MlflowServer, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog_module, "RETRY_SECONDS", 0.0)
    tracker = make_mlflow(uri=server.url, experiment="half way")
    params, failures = tracker._send_params, [ConnectionError("gone")]

    def send_params(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        params(*arguments)

    monkeypatch.setattr(tracker, "_send_params", send_params)
    tracker.start(make_run())
    tracker.log(1, {"train/loss": 1.0})
    tracker.close(0)
    found = only(server.url, "half way")
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"train/loss": 1.0})


def test_what_is_refused_is_dropped_and_the_rest_arrives(server: MlflowServer, make_run: MakeRun) -> None:
    run = make_run()
    tracker = make_mlflow(uri=server.url, experiment="refused")
    tracker.start(run)
    with pytest.raises(FileNotFoundError):
        tracker.log_picture(1, "test/confusion", run.directory / "never drawn.png")
    tracker.log(2, {"train/loss": 2.0})
    tracker.close(0)
    found = only(server.url, "refused")
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"train/loss": 2.0})


def test_a_password_in_the_address_is_no_part_of_the_host() -> None:
    problem = probe("http://user:secret@127.0.0.1:9/base", 1)
    assert problem is not None
    assert problem.startswith("127.0.0.1:9 ")
    assert "secret" not in problem
    assert probe("http://user:pw@127.0.0.1:port", 1) is not None  # no traceback of a thread


def test_a_local_store_without_a_server(
    home: Path, make_run: MakeRun, tmp_path: Path, capfd: Capture
) -> None:
    pytest.importorskip("mlflow")
    tracker = make_mlflow()
    record = tracker.start(make_run())
    tracker.log(1, {"train/loss": 1.0})
    tracker.close(0)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert record["look"] == "mlflow ui --backend-store-uri sqlite:///mlflow.db"
    assert only(uri, "aiexp").data.metrics == {"train/loss": 1.0}
    broken = GuardedTracker(make_mlflow(uri="sqlite:////proc/nowhere/mlflow.db"))
    assert "failure" in broken.start(make_run())
    assert "tracking stopped, the run and its metrics.jsonl go on" in capfd.readouterr().err.splitlines()[-1]


def test_what_the_server_refuses_ends_tracking(
    server: MlflowServer, make_run: MakeRun, capfd: Capture
) -> None:
    tracker = GuardedTracker(make_mlflow(uri=server.url, experiment="x" * 501))
    assert "INVALID_PARAMETER_VALUE" in tracker.start(make_run())["failure"]
    tracker.close(0)
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_missing_package(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.tracking.client", None)
    with pytest.raises(HardwareError, match=r"pip install 'aiexp\[mlflow\]'"):
        make_mlflow().prepare(tmp_path)


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = "import sys, aiexp.tracker.mlflow; sys.exit('mlflow' in sys.modules or 'torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.getcwd()}).returncode
        == 0
    )


def test_params_are_short_enough() -> None:
    params = params_of({"a" * 300: 1, "b": {"c": {}}})
    assert {len(key) for key in params} == {250, 3}
