"""Weights & Biases beside the run directory: one run is one W&B run, online or offline."""

import os
import threading
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, final

from aiexp.errors import ConfigError, HardwareError, nearest, reason_of
from aiexp.ranges import PositiveFloat
from aiexp.rundir.file import LOG
from aiexp.task.report import Table
from aiexp.text.secrets import redact
from aiexp.tracker.base import RunInfo
from aiexp.tracker.best import Best
from aiexp.tracker.notice import notice, short_path
from aiexp.tracker.recorded import Part
from aiexp.tracker.wandb.filing import ORIGIN, Filing, check_variables, filed
from aiexp.tracker.wandb.folder import avoid_unwritable_home, link
from aiexp.tracker.wandb.record import model_artifact, record_settings, send_record
from aiexp.tracker.wandb.said import Said
from aiexp.tracker.wandb.server import connection_problem
from aiexp.tracker.wandb.service import (
    Messages,
    discard_service,
    end_service,
    kill_service,
    start_service,
)
from aiexp.tracker.weights import SaveModel, replaced_best

Mode = Literal["auto", "online", "offline", "disabled", "required"]
# What WANDB_MODE and wandb's settings files may say, in our words.
WANDB_MODES = {
    "online": "online",
    "run": "online",
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}
GRACE_SECONDS = 5.0  # beyond its own timeouts wandb's service process counts as hung


class Waiting(TypedDict):
    """How long W&B may keep a run waiting.

    Args:
        probe_seconds: How long the server may take to answer the question whether it is there.
        init_timeout_seconds: How long opening a run online may take.
        finish_timeout_seconds: How long the last upload may take.
    """

    probe_seconds: PositiveFloat
    init_timeout_seconds: PositiveFloat
    finish_timeout_seconds: PositiveFloat


class Settings(Filing, Waiting):
    """Where the run is filed, and how long W&B may keep it waiting."""


