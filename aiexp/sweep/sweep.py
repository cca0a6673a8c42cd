"""`aiexp run -m` and `aiexp resume SWEEP`: every job of a sweep, through Hydra's sweeper and launcher."""

import gc
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from aiexp.config.axes import Axes, check_sweep
from aiexp.config.compose import Merged, shadow_notes
from aiexp.config.composed import Composed
from aiexp.config.folders import ConfDirs, conf_dirs, shown
from aiexp.config.hydra_settings import is_hydra_setting
from aiexp.config.loader import chooses
from aiexp.config.objects.build import build
from aiexp.errors import CheckpointError, ConfigError, Stopped, SweepError
from aiexp.rundir.directory import RunDirectory, new_name, refuse_odd_files
from aiexp.rundir.weights import followed_word
from aiexp.session.closing import sweep_look_lines
from aiexp.storage.files import storage_errors
from aiexp.sweep.definition import DEFINITION, Definition
from aiexp.sweep.grid import devices_of, targets_of
from aiexp.sweep.job import Interrupted, SweepJob, config_hash
from aiexp.sweep.ledger import Ledger
from aiexp.sweep.place.preload import modules_of
from aiexp.sweep.plugins import check_settings
from aiexp.sweep.ranking import say_ranking
from aiexp.sweep.result import Result
from aiexp.sweep.search.best import search_lines
from aiexp.sweep.search.objective import complete_search
from aiexp.text.secrets import MASK, redact, redact_text
from aiexp.text.terminal import resume_command, say
from aiexp.world.torchrun import is_torchrun

if TYPE_CHECKING:
    from aiexp.sweep.hydra_sweep import HydraSweep

LOCAL = "hydra/launcher=local"


def sweep(overrides: list[str], *, config_dir: str | None = None, resume: bool = False) -> int:
    """Checks and runs all jobs.

    Args:
        overrides: As typed.
        config_dir: Value of `--config-dir`.
        resume: Go on with the newest sweep that was started with them.

    Raises:
        SweepError: some of them failed; the others are complete.
        Stopped: Ctrl-C or SIGTERM ended it.
        CheckpointError: there is no such sweep, or it has changed.
    """
    return run_sweep(*prepare_sweep(overrides, config_dir, resume=resume))


def prepare_sweep(
    overrides: list[str], config_dir: str | None, *, resume: bool
) -> tuple[list[str], SweepJob, Composed]:
    """The completed overrides, what every job does, and the config of the first; checked, nothing made.

    Args:
        overrides: As typed.
        config_dir: Value of `--config-dir`.
        resume: Whether to look for a sweep that was started with them.
    """
    if is_torchrun():
        raise ConfigError(
            "a sweep is one process, whose jobs start their own ranks", where="torchrun",
            fix="aiexp run -m ... hardware.devices=N, without torchrun",
        )  # fmt: skip
    dirs = conf_dirs(config_dir)
    overrides = [followed_word(word) for word in with_launcher(overrides, dirs)]
    check_settings(overrides, dirs)
    merged: Merged = {}
    axes, first = check_sweep(overrides, config_dir=config_dir, merged=merged)
    words, notes = complete_search(overrides, first, dirs, modules_of(targets_of(first)))
    for note in [*shadow_notes(first, dirs), *notes]:
        say(f"note: {note}")
    parent = parent_of(first, axes)
    known = find_sweep(parent, own_overrides(overrides), config_dir) if resume else None
    directory = known or parent / new_name("sweep")
    job = sweep_job(directory, config_dir, axes, first, merged)
    return [*overrides, *words], job, first


def resume_sweep(directory: Path, changes: list[str]) -> int:
    """Goes on with a sweep; returns and raises as `sweep`.

    Args:
        directory: The sweep's.
        changes: Settings of Hydra's launcher and sweeper, which may change.

    Raises:
        CheckpointError: the sweep's definition has changed.
        ConfigError: a change of what the jobs are.
    """
    definition = Definition.read(directory)
    definition.check_own(directory)
    fixed = own_overrides(changes)
    if fixed:
        what = f"'{fixed[0]}' would make other jobs: a sweep is resumed as it was started"
        raise ConfigError(what, where="aiexp resume", fix="start a new sweep; hydra.launcher.... may change")
    masked = [o for o in definition.overrides if MASK in o]
    if masked:
        fix = "type the same aiexp run -m command with --resume"
        what = f"'{masked[0]}' was masked as a secret"
        raise ConfigError(what, where=shown(directory / DEFINITION), fix=fix)
    named = {c.partition("=")[0] for c in changes}
    overrides = [o for o in definition.overrides if o.partition("=")[0] not in named] + changes
    check_settings(overrides, conf_dirs(definition.config_dir))
    merged: Merged = {}
    axes, first = check_sweep(overrides, config_dir=definition.config_dir, merged=merged)
    job = sweep_job(directory, definition.config_dir, axes, first, merged)
    return run_sweep(overrides, job, first)


def sweep_job(
    directory: Path, config_dir: str | None, axes: Axes, first: Composed, merged: Merged
) -> SweepJob:
    """What is the same for all jobs of a sweep."""
    typed = [word.partition("=") for axis in axes.keys for word in axis]
    asked = [value for key, _, value in typed if key == "hardware.devices"]
    devices = max([devices_of(first), *(int(value) for value in asked if value.isdecimal())])
    return SweepJob(sweep=directory, config_dir=config_dir, names=axes.names, merged=merged, devices=devices)


