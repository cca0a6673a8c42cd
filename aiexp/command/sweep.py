"""`aiexp run -m`: every job of a sweep, through Hydra's sweeper and launcher."""

import functools
import gc
import os
import secrets
import sys
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiexp.command.run import start_collector
from aiexp.conf_dir import PRIMARY, conf_dirs, shown
from aiexp.config.axes import Axes, check_sweep
from aiexp.config.compose import Composed, Job, compose, shadow_notes
from aiexp.errors import AiexpError, Stopped, SweepError
from aiexp.secrets import redact_text
from aiexp.storage import storage_errors


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a job ended.

    Args:
        index: Its number, from 0.
        exit_code: 0 when it is complete.
        overrides: What it was given, without what all jobs share.
        error: The first line of what went wrong.
    """

    index: int
    exit_code: int
    overrides: list[str]
    error: str = ""


class _Interrupted(BaseException):
    """Ends the sweep from inside a job: Hydra's launchers catch every Exception and would start the next."""

    def __init__(self, cause: Stopped) -> None:
        super().__init__(str(cause))
        self.cause = cause


def sweep(overrides: list[str], *, config_dir: str | None = None) -> int:
    """Checks and runs all jobs.

    Raises:
        SweepError: Some of them failed; the others are complete.
        Stopped: Ctrl-C or SIGTERM ended it.
    """
    from hydra._internal.hydra import Hydra

    from aiexp.config.loader import make_loader

    axes, first = check_sweep(overrides, config_dir=config_dir)
    dirs = conf_dirs(config_dir)
    for note in shadow_notes(first, dirs):
        _say(f"note: {note}")
    directory = make_directory(first, axes)
    job = functools.partial(run_job, directory=directory, config_dir=config_dir, axes=axes)
    hydra = Hydra(task_name="aiexp", config_loader=make_loader(dirs))
    arguments = [*overrides, f"hydra.sweep.dir={_quoted(directory)}"]
    _say(f"sweep in {shown(directory)}")
    start_collector()
    try:
        batches = hydra.multirun(PRIMARY, job, arguments, with_log_configuration=False)
    except _Interrupted as e:
        raise e.cause from None
    return _summary(_results(batches), directory)


def run_job(_: Any, *, directory: Path, config_dir: str | None, axes: Axes) -> Result:
    """One job, called by Hydra's launcher, perhaps in another process; reports a failure at once.

    Args:
        _: The config as Hydra composed it; the job composes its own, like a single run.
        directory: The sweep's.
        config_dir: Value of `--config-dir`.
        axes: What varies.
    """
    from hydra.core.hydra_config import HydraConfig

    settings = HydraConfig.get()
    index, overrides = int(settings.job.num), [str(o) for o in settings.overrides.task]
    own = [o for o in overrides if o.partition("=")[0] in axes.names]
    try:
        from aiexp.run import run

        composed = compose(overrides, config_dir=config_dir)
        code, error = run(composed, Job(sweep_dir=directory, index=index, overrides=own)), ""
    except Stopped as e:
        raise _Interrupted(e) from e
    except AiexpError as e:
        code, error = e.exit_code, e.lines()[0]
        _report(index, own, e.lines())
    except Exception as e:
        code, error = 1, f"{type(e).__name__}: {e}"
        _report(
            index, own, [*traceback.format_exc().splitlines(), "this is a bug in aiexp or in your own code"]
        )
    finally:
        gc.collect()
    return Result(index=index, exit_code=code, overrides=own, error=error)


def make_directory(first: Composed, axes: Axes) -> Path:
    """A new `<outputs>/<task>/<time>_sweep_<id>` that no other process can share.

    Raises:
        StorageError: It cannot be made.
    """
    is_mixed = any(name.partition("@")[0] == "task" for name in axes.names)
    parent = Path(str(first.config.outputs), "mixed" if is_mixed else first.choices["task"])
    with storage_errors("making the sweep directory", parent):
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            directory = parent / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_sweep_{secrets.token_hex(3)}"
            try:
                directory.mkdir()
            except FileExistsError:
                continue
            return directory


def _results(batches: Any) -> list[Result]:
    """What the jobs returned, out of Hydra's nested lists."""
    if isinstance(batches, Iterable) and not isinstance(batches, str):
        return [r for batch in batches for r in _results(batch)]
    value = getattr(batches, "return_value", None)
    return [value] if isinstance(value, Result) else []


def _summary(results: list[Result], directory: Path) -> int:
    """0, or the table of failed jobs and a SweepError."""
    failed = [r for r in results if r.exit_code]
    if not failed:
        _say(f"sweep complete, {len(results)} of {len(results)} jobs: {shown(directory)}")
        return 0
    width = max(len(" ".join(r.overrides)) for r in failed)
    _say(f"{'job':>4} {'exit':>4}  {'overrides':<{width}}  error")
    for r in failed:
        _say(f"{r.index:>4} {r.exit_code:>4}  {' '.join(r.overrides):<{width}}  {r.error}")
    what = f"{len(failed)} of {len(results)} jobs failed, {len(results) - len(failed)} are complete"
    raise SweepError(what, where=shown(directory), fix="each is above, with what to change")


def _report(index: int, overrides: list[str], lines: list[str]) -> None:
    """A failed job, at once."""
    _say(f"job {index} failed: {' '.join(overrides)}")
    for line in lines:
        _say(f"  {line}")


def _say(line: str) -> None:
    print(f"aiexp: {redact_text(line)}", file=sys.stderr, flush=True)


def _quoted(path: Path) -> str:
    """A path as a value of Hydra's override grammar."""
    text = os.fspath(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"
