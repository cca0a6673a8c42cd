"""What a run goes on from: the state of a checkpoint, as this rank needs it."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from aiexp.checkpoint.state import random_state, seed_everything
from aiexp.errors import CheckpointError
from aiexp.session.follower import Follower
from aiexp.session.session import Session
from aiexp.task.base import Task
from aiexp.trainer.together import merged
from aiexp.world.world import World


def restored(step: int, task: Task, session: Session | Follower, world: World) -> tuple[dict[str, Any], Any]:
    """What was saved at a step, with what this rank had to itself.

    Of another number of ranks the task makes one state, and random numbers are others from there on.

    Raises:
        CheckpointError: it cannot be read, or the task cannot divide what each rank had.
    """
    store = session.checkpoints
    count = store.num_ranks(step)
    if count == world.size:
        model, state = store.load(step, world, world.rank)
        state["stepper"]["window"] = state.get("window", state["stepper"]["window"])
        return model, state
    session.say(f"saved by {count} ranks, continued by {world.size}: other random numbers from here on")
    model, state = store.load(step, world)
    others = [store.load_rank(step, rank) for rank in range(1, count)]
    states = [state["task"], *(own["task"] for own in others)]
    windows = [state["stepper"]["window"], *(own["window"] for own in others)]
    state["task"] = task.reshape_state(states, world)
    state["stepper"]["window"] = merged(windows, {}) if world.is_leader else {}
    if world.rank:
        seed_everything(world.own_seed(session.config["seed"], step))
        state["random"] = random_state()
    return model, state


@contextmanager
def fitting(where: str) -> Generator[None]:
    """A body that loads a state; whatever it raises is that of another model or optimizer.

    Raises:
        CheckpointError: says so.
    """
    try:
        yield
    except (RuntimeError, ArithmeticError, ValueError, LookupError, TypeError, AttributeError) as error:
        lines = " ".join(str(error).splitlines()[:3])[:300]
        raise CheckpointError(
            f"checkpoint does not fit this model or optimizer: {lines}", where=where,
            fix="resume with the config the run was started with",
        ) from error  # fmt: skip
