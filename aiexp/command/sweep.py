"""`aiexp run -m`: every job of a sweep, through Hydra's sweeper and launcher."""

import secrets
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from aiexp.command.run import start_collector
from aiexp.conf_dir import PRIMARY, ConfDirs, conf_dirs, shown
from aiexp.config.axes import Axes, check_sweep
from aiexp.config.compose import Composed, shadow_notes
from aiexp.config.hydra_settings import is_hydra_setting
from aiexp.errors import Stopped, SweepError
from aiexp.rundir import RunDirectory
from aiexp.secrets import redact, redact_text
from aiexp.storage import storage_errors
from aiexp.sweep.best import search_lines
from aiexp.sweep.definition import Definition
from aiexp.sweep.job import Interrupted, SweepJob, config_hash
from aiexp.sweep.ledger import Ledger
from aiexp.sweep.objective import complete_search
from aiexp.sweep.plan import grid, plan, targets_of
from aiexp.sweep.preload import modules_of
from aiexp.sweep.result import Result

LOCAL = "hydra/launcher=local"


def sweep(overrides: list[str], *, config_dir: str | None = None) -> int:
    """Checks and runs all jobs.

    Raises:
        SweepError: Some of them failed; the others are complete.
        Stopped: Ctrl-C or SIGTERM ended it.
    """
    dirs = conf_dirs(config_dir)
    overrides = with_launcher(overrides, dirs)
    axes, first = check_sweep(overrides, config_dir=config_dir)
    words, notes = complete_search(overrides, first, dirs, modules_of(targets_of(first)))
    for note in [*shadow_notes(first, dirs), *notes]:
        say(f"note: {note}")
    overrides = [*overrides, *words]
    directory = make_directory(first, axes)
    say(f"sweep in {shown(directory)}")
    return run_sweep(overrides, directory, axes, first, config_dir)


def run_sweep(
    overrides: list[str], directory: Path, axes: Axes, first: Composed, config_dir: str | None
) -> int:
    """Runs what is still to run of a sweep in its directory; arguments and errors as for `sweep`."""
    from hydra._internal.callbacks import Callbacks
    from hydra._internal.hydra import Hydra
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext, RunMode

    from aiexp.config.explain import explain
    from aiexp.config.loader import make_loader
    from aiexp.sweep.plugins import register

    dirs = conf_dirs(config_dir)
    hydra = Hydra(task_name="aiexp", config_loader=make_loader(dirs))
    job = SweepJob(sweep=directory, config_dir=config_dir, names=axes.names)
    try:
        config = hydra.compose_config(
            PRIMARY, overrides, run_mode=RunMode.MULTIRUN, with_log_configuration=False
        )
        with open_dict(config):
            config.hydra.sweep.dir = str(directory)
        register(config)
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(config))
        jobs = grid(own_overrides(overrides), hydra.config_loader) if is_grid(config) else None
        planned = list(plan(jobs or [], config_dir=config_dir, merged=job.merged))
        job = replace(
            job, targets=frozenset().union(targets_of(first), *(targets_of(p.composed) for p in planned))
        )
        given: dict[str, Any] = {"config": config, "hydra_context": context, "task_function": job}
        launcher = Plugins.instance().instantiate_launcher(**given)
        sweeper = None if jobs else Plugins.instance().instantiate_sweeper(**given)
    except Exception as e:
        raise explain(e, dirs) from e
    choices = config.hydra.runtime.choices
    Definition(
        overrides=[redact_text(o) for o in overrides],
        config_dir=config_dir,
        choices=first.choices,
        axes=sorted(axes.names),
        launcher=str(choices["hydra/launcher"]),
        sweeper=str(choices["hydra/sweeper"]),
        config=redact(OmegaConf.to_container(first.config, resolve=True)),
    ).write(directory)
    ledger = Ledger(directory)
    ledger.plan([(p.index, job.own(p.overrides), config_hash(p.composed)) for p in planned])
    start_collector()
    lock = RunDirectory(directory).lock()
    try:
        if sweeper is None:
            batches = launcher.launch(jobs or [], 0)
        else:
            batches = sweeper.sweep(arguments=OmegaConf.to_container(config.hydra.overrides.task))
    except Interrupted as e:
        fix = f"aiexp resume {shown(directory)}"
        raise Stopped("sweep stopped", exit_code=e.result.exit_code, fix=fix) from None
    finally:
        lock.close()
    for line in search_lines(directory, overrides, axes.names):
        say(line)
    return summary(results_of(batches), directory)


def with_launcher(overrides: list[str], dirs: ConfDirs) -> list[str]:
    """The overrides with aiexp's own launcher, unless the user has chosen one."""
    primary = dirs.user / f"{PRIMARY}.yaml" if dirs.user else None
    is_chosen = any(o.partition("=")[0] == "hydra/launcher" for o in overrides) or (
        primary is not None and primary.is_file() and "hydra/launcher" in primary.read_text(encoding="utf-8")
    )
    return overrides if is_chosen else [*overrides, LOCAL]


def own_overrides(overrides: list[str]) -> list[str]:
    """The overrides that concern the experiment."""
    return [o for o in overrides if not is_hydra_setting(o)]


def is_grid(config: DictConfig) -> bool:
    """Whether the sweeper is Hydra's basic one as it comes, so that all jobs are known beforehand."""
    sweeper = config.hydra.sweeper
    return str(sweeper._target_).endswith(".BasicSweeper") and not (sweeper.params or sweeper.max_batch_size)


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


def results_of(batches: Any) -> list[Result]:
    """What the jobs returned, out of Hydra's nested lists."""
    if isinstance(batches, Iterable) and not isinstance(batches, str):
        return [r for batch in batches for r in results_of(batch)]
    value = getattr(batches, "return_value", None)
    return [value] if isinstance(value, Result) else []


def summary(results: list[Result], directory: Path) -> int:
    """0, or the table of failed jobs and a SweepError."""
    failed = [r for r in results if r.exit_code]
    if not failed:
        say(f"sweep complete, {len(results)} of {len(results)} jobs: {shown(directory)}")
        return 0
    width = max(len(" ".join(r.overrides)) for r in failed)
    say(f"{'job':>4} {'exit':>4}  {'overrides':<{width}}  error")
    for r in failed:
        say(f"{r.index:>4} {r.exit_code:>4}  {' '.join(r.overrides):<{width}}  {r.error}")
    what = f"{len(failed)} of {len(results)} jobs failed, {len(results) - len(failed)} are complete"
    raise SweepError(what, where=shown(directory), fix="each is above, with what to change")


def say(line: str) -> None:
    """A line to stderr, secrets masked."""
    print(f"aiexp: {redact_text(line)}", file=sys.stderr, flush=True)
