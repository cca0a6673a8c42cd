"""When a checkpoint is written: at once, or by a thread while training goes on."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from aiexp.storage.files import delete_folder
from aiexp.world.world import World

if TYPE_CHECKING:  # a session begins before torch is imported
    from aiexp.checkpoint.staging import Staging
    from aiexp.checkpoint.store import CheckpointPolicy, CheckpointStore
    from aiexp.checkpoint.writing import Writing

Then = Callable[[Callable[[Path], object]], None]  # what to do once a checkpoint is there


@final
class Saver:
    """Has one checkpoint at a time written; all ranks call every method at the same point.

    Args:
        world: The ranks.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._staging: Staging | None = None
        self._thread = ThreadPoolExecutor(1, "aiexp checkpoint")  # starts when it is needed
        self._pending: tuple[Writing, Future[None], Then] | None = None
        self._deleting: Future[None] | None = None

    def save(
        self, store: "CheckpointStore", step: int, model: dict[str, Any], training: dict[str, Any],
        *, policy: "CheckpointPolicy", then: Then,
    ) -> None:  # fmt: skip
        """Saves a step, after what is still being written.

        Args:
            store: Where.
            step: Its number.
            model: Tensors by name.
            training: The rest.
            policy: Whether training may go on meanwhile.
            then: What to do once it is there; is told how to delete a folder.

        Raises:
            StorageError: this one or the one before cannot be written.
        """
        self.settle()
        if not policy.asynchronous:
            store.save(step, model, training, self.world)
            then(delete_folder)
            return
        if self._staging is None:
            from aiexp.checkpoint.staging import Staging

            self._staging = Staging()
        writing = store.begin(step, model, training, self.world, self._staging)
        self._pending = writing, self._thread.submit(writing.write), then

    @property
    def is_writing(self) -> bool:
        """Whether something is yet to be made a checkpoint."""
        return self._pending is not None

    def settle(self, *, wait: bool = True) -> None:
        """Makes what is being written a checkpoint.

        Args:
            wait: Until it is written; else nothing is done before all ranks have theirs.

        Raises:
            StorageError: it could not be written.
        """
        if self._pending is not None:
            self._publish(self._pending, wait=wait)
        if wait and self._deleting is not None:
            self._deleting.result()

    def _publish(self, pending: "tuple[Writing, Future[None], Then]", *, wait: bool) -> None:
        writing, written, then = pending
        if not wait and self.world.largest(0.0 if written.done() else 1.0):
            return
        self._pending = None
        written.result()
        writing.publish()
        then(self._delete_later)

    def _delete_later(self, folder: Path) -> None:
        # A gibibyte takes a second to delete.
        self._deleting = self._thread.submit(delete_folder, folder)