def run_sweep(overrides: list[str], job: SweepJob, first: Composed) -> int:
    """Runs what is still to run of a sweep in its directory; returns and raises as `sweep`."""
    from aiexp.sweep.hydra_sweep import HydraSweep

    directory = job.sweep
    build(first.config["tracker"])  # what it lacks is said once
    prepared = HydraSweep(overrides, job, first)
    now = define(overrides, job, first, prepared)
    planned = [(p.index, job.own(p.overrides), config_hash(p.composed)) for p in prepared.planned]
    with storage_errors("making the sweep directory", directory):
        directory.mkdir(parents=True, exist_ok=True)
    refuse_odd_files(directory)
    lock = RunDirectory(directory).lock()
    say(f"sweep in {shown(directory)}")
    if len(planned) == 1:
        say("note: one job: nothing varies; seed=0,1,2 would make three of it")
    try:
        if (directory / DEFINITION).exists():
            Definition.read(directory).check_same(now, directory)
        else:
            now.write(directory)
        ledger = Ledger(directory)
        done = ledger.plan(planned)
        if done:
            say(f"resuming: {done} of {len(planned) or 'the'} jobs are complete already")
        gc.freeze()
        gc.enable()  # it was off while composing: see command/run.py
        results = prepared.run()
    except Interrupted as error:
        fix = resume_command(shown(directory))
        done = sum(entry.is_complete for entry in Ledger(directory).entries().values())
        what = f"sweep stopped, {done} of {len(planned) or 'its'} jobs are complete"
        raise Stopped(what, exit_code=error.result.exit_code, fix=fix) from None
    finally:
        lock.close()
    for line in (lines := search_lines(directory, now.overrides, job.names)):
        say(line)
    if lines:  # trials of earlier attempts count, and those that failed are not run again
        results = [e.result for e in ledger.entries().values() if e.result]
    else:
        say_ranking(directory)
    return summary(results, directory, num_planned=len(planned))


def define(overrides: list[str], job: SweepJob, first: Composed, prepared: "HydraSweep") -> Definition:
    """What sweep.yaml holds, secrets masked."""
    return Definition(
        overrides=[redact_text(o) for o in overrides],
        config_dir=job.config_dir,
        choices=first.choices,
        axes=sorted(job.names),
        launcher=prepared.choice("launcher"),
        sweeper=prepared.choice("sweeper"),
        config=redact(OmegaConf.to_container(first.config, resolve=True)),
    )


def with_launcher(overrides: list[str], dirs: ConfDirs) -> list[str]:
    """The overrides with aiexp's own launcher, unless the user has chosen one."""
    is_typed = any(o.partition("=")[0] == "hydra/launcher" for o in overrides)
    return overrides if is_typed or chooses(dirs, "hydra/launcher") else [*overrides, LOCAL]


def own_overrides(overrides: list[str]) -> list[str]:
    """The overrides that concern the experiment."""
    return [o for o in overrides if not is_hydra_setting(o)]


def parent_of(first: Composed, axes: Axes) -> Path:
    """`<outputs>/<task>`, or `<outputs>/mixed` where the tasks vary."""
    is_mixed = any(name.partition("@")[0] == "task" for name in axes.names)
    return Path(str(first.config.outputs), "mixed" if is_mixed else first.choices["task"])


def find_sweep(parent: Path, overrides: list[str], config_dir: str | None) -> Path:
    """The newest sweep that was started with such overrides.

    Raises:
        CheckpointError: there is none; the message says how the newest differs.
    """
    typed = [redact_text(o) for o in overrides]
    found: dict[Path, list[str]] = {}
    for path in sorted(parent.glob(f"*_sweep_*/{DEFINITION}"), reverse=True):
        with suppress(CheckpointError):  # a damaged one is none
            definition = Definition.read(path.parent)
            found[path.parent] = own_overrides(definition.overrides)
            if (found[path.parent], definition.config_dir) == (typed, config_dir):
                return path.parent
    if not found:
        raise CheckpointError("no sweep to resume", where=shown(parent), fix="leave out --resume")
    nearest = min(found, key=lambda d: len(set(found[d]) ^ set(typed)))
    signs = [f"- {o}" for o in found[nearest] if o not in typed]
    signs += [f"+ {o}" for o in typed if o not in found[nearest]]
    what = f"no sweep was started with this command; the nearest differs: {', '.join(signs) or 'their order'}"
    fix = f"leave out --resume for a new one, or {resume_command(shown(nearest))}"
    raise CheckpointError(what, where=shown(nearest), fix=fix)


def summary(results: list[Result], directory: Path, *, num_planned: int) -> int:
    """How to look at the jobs; then 0, or the table of those that failed and a SweepError."""
    for line in sweep_look_lines(directory):
        say(line)
    failed = [r for r in results if r.exit_code]
    num_jobs = max(num_planned, len(results))
    if not failed:
        say(f"sweep complete, {len(results)} of {num_jobs} jobs: {shown(directory)}")
        return 0
    width = max(len(" ".join(r.overrides)) for r in failed)
    say(f"{'job':>4} {'exit':>4}  {'overrides':<{width}}  error")
    for r in failed:
        say(f"{r.index:>4} {r.exit_code:>4}  {' '.join(r.overrides):<{width}}  {r.error}")
    what = f"{len(failed)} of {num_jobs} jobs failed, {len(results) - len(failed)} are complete"
    if num_jobs > len(results):
        what += f", {num_jobs - len(results)} were not started"
    fix = f"see above; {resume_command(shown(directory))} runs again what is not complete"
    raise SweepError(what, where=shown(directory), fix=fix)
