"""What removing would remove, before anything is: runs, or checkpoints of runs."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aiexp.checkpoint.manifest import saved_steps
from aiexp.rundir.file import CHECKPOINTS, LOCK, STATUS, read_or_empty
from aiexp.rundir.lock import actual_state, is_young
from aiexp.rundir.record import RunRecord
from aiexp.rundir.state import UNDER_WAY, State
from aiexp.storage.lock import is_held

BEST = -1  # for `keep`: the best checkpoint alone, or the newest of a run that has no best


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """What goes of one run.

    Args:
        run: Its directory.
        paths: That directory, or some of its checkpoints.
        reason: Why, for a person.
        intact: Checkpoints that must prove whole first, because they are all that stays.
    """

    run: Path
    paths: tuple[Path, ...]
    reason: str
    intact: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What goes, and the names of the runs that stay because a process works on them."""

    removals: list[Removal]
    under_way: list[str]


def plan_runs(records: Iterable[RunRecord]) -> Plan:
    """Whole runs, whatever they hold."""
    plan = Plan(removals=[], under_way=[])
    for record, state in _ended(records, plan):
        plan.removals.append(Removal(run=record.path, paths=(record.path,), reason=state))
    return plan


def plan_empty(records: Iterable[RunRecord]) -> Plan:
    """Runs that came to nothing: failed or died, and without a checkpoint to go on from."""
    plan = Plan(removals=[], under_way=[])
    for record, state in _ended(records, plan):
        is_over = state in (State.FAILED, State.DIED) or (
            state == State.DAMAGED and _never_began(record.path)
        )
        if is_over and not saved_steps(record.path / CHECKPOINTS):
            reason = f"{State.DIED if state == State.DAMAGED else state}, no checkpoint"
            plan.removals.append(Removal(run=record.path, paths=(record.path,), reason=reason))
    return plan


def plan_checkpoints(records: Iterable[RunRecord], keep: int) -> Plan:
    """Checkpoints beyond those to keep.

    Args:
        records: Of the runs.
        keep: BEST, or N for the newest N and the best; 0 for none. A run that is not finished keeps its
            newest whatever this says, because `aiexp resume` needs it.
    """
    plan = Plan(removals=[], under_way=[])
    for record, state in _ended(records, plan):
        folder = record.path / CHECKPOINTS
        if folder.is_symlink() or state == State.DAMAGED:
            continue
        steps = saved_steps(folder)
        kept = _kept(steps, _best_step(record.path), keep, is_finished=state == State.FINISHED)
        gone = [step for step in steps if step not in kept]
        if gone:
            removal = Removal(
                run=record.path,
                paths=tuple(folder / f"step-{step:08d}" for step in gone),
                reason=f"step {', '.join(map(str, gone))}",
                intact=tuple(folder / f"step-{step:08d}" for step in sorted(kept)),
            )
            plan.removals.append(removal)
    return plan


def _ended(records: Iterable[RunRecord], plan: Plan) -> Iterable[tuple[RunRecord, State]]:
    """Runs that no process works on, with their state; the others are noted in the plan."""
    for record in records:
        state = actual_state(record)
        if state in UNDER_WAY or (state == State.DAMAGED and is_held(record.path / LOCK) is not False):
            plan.under_way.append(record.name)
        else:
            yield record, state


def _kept(steps: list[int], best: int | None, keep: int, *, is_finished: bool) -> set[int]:
    """Which of a run's checkpoints stay."""
    kept = {best} & set(steps) if keep else set[int | None]()
    newest = keep if keep != BEST else int(not kept)
    if not is_finished:
        newest = max(newest, 1)
    return {step for step in kept if step is not None} | set(steps[max(len(steps) - newest, 0) :])


def _best_step(run: Path) -> int | None:
    return read_or_empty(run / STATUS).get("best_step")


def _never_began(run: Path) -> bool:
    """Whether the folder is what remains of a run killed before it had written its config."""
    return set(os.listdir(run)) <= {STATUS, LOCK} and not is_young(run)
