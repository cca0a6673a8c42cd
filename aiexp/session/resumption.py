"""Which checkpoint a run goes on from."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiexp.errors import CheckpointError

if TYPE_CHECKING:
    from aiexp.checkpoint.store import CheckpointStore


def newest_intact(store: "CheckpointStore", say: Callable[[str], None]) -> int | None:
    """The newest step whose checkpoint verifies; damaged newer ones are named and set apart.

    Args:
        store: The run's checkpoints.
        say: Tells the user.

    Raises:
        CheckpointError: there are checkpoints and none is intact.
    """
    step, problems = store.newest_valid()
    for problem in problems:
        say(f"warning: {problem.what} ({problem.where}); falling back to an older checkpoint")
    if step is None and problems:
        raise CheckpointError(
            f"no intact checkpoint: {problems[0].what}", where=problems[0].where,
            fix="start a new run with the same config: the steps are lost",
        )  # fmt: skip
    for damaged in [s for s in store.steps() if step is not None and s > step]:
        store.set_apart(damaged)
    if step is not None:
        say(f"resuming from step {step}")
    return step
