"""The ranks of a run: who this process is among them, and what they tell each other."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Self, final

from aiexp.errors import ConfigError
from aiexp.world.torchrun import RANK as RANK
from aiexp.world.torchrun import meet
from aiexp.world.watch import Watch

if TYPE_CHECKING:
    from torch import Tensor, nn

# What the launcher says to a rank beside RANK: the file to meet at, the folder of what ranks leave.
STORE, FOLDER = "AIEXP_RANK_STORE", "AIEXP_RANK_FOLDER"
LATER_SECONDS = 60.0  # that a collective waits longer than a rank's own watch: the watch knows who is late


@final
class World:
    """`rank` of `size`; the leader, rank 0, writes and speaks for all.

    Every method is called by all ranks at the same point or by none. Nothing that a rank finds out alone (a
    signal, a loss that is not finite) may decide what it does next: all are asked, and decide the same. With
    one rank every method is the identity.

    Args:
        rank: From 0.
        size: Number of ranks.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        # Before each batch of an evaluation, and wherever else all ranks may stop.
        self.before_batch: Callable[[], None] = lambda: None
        self.is_sharded = False  # each rank has its rows of the weights: a forward pass is everyone's
        self._num_dealt = 0  # batches of the last evaluation, of all ranks together
        self.stalled: Callable[[], None] | None = None  # see `Watch`
        self._watch: Watch | None = None
        self._timeout = 0.0

    @classmethod
    def from_environment(cls) -> Self:
        """The world that the launcher has put this process into; alone if none has."""
        rank, _, size = os.environ.get(RANK, "0/1").partition("/")
        return cls(int(rank), int(size))

    @property
    def is_leader(self) -> bool:
        """Whether this rank writes and speaks."""
        return self.rank == 0

    def start(self, device_type: str, timeout: float) -> None:
        """Joins the others, once.

        Args:
            device_type: "cpu" or "cuda".
            timeout: Seconds without a sign of life after which a rank ends.
        """
        if self.size == 1:
            return
        from datetime import timedelta

        import torch.distributed as dist

        self._timeout = timeout
        if dist.is_initialized():
            return
        path, patience = os.environ.get(STORE), timeout + LATER_SECONDS

        def meet_all() -> None:
            # A file of ours to meet at: no port is open to strangers. torchrun's ranks meet where it says.
            store: Any = (
                dist.FileStore(path, self.size)  # pyright: ignore[reportPrivateImportUsage]
                if path
                else meet(self.rank, self.size, patience)
            )
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if device_type == "cuda" else "gloo",
                store=store,
                rank=self.rank,
                world_size=self.size,
                timeout=timedelta(seconds=patience),
            )

        audibly(meet_all)

    def watch(self) -> None:
        """From now on a rank that gives no sign of life ends; building data and weights may take longer."""
        if self.size > 1:
            path = rank_file(Path(os.environ[FOLDER]), self.rank, "stack")
            self._watch = Watch(path, self._timeout, self.stalled)
            self.alive()

    def alive(self) -> None:
        """A sign of life."""
        if self._watch is not None:
            self._watch.alive()

    def rest(self) -> None:
        """Nobody waits for this rank any more."""
        if self._watch is not None:
            self._watch.end()
            self._watch = None

    def ask(self, number: float) -> Callable[[], list[float]]:
        """Begins to ask everyone for a number; what is returned waits for the answers, in order of rank."""
        if self.size == 1:
            return lambda: [number]
        import torch
        import torch.distributed as dist

        self.alive()
        mine = torch.tensor(number, dtype=torch.float64)
        answers = [torch.empty_like(mine) for _ in range(self.size)]
        work: Any = dist.all_gather(answers, mine, async_op=True)

        def wait() -> list[float]:
            work.wait()
            return [answer.item() for answer in answers]

        return wait

    def spread(self, flag: "Tensor") -> None:
        """Gives everyone the largest of everyone's flags, each () float on its device, without a wait."""
        if self.size > 1:
            import torch.distributed as dist

            dist.all_reduce(flag, dist.ReduceOp.MAX)

    def largest(self, number: float) -> float:
        """The largest of everyone's numbers."""
        return number if self.size == 1 else max(self.ask(number)())

    def total(self, number: float) -> float:
        """The sum of everyone's numbers."""
        return number if self.size == 1 else sum(self.ask(number)())

    def part(self, number: int, name: str) -> int:
        """This rank's part of a number that is shared out evenly.

        Args:
            number: Of all ranks.
            name: Its key.

        Raises:
            ConfigError: it cannot be.
        """
        if number % self.size:
            raise ConfigError(
                f"{name}={number} cannot be shared out evenly among {self.size} ranks", where=name,
                fix=f"{name}={-(-number // self.size) * self.size}, or another hardware.devices",
            )  # fmt: skip
        return number // self.size

    def gather(self, value: Any) -> list[Any]:
        """Everyone's value, in order of rank: tensors and JSON values, nested."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        self.alive()
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, weights_only=True)  # nothing but such values is unpickled
        return values

    def from_leader(self, value: Any) -> Any:
        """What the leader has."""
        return self.gather(value if self.is_leader else None)[0]

    def odd_rank(self, value: Any) -> int | None:
        """The first rank whose value is not the leader's; None if all are the same."""
        values = self.gather(value)
        return next((rank for rank, other in enumerate(values) if other != values[0]), None)

    def barrier(self) -> None:
        """Goes on when all have come here."""
        self.largest(0.0)

    def share_buffers(self, module: "nn.Module") -> None:
        """Gives everyone the leader's buffers: each rank's batch norm has seen examples of its own."""
        if self.size > 1:
            import torch.distributed as dist

            for buffer in module.buffers():
                dist.broadcast(buffer, 0)

    def dealt(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Every `size`-th of some batches, beginning with this rank's."""
        if self.size == 1:
            yield from batches
            return
        first, self._num_dealt = None, 0
        for number, batch in enumerate(batches):
            if number % self.size == 0:  # as often on every rank
                self.before_batch()
            if number == 0 and self.is_sharded:
                first = batch
            if number % self.size == self.rank:
                yield batch
            self._num_dealt += 1
        if first is not None and 0 < self._num_dealt % self.size <= self.rank:
            yield first  # the others wait for one more pass; `gathered` drops what comes of it

    def gathered(self, parts: list[Any]) -> list[Any]:
        """What all ranks have made of their `dealt` batches, in the order of the batches."""
        if self.size == 1:
            return parts
        everyones = self.gather(parts)
        count = self._num_dealt if self.is_sharded else sum(len(those) for those in everyones)
        return [everyones[number % self.size][number // self.size] for number in range(count)]

    def own_seed(self, seed: int, step: int = 0) -> int:
        """A seed of this rank's own, in [0, 2^63)."""
        text = f"{seed} {step} {self.rank}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def audibly(body: Callable[[], None]) -> None:
    """Does what waits outside of Python, in a thread: the main one goes on hearing signals, and may leave."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            body()
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=guarded, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.05)
    if errors:
        raise errors[0]


def rank_file(folder: Path, rank: int, suffix: str) -> Path:
    """A file of a rank in the folder of what ranks leave: `rank-00001.log`."""
    return folder / f"rank-{rank:05d}.{suffix}"
