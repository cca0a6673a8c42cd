"""MLflow beside the run directory: one run is one MLflow run, on a server or in a local store."""

import importlib
import os
import time
import warnings
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit, urlunsplit

from aiexp.errors import HardwareError
from aiexp.ranges import PositiveFloat
from aiexp.rundir.file import GIT_DIFF, LOG
from aiexp.source.probe import why_silent
from aiexp.task.report import Table
from aiexp.text.csv import csv_text
from aiexp.text.secrets import redact_text
from aiexp.tracker.base import RunInfo
from aiexp.tracker.best import Best
from aiexp.tracker.mlflow.backlog import Backlog
from aiexp.tracker.mlflow.described import RUN_ID, name_of, params_of, tags_of
from aiexp.tracker.notice import notice, short_path
from aiexp.tracker.recorded import Part
from aiexp.tracker.weights import SaveModel, model_files, replaced_best

STATUS = {0: "FINISHED", 130: "KILLED", 143: "KILLED"}  # by exit code; any other: FAILED
MOST_PARAMS = 100  # in one request
CLOSE_SECONDS = 60.0  # after which nothing more is sent
# What mlflow would do without: wait for minutes for a server that is gone, and send usage data to its makers.
VARIABLES = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",  # it would draw from the random numbers of the run
}  # fmt: skip


