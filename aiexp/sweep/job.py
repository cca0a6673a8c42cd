"""One job of a sweep: the function that every launcher calls, on this machine or another."""

import gc
import os
import time
import traceback
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast, final

from omegaconf import OmegaConf

from aiexp.config.compose import Merged, compose
from aiexp.config.composed import Composed
from aiexp.errors import AiexpError, Stopped
from aiexp.rundir.directory import RunDirectory, new_name, slug
from aiexp.rundir.environment import describe_environment
from aiexp.rundir.file import STATUS
from aiexp.rundir.state import State
from aiexp.session.job import Job
from aiexp.session.launcher import launch_followers
from aiexp.session.node import Node
from aiexp.sweep.ledger import Ledger, hash_config
from aiexp.sweep.place.preload import modules_of
from aiexp.sweep.result import Result
from aiexp.sweep.search.pruning import job_pruning
from aiexp.text.secrets import redact_text
from aiexp.text.terminal import say


class Interrupted(BaseException):
    """Ends a sweep from inside a job: Hydra's launchers catch every Exception and would start the next."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.error)
        self.result = result


@final
@dataclass(frozen=True, kw_only=True)
class SweepJob:
    """What is the same for all jobs of a sweep. Hydra's launchers call it, the local one binds it.

    Args:
        sweep: The sweep directory.
        config_dir: Value of `--config-dir`.
        names: Keys and groups that vary.
        targets: Every `_target_` of the configs.
        merged: Options merged already, so that jobs with the same choices do not merge them again.
        devices: That the job takes which takes most.
    """

    sweep: Path
    config_dir: str | None
    names: frozenset[str]
    targets: frozenset[str] = frozenset()
    merged: Merged = field(default_factory=lambda: {}, repr=False)
    devices: int = 1

    def __call__(self, _: Any) -> Result:
        """Runs the job that Hydra has set up in this process.

        Args:
            _: The config as Hydra composed it; a job composes its own, like a single run.
        """
        from hydra.core.hydra_config import HydraConfig

        settings = HydraConfig.get()
        index, overrides = int(settings.job.num), [str(o) for o in settings.overrides.task]
        try:
            result = self.bind(index, overrides)()
        except AiexpError as error:
            report(index, self.own(overrides), error.lines())
            result = self.failed(index, overrides, error)
        if result.state == State.STOPPED:
            raise Interrupted(result)
        return result

    def preload(self) -> list[str]:
        """Modules that the jobs import, as far as their configs tell."""
        return modules_of(self.targets)

    def own(self, overrides: list[str]) -> list[str]:
        """Of a job's overrides those that not all jobs share; secrets masked."""
        return [redact_text(o) for o in overrides if o.partition("=")[0] in self.names]

    def completed(self, index: int) -> Result | None:
        """The result of a job that need not run again."""
        return Ledger(self.sweep).completed(index)

    def bind(self, index: int, overrides: list[str]) -> Callable[[], Result]:
        """The job, ready to be called in another process: composed and checked.

        Raises:
            ConfigErrors: its config is wrong.
            CheckpointError: it is not what the sweep was planned with.
        """
        composed = compose(overrides, config_dir=self.config_dir, merged=self.merged)
        own = self.own(overrides)
        Ledger(self.sweep).plan([(index, own, config_hash(composed))])
        return partial(work, self.sweep, index, own, composed, environment())

    def failed(self, index: int, overrides: list[str], error: AiexpError) -> Result:
        """Records a job that could not be started."""
        result = Result(
            index=index,
            exit_code=error.exit_code,
            overrides=self.own(overrides),
            error=error.lines()[0],
            state=State.FAILED,
        )
        Ledger(self.sweep).end(result)
        return result

    def died(self, index: int, overrides: list[str], why: str, exit_code: int, seconds: float) -> Result:
        """Records a job whose process has gone without a word; if it had recorded its end itself, that."""
        ledger = Ledger(self.sweep)
        entry = ledger.entries().get(index)
        if entry and entry.result and entry.result.state != State.STOPPED:
            return entry.result
        state, directory = State.of_exit_code(exit_code), entry.directory if entry else ""
        result = Result(
            index=index,
            exit_code=exit_code,
            overrides=self.own(overrides),
            error=why,
            state=state,
            seconds=round(seconds, 2),
            directory=directory,
        )
        if directory and (self.sweep / directory).is_dir():
            RunDirectory(self.sweep / directory).write_status(state=state, error=why, exit_code=exit_code)
        ledger.end(result)
        return result