@final
class WandbTracker:
    """A W&B run that follows the run; offline whenever the server cannot be used.

    Args:
        mode: auto (WANDB_MODE, then wandb's settings, then online if a key is configured and the server
            answers), online (as auto, ignoring WANDB_MODE), offline, disabled, or required (fails with exit
            code 5 instead of going offline).
        record: What is sent beside the metrics, secrets masked: git (commit, address, uncommitted changes),
            command (command line, host, versions), console (run.log), requirements (packages).
        save_model: Which weights become an artifact when the run is complete.
        has_system_metrics: Whether processor, memory and GPU load are recorded every 15 s.
        settings: See `Filing` and `Waiting`.

    Raises:
        ConfigError: a variable of W&B's holds what W&B refuses.
    """

    def __init__(
        self,
        *,
        mode: Mode,
        record: list[Part],
        save_model: SaveModel,
        has_system_metrics: bool,
        **settings: Unpack[Settings],
    ) -> None:
        self.mode, self.has_system_metrics = mode, has_system_metrics
        self.record, self.settings = list(record), settings
        self.save_model: SaveModel = save_model
        self.messages = Messages()
        self.run: Any = None
        self.info: RunInfo | None = None
        self.upload = ""
        self.best: Best | None = None
        self.console: Said | None = None
        self.is_prepared = False
        if (self._environment_mode() or mode) != "disabled":
            check_variables()

    def prepare(self, directory: Path) -> None:
        """Imports wandb and starts its service process, which the run will use.

        Raises:
            ConfigError: if WANDB_MODE is not a mode.
        """
        if (self._environment_mode() or self.mode) == "disabled":
            return
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # no telemetry behind the user's back
        avoid_unwritable_home(directory.resolve() / "wandb" / "cache")
        self._set_up()
        self.is_prepared = True
        start_service()

    def start(self, run: RunInfo) -> dict[str, Any]:
        """Opens the W&B run, or continues it; says in one line where it is.

        Returns:
            {"mode"} when disabled, else also id, url (None offline), project, entity, dir (relative to the
            run directory), upload (the command that uploads what is still on disk) and look.

        Raises:
            ConfigError: if WANDB_MODE is not a mode.
            HardwareError: if mode is required and the server cannot be used.
        """
        mode = self._environment_mode() or self.mode
        if mode == "disabled":
            return {"mode": "disabled"}
        self.prepare(run.directory)
        settings = self._set_up()
        if mode == "auto":
            mode = WANDB_MODES.get(settings.mode, "online")
        if mode == "disabled":
            return {"mode": "disabled"}
        problem = None if mode == "offline" else connection_problem(settings, self.settings["probe_seconds"])
        if mode != "offline" and problem is None:
            problem = self._open_online(run)
        if problem is not None and self.mode == "required":
            fix = "`wandb login`, check the network, or WandbTracker.mode=auto"
            raise HardwareError(
                f"W&B is required, but {problem}", where="WandbTracker.mode=required", fix=fix
            )
        if self.run is None:
            self._open("offline", run)
        self.best, self.info = Best(run), run
        if note := replaced_best(run.config, self.save_model):
            notice(note)
        try:
            send_record(self.run, self.record, run)
        except Exception as error:
            notice(f"W&B does not get the run's code, command and packages: {reason_of(error)}")
        if "console" in self.record:
            self.console = Said(run.directory / LOG, run.log_bytes)
        return self._announce(run, problem)

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Metrics with our step as a field: W&B's own step would drop what a resumed run repeats."""
        if self.run is None or self.best is None:
            return
        self.run.log({"step": step, **metrics})
        better = self.best.update(metrics)
        if better:
            self.run.summary.update({f"best/{name}": value for name, value in better.items()})
        self._write_console()

    def _write_console(self) -> None:
        if self.console is not None and (text := self.console.new_text()):
            self.run.write_logs(text)

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """A PNG or GIF file as W&B media; W&B keeps a copy."""
        if self.run is None:
            return
        import wandb

        is_film = path.suffix.lower() == ".gif"  # wandb.Image takes one too, but never closes the file
        media = wandb.Video(str(path), format="gif") if is_film else wandb.Image(str(path))
        self.run.log({"step": step, name: media})

    def log_table(self, step: int, name: str, table: Table) -> None:
        """A table as W&B media, under `<name>_table`: a picture of the same name is not to be replaced."""
        if self.run is None:
            return
        import wandb

        self.run.log(
            {"step": step, f"{name}_table": wandb.Table(columns=[*table.columns], data=[*table.rows])}
        )

    def close(self, exit_code: int) -> None:
        """Waits at most `finish_timeout_seconds` for the upload; says what to type when something is left.

        Raises:
            Exception: whatever wandb raises when its service process is dead.
        """
        run = self.run
        if run is None:
            if self.is_prepared:
                end_service()
            return
        watchdog = threading.Timer(self.settings["finish_timeout_seconds"] + GRACE_SECONDS, kill_service)
        watchdog.daemon = True
        watchdog.start()
        try:
            self._write_console()
            self._finish(run, exit_code)
        except BaseException:  # a stop request too: nothing is to wait for the service when Python ends
            discard_service()
            raise
        finally:
            self.run = None
            watchdog.cancel()
        if self.messages.is_incomplete:
            notice(f"W&B has not received everything; upload the rest: {self.upload}")

    def _finish(self, run: Any, exit_code: int) -> None:
        import wandb

        if exit_code == 0 and self.info is not None:
            try:
                artifact = model_artifact(self.info, self.save_model, Path(run.dir).parent / "model")
                if artifact is not None:
                    run.log_artifact(artifact, aliases=["latest", f"step-{artifact.metadata['step']}"])
            except Exception as error:  # the rest of the run is to arrive all the same
                notice(f"W&B does not get the weights: {reason_of(error)}")
        try:
            run.finish(exit_code=exit_code)
        except TimeoutError:
            self.messages.note_loss()
        wandb.teardown()  # `finish` returns before the file is complete: this waits for wandb's service

    def _announce(self, run: RunInfo, problem: str | None) -> dict[str, Any]:
        """One line that says where the W&B run is; what `start` returns."""
        folder = Path(self.run.dir).parent  # <run directory>/wandb/<mode>run-<time>-<id>/files
        is_online = not self.run.offline
        is_continued = (run.previous or {}).get("id") == self.run.id
        folders = f"{short_path(folder.parent)}/*run-*-{self.run.id}*" if is_continued else short_path(folder)
        self.upload = f"wandb sync {'--include-online ' if is_online else ''}{folders}"
        runs = link(folder)
        if is_online:
            notice(f"W&B: {self.run.url}")
        else:
            notice(f"W&B offline{f': {problem}' if problem else ''}; upload later: {self.upload}")
        return {
            "id": self.run.id,
            "mode": "online" if is_online else "offline",
            "url": self.run.url if is_online else None,
            "project": self.run.project,
            "entity": self.run.entity or None,
            "dir": str(folder.relative_to(run.directory.resolve())),
            "upload": self.upload,
            "look": self.run.url if is_online else f"wandb leet {short_path(runs)}",
        }

    def _environment_mode(self) -> str | None:
        """The mode WANDB_MODE asks for; it counts only where the config leaves it open."""
        word = os.environ.get("WANDB_MODE", "")
        if word and word not in WANDB_MODES:
            fix = f"one of {', '.join(WANDB_MODES)}.{nearest(word, WANDB_MODES)}"
            raise ConfigError(f"unknown mode '{word}'", where="environment variable WANDB_MODE", fix=fix)
        return WANDB_MODES.get(word) if self.mode == "auto" else None

    def _set_up(self) -> Any:
        """Wandb's settings from files and environment; what wandb would print goes to `messages`."""
        import wandb

        settings = wandb.setup(wandb.Settings(silent=True)).settings
        wandb.termsetup(settings, self.messages)
        return settings

    def _open_online(self, run: RunInfo) -> str | None:
        """None when the run is open, else the reason in a few words."""
        import wandb

        try:
            self._open("online", run)
        except Exception as error:
            wandb.teardown()  # else the next init with this id is refused: "run ID is in use"
            return f"opening the run failed: {reason_of(error)}"
        return None

    def _open(self, mode: str, run: RunInfo) -> None:
        import wandb

        self._set_up()
        self.run = wandb.init(
            mode=mode,  # pyright: ignore[reportArgumentType]
            **filed(self.settings, run),
            config=redact(run.config | {ORIGIN: run.origin()}),
            dir=str(run.directory.resolve()),
            reinit="finish_previous",
            settings=self._settings(run),
        )
        self.run.define_metric("*", step_metric="step")

    def _settings(self, run: RunInfo) -> Any:
        import wandb

        return wandb.Settings(
            silent=True,
            console="off",  # what run.log says is written there, secrets masked
            save_code=False,
            disable_code=True,
            disable_git=True,
            disable_job_creation=True,
            **record_settings(self.record, run),
            program="aiexp",
            x_disable_meta=True,
            x_save_requirements=False,
            x_disable_stats=not self.has_system_metrics,
            x_transaction_log_flush_interval=1.0,  # a killed process loses at most a second, not 15
            init_timeout=self.settings["init_timeout_seconds"],
            finish_timeout=self.settings["finish_timeout_seconds"],
            finish_timeout_raises=True,
        )
