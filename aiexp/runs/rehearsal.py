"""A run in small: some steps, a checkpoint, and the same steps again from it, which must be equal."""

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast, final

from torch import Tensor

from aiexp.checkpoint.digest import differing, digests
from aiexp.checkpoint.state import load_random_state, random_state
from aiexp.checkpoint.store import CheckpointStore
from aiexp.dataset.base import Dataset, Positioned
from aiexp.errors import AiexpError
from aiexp.experiment import Experiment
from aiexp.task.base import Progress, Task
from aiexp.task.contract import broken, checked_fingerprint, training_batches
from aiexp.trainer.stepper import Stepper
from aiexp.world.share import share_out
from aiexp.world.world import World

STEPS = 3  # before the checkpoint, and after it


@final
class Rehearsal:
    """An experiment that takes steps as the trainer would; nothing is written unless asked for.

    Args:
        experiment: Built; its weights change.
        ranks: How many would share out each batch: steps are taken on the first one's rows.
    """

    def __init__(self, experiment: Experiment, ranks: int = 1) -> None:
        self.world = World(0, ranks)
        trainer, self.task = experiment.trainer, experiment.task
        self.experiment = experiment
        for world in (self.world, World()) if ranks > 1 else ():  # whether it can be shared out; then alone
            self.task.join(world)
        experiment.hardware.prepare(self.task)
        self.total_steps = trainer.total_steps(experiment.dataset)
        self.stepper = Stepper(
            self.task, experiment.hardware,
            schedule=trainer.schedule, total_steps=self.total_steps, clip=trainer.clip,
        )  # fmt: skip
        self.step = 0
        self.batch_bytes = 0  # of the last step
        self.seen: dict[str, str] = {}  # digests of the batches
        self._batches: Iterator[Any] | None = None

    def advance(self, count: int) -> list[float]:
        """Takes so many steps; returns the seconds of each, without waiting for data."""
        accumulate = self.experiment.trainer.accumulate
        if self._batches is None:
            start = self.step * accumulate
            self._batches = training_batches(self.task, self.experiment.dataset, start)
        self.task.train()
        seconds: list[float] = []
        self.tell_progress()
        for _ in range(count):
            taken = list(islice(self._batches, accumulate))
            self.seen |= digests(taken, f"batch {self.step * accumulate}")
            if self.task.shares_batches:
                taken = [share_out(batch, self.world)[0] for batch in taken]
            self.batch_bytes = sum(tensor.nbytes for tensor in tensors_in(taken))
            start = time.perf_counter()
            self.stepper.step(self.step + 1, taken)
            seconds.append(time.perf_counter() - start)
            self.step += 1
            self.tell_progress()
        return seconds

    def rank_bytes(self) -> dict[str, int]:
        """What a rank holds: its batch, and by DDP all of the rest. Activations come on top."""
        task, optimizers = self.task, self.stepper.optimizers.values()
        # DDP's buckets are the gradients themselves; of optimizers' states the numbers of steps are left out.
        moments = [t for o in optimizers for t in tensors_in([*o.state.values()]) if t.dim()]
        return {
            "weights": sum(t.nbytes for t in (*task.parameters(), *task.buffers())),
            "gradients": sum(p.nbytes for group in self.stepper.parameters.values() for p in group),
            "moments": sum(t.nbytes for t in moments),
            "batch": self.batch_bytes,
        }

    def tell_progress(self) -> None:
        """Lets the task know how far this is."""
        self.task.progress = Progress(step=self.step, total_steps=self.total_steps)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds beside the weights."""
        stepper = self.stepper.state()
        window = {name: v for name, v in stepper["window"].items() if not name.startswith("time/")}
        state: dict[str, Any] = {"stepper": stepper | {"window": window}, "task": self.task.extra_state()}
        if isinstance(dataset := self.experiment.dataset, Positioned):
            state["dataset"] = dataset.state(self.step * self.experiment.trainer.accumulate)
        return state | {"random": random_state()}

    def trace(self) -> dict[str, str]:
        """Digests of everything that a resumed run must have again."""
        return digests({"model": self.task.state_dict(), **self.state()})

    def load(self, model: dict[str, Tensor], state: dict[str, Any], step: int) -> None:
        """Goes on where another one saved."""
        self.task.load_state_dict(model)
        self.stepper.load_state(state["stepper"])
        self.step = step
        self.tell_progress()
        self.task.load_extra_state(state["task"])
        if isinstance(dataset := self.experiment.dataset, Positioned):
            dataset.load_state(state["dataset"])
        load_random_state(state["random"])

    def own(self) -> dict[str, str]:
        """Digests of the plain attributes of the task and the data set: what they might have to save."""
        parts = {"task": self.task, "dataset": self.experiment.dataset}
        return digests({n: {k: v for k, v in vars(p).items() if k[0] != "_"} for n, p in parts.items()})


def check_resuming(going: Rehearsal, build_again: Callable[[], Experiment]) -> list[AiexpError]:
    """What a resumed run would do differently, one error for each kind of breach.

    Args:
        going: Some steps on; goes on by `STEPS` more.
        build_again: Makes the experiment anew.
    """
    with TemporaryDirectory() as folder:
        store = CheckpointStore(Path(folder))
        saved, own = going.trace(), going.own()
        store.save(going.step, going.task.state_dict(), going.state())
        random = random_state()
        again = Rehearsal(build_again(), going.world.size)
        if unlike := check_data(going.experiment.dataset, again.experiment.dataset):
            return unlike
        again.load(*store.load(going.step), going.step)
        lost = [path for path in differing(own, again.own()) if path in own]
        found = breaches(differing(saved, again.trace()), going.task, lost, "right after loading")
        if found:
            return found
        again.advance(STEPS)
        after = again.trace()
        load_random_state(random)
        going.seen = {}
        going.advance(STEPS)
        owner: Any = going.task if type(going.task).batches is not Task.batches else going.experiment.dataset
        member = "batches" if owner is going.task else "train_batches"
        if other := differing(going.seen, again.seen):
            what = f"gives other batches after resuming, first {other[0]}{hint(lost)}"
            return [broken(owner, member, what, fix="a batch depends on its number and on saved state alone")]
        # One cause has many effects here: the first says enough.
        found = breaches(differing(going.trace(), after), going.task, lost, f"{STEPS} steps later")[:1]
        return found or check_evaluating(going, again)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor of nested lists, tuples and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        parts = (
            cast(Mapping[Any, Any], value).values() if isinstance(value, Mapping) else cast(list[Any], value)
        )
        for part in parts:
            yield from tensors_in(part)


def check_data(one: Dataset, other: Dataset) -> list[AiexpError]:
    """What two data sets built of one config do not have in common; a resumed run would be refused."""
    if checked_fingerprint(one) == checked_fingerprint(other):
        return []
    what = "is another one when the data set is built again: no run could be resumed"
    return [broken(one, "fingerprint", what, fix="sha256 over the examples, nothing that is drawn or timed")]


def check_evaluating(going: Rehearsal, again: Rehearsal) -> list[AiexpError]:
    """What an evaluation changes of the steps after it, of two rehearsals that are equal so far."""
    sizes, random = going.experiment.sizes, random_state()
    split = "eval" if sizes["eval"] else "test"
    if not sizes[split]:
        return []
    going.experiment.try_evaluation(split)
    going.advance(STEPS)
    load_random_state(random)
    again.advance(STEPS)
    changed = differing(going.seen | going.trace(), again.seen | again.trace())
    # What a task counts may be of evaluations; what it learns must not depend on them.
    changed = [path for path in changed if not path.startswith(("task/", "stepper/window/"))]
    if not changed:
        return []
    what = f"changes the steps that come after it: {STEPS} steps later {changed[0]} differs"
    return [broken(going.task, "evaluate", what, fix="leave weights alone; draw from a generator of its own")]


def breaches(paths: list[str], task: Task, lost: list[str], when: str) -> list[AiexpError]:
    """One error for each part of the state that differs."""
    kinds = {
        "model": ("train_step", "comes to other weights", "return what it depends on from extra_state"),
        "stepper/optimizers": ("make_optimizers", "has other optimizer state", "make the same ones again"),
        "task": ("load_extra_state", "does not bring back", "restore all that extra_state returned"),
        "stepper/window": ("train_step", "has other metrics", "return what they depend on from extra_state"),
        "random": ("train_step", "draws other random numbers", "draw from saved generators only"),
    }
    errors: list[AiexpError] = []
    for part, (member, what, fix) in kinds.items():
        names = [path.removeprefix(f"{part}/") for path in paths if f"{path}/".startswith(f"{part}/")]
        if names:
            more = f" and {len(names) - 1} more" if names[1:] else ""
            errors.append(broken(task, member, f"{what} {when}: {names[0]}{more}{hint(lost)}", fix=fix))
    return errors


def hint(lost: list[str]) -> str:
    """Which attributes a checkpoint did not bring back, if any."""
    return f" (not restored: {', '.join(p.replace('/', '.') for p in lost[:3])})" if lost else ""