def work(
    sweep: Path,
    index: int,
    own: list[str],
    composed: Composed,
    environment: dict[str, Any],
    node: Node | None = None,
) -> Result:
    """Runs a composed job to its end in this process and records it; never raises an Exception.

    Of several machines the first records it.

    Args:
        sweep: The sweep directory.
        index: Number of the job.
        own: Its overrides that not all jobs share.
        composed: Its config.
        environment: What environment.json says of this machine.
        node: This machine among several; None for the only one.
    """
    if node is not None and node.number:
        config = cast(dict[str, Any], OmegaConf.to_container(composed.config, resolve=True))
        code = launch_followers(config, node)
        return Result(index=index, exit_code=code, overrides=own, state=State.of_exit_code(code))
    with closing(node or Node()) as first:
        return work_first(sweep, index, own, composed, environment, first)


def work_first(
    sweep: Path, index: int, own: list[str], composed: Composed, environment: dict[str, Any], node: Node
) -> Result:
    """The same on the first machine, or the only one."""
    ledger = Ledger(sweep)
    with ledger.claim(index):
        entry = ledger.entries()[index]
        if entry.result and entry.is_complete:
            return entry.result
        # The name stands in the ledger before the folder stands on the disk: none is ever orphaned.
        directory = sweep / (entry.directory or new_name(f"{index:03d}_{slug(own)}"))
        ledger.start(index, directory.name)
        job = Job(
            sweep_dir=sweep,
            index=index,
            overrides=own,
            directory=directory,
            environment=environment,
            pruning=job_pruning(sweep, index),
            node=node,
        )
        start = time.perf_counter()
        exit_code, error = attempt(composed, job)
        status = RunDirectory(directory).read_json(STATUS)
        result = Result(
            index=index,
            exit_code=exit_code,
            overrides=own,
            error=redact_text(error),
            state=State.PRUNED if status.get("state") == State.PRUNED else State.of_exit_code(exit_code),
            metrics=status.get("metrics", {}),
            seconds=round(time.perf_counter() - start, 2),
            directory=directory.name,
        )
        ledger.end(result)
    gc.collect()
    return result


def attempt(composed: Composed, job: Job) -> tuple[int, str]:
    """The exit code of a run, and its error if it ended with one, which is reported."""
    from aiexp.run import run

    try:
        return run(composed, job), ""
    except AiexpError as error:
        if not isinstance(error, Stopped):
            report(job.index, job.overrides, error.lines())
        return error.exit_code, error.lines()[0]
    except (Exception, SystemExit) as error:
        lines = traceback.format_exc().splitlines()
        report(job.index, job.overrides, [*lines, "this is a bug in aiexp or in your own code"])
        return 1, f"{type(error).__name__}: {error}"


def report(index: int, own: list[str], lines: list[str]) -> None:
    """A failed job, at once; in a process of its own this is the job's log."""
    with suppress(OSError):
        for line in [f"job {index} failed: {' '.join(own)}", *(f"  {line}" for line in lines)]:
            say(line)


def config_hash(composed: Composed) -> str:
    """sha256 of a resolved config, without keys that name secrets: they may be renewed."""
    return hash_config(cast(dict[str, Any], OmegaConf.to_container(composed.config, resolve=True)))


_environment: dict[str, Any] = {}


def environment() -> dict[str, Any]:
    """What environment.json says, found out once a process: asking git and pip takes half a second."""
    if _environment.get("working_directory") != os.getcwd():
        _environment.clear()
        _environment.update(describe_environment())
    return dict(_environment)