@final
class MlflowTracker:
    """An MLflow run that follows the run; what a server that is away does not take is sent when it is back.

    Args:
        uri: Address of a server, or of a store (`sqlite:///mlflow.db`); None is MLFLOW_TRACKING_URI, else
            what `mlflow ui` shows in the folder where the command was typed.
        experiment: Made if it is not there; None is MLFLOW_EXPERIMENT_NAME, else "aiexp".
        name: Name shown in MLflow, in a sweep followed by what differs; None is the task and the overrides.
        notes: A text for the run's page.
        tags: Tags beside task, sweep and run directory.
        record: What is sent beside metrics, params and pictures, secrets masked: git (commit, address,
            uncommitted changes), command (command line, host, versions), console (run.log, at the end),
            requirements (packages).
        save_model: Which weights become an artifact when the run is complete.
        probe_seconds: How long a server may take to answer the question whether it is there.
    """

    def __init__(
        self,
        *,
        uri: str | None,
        experiment: str | None,
        name: str | None,
        notes: str | None,
        tags: dict[str, str],
        record: list[Part],
        save_model: SaveModel,
        probe_seconds: PositiveFloat,
    ) -> None:
        self.uri, self.experiment, self.name, self.notes = uri, experiment, name, notes
        self.tags, self.record, self.probe_seconds = dict(tags), list(record), probe_seconds
        self.save_model: SaveModel = save_model
        self.client: Any = None
        self.run_id: str | None = None
        self.experiment_id: str | None = None
        self.info: RunInfo | None = None
        self.best: Best | None = None
        self._was_tried = False
        self.backlog = Backlog(self._send_metrics, is_remote=False, told=self._tell)

    def prepare(self, directory: Path) -> None:
        """Imports mlflow.

        Raises:
            HardwareError: if the package is not installed.
        """
        for name, value in VARIABLES.items():
            os.environ.setdefault(name, value)
        try:
            importlib.import_module("mlflow.tracking.client")
        except ImportError as error:
            what = f"the package mlflow cannot be imported: {error}"
            fix = "pip install 'aiexp[mlflow]', or tracker=wandb"
            raise HardwareError(what, where="tracker=mlflow", fix=fix) from error

    def start(self, run: RunInfo) -> dict[str, Any]:
        """Opens the MLflow run, or continues it; a server that is away is asked again later.

        Returns:
            {"mode", "uri", "id", "look"}; the id is None while the server is away.

        Raises:
            HardwareError: if the package is not installed.
        """
        self.prepare(run.directory)
        from mlflow.tracking import MlflowClient

        self.info, self.best = run, Best(run)
        if note := replaced_best(run.config, self.save_model):
            notice(note)
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # mlflow's
            self.client = MlflowClient(tracking_uri=self.uri)
            return self._begin()

    def _begin(self) -> dict[str, Any]:
        """Opens the run, now or later; what `start` returns."""
        self.address = str(self.client.tracking_uri)
        is_remote = urlsplit(self.address).scheme in ("http", "https")
        self.backlog = Backlog(self._send_metrics, is_remote=is_remote, told=self._tell)
        self.backlog.actions.append(self._open)
        problem = probe(self.address, self.probe_seconds) if is_remote else None
        if problem is None:
            self.backlog.send(at_once=True)
        else:
            self.backlog.wait(problem)
        look = self._look(is_remote)
        if self.run_id is not None:
            notice(f"MLflow: {look}")
        return {"mode": "mlflow", "uri": redact_text(self.address), "id": self.run_id, "look": look}

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Metrics at their step, and the best values so far as `best/...`."""
        if self.best is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        better = {f"best/{name}": value for name, value in self.best.update(metrics).items()}
        self.backlog.metrics.extend(Metric(name_of(k), v, now, step) for k, v in (metrics | better).items())
        self.backlog.send()

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """A picture as an artifact, under the name that it has in the run directory."""
        folder = f"figures/{Path(name).parent}"
        self._later(lambda: self.client.log_artifact(self.run_id, str(path), folder))

    def log_table(self, step: int, name: str, table: Table) -> None:
        """A table as an artifact in CSV, which MLflow shows."""
        text = csv_text([table.columns, *table.rows])
        self._later(lambda: self.client.log_text(self.run_id, text, f"figures/{name}_step-{step:08d}.csv"))

    def close(self, exit_code: int) -> None:
        """Sends what is left and ends the run; says what the server has not received."""
        if self.info is None:
            return
        log = self.info.directory / LOG
        if "console" in self.record and log.is_file():
            self.backlog.actions.append(lambda: self.client.log_artifact(self.run_id, str(log)))
        model = model_files(self.info.directory, self.save_model) if exit_code == 0 else None
        for name, path in (model.files if model else {}).items():
            self.backlog.actions.append(lambda n=name, p=path: self._send_model(n, p))
        try:
            self.backlog.send(at_once=True, seconds=CLOSE_SECONDS)
        finally:  # what the server refuses, too, is no reason to leave the run open
            if not self.backlog.is_away and self.run_id is not None:
                status = STATUS.get(exit_code, "FAILED")
                self.backlog.actions.appendleft(lambda: self.client.set_terminated(self.run_id, status))
                self.backlog.send(at_once=True, seconds=CLOSE_SECONDS)
        if not self.backlog.is_empty:
            missing = len(self.backlog.metrics)
            notice(f"MLflow has not received everything ({missing} values); the run directory has it all")
        self.info = None

    def _send_model(self, name: str, path: Path) -> None:
        parent = Path("model", name).parent
        self.client.log_artifact(self.run_id, str(path), str(parent))

    def _later(self, action: Any) -> None:
        if self.info is not None:
            self.backlog.actions.append(action)
            self.backlog.send()

    def _send_metrics(self, metrics: list[Any]) -> None:
        self.client.log_batch(self.run_id, metrics=metrics)

    def _tell(self, reason: str) -> None:
        notice(f"MLflow: {reason}; the run goes on, and what is logged is sent when the server answers")

    def _look(self, is_remote: bool) -> str:
        """The address of the run's page, or the command that shows the local store."""
        if is_remote:
            page = f"/#/experiments/{self.experiment_id}/runs/{self.run_id}" if self.run_id else ""
            return redact_text(self.address.rstrip("/") + page)
        store, is_file, path = self.address.partition("sqlite:///")
        address = f"{store}{is_file}{short_path(Path(path))}" if is_file else self.address
        return f"mlflow ui --backend-store-uri {redact_text(address)}"

    def _open(self) -> None:
        """Finds or makes experiment and run, and describes the run."""
        run = self.info
        assert run is not None
        experiment = self.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "aiexp"
        self.experiment_id = self._experiment(experiment)
        tags = tags_of(run, self.notes, self.tags, self.record)
        known = self._known(run)
        if known is None:
            name = redact_text(run.called(self.name))
            known = self.client.create_run(self.experiment_id, tags=tags, run_name=name)
        self.run_id = str(known.info.run_id)
        self.client.update_run(self.run_id, status="RUNNING")
        self._send_params(params_of(run.config), known.data.params)
        self._send_record(run)

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self.client.create_experiment(name))
            except MlflowException:  # another run has just made it
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _known(self, run: RunInfo) -> Any | None:
        """The MLflow run of a run that goes on; it says itself which one it is."""
        if run.previous is None and not self._was_tried:
            self._was_tried = (
                True  # a second time there may be one: the first may have failed after making it
            )
            return None
        found = self.client.search_runs([self.experiment_id], f"tags.`{RUN_ID}` = '{run.id}'", max_results=1)
        return found[0] if found else None

    def _send_params(self, params: dict[str, str], known: dict[str, str]) -> None:
        """Params that are new; those that have changed since are tags, for MLflow never changes a param."""
        from mlflow.entities import Param, RunTag

        new = [Param(key, value) for key, value in params.items() if key not in known]
        for start in range(0, len(new), MOST_PARAMS):
            self.client.log_batch(self.run_id, params=new[start : start + MOST_PARAMS])
        changed = [RunTag(f"changed.{k}", v) for k, v in params.items() if known.get(k, v) != v]
        if changed:
            self.client.log_batch(self.run_id, tags=changed)

    def _send_record(self, run: RunInfo) -> None:
        diff = run.directory / GIT_DIFF
        if "git" in self.record and diff.is_file() and diff.stat().st_size:
            self.client.log_artifact(self.run_id, str(diff))
        packages: dict[str, str] = run.environment.get("packages") or {}
        if "requirements" in self.record and packages:
            text = "".join(f"{name}=={version}\n" for name, version in packages.items())
            self.client.log_text(self.run_id, text, "requirements.txt")


def probe(address: str, seconds: float) -> str | None:
    """Why a server cannot be used now, in a few words; None when something answers.

    Args:
        address: Of the server.
        seconds: How long it may take.
    """
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]  # without a password
    silent = why_silent(urlunsplit((parts.scheme, host, f"{parts.path.rstrip('/')}/health", "", "")), seconds)
    return f"{host} {silent}" if silent else None
