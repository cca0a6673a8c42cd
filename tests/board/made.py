"""Runs that are under way, made by hand, and a board that shows them."""

import fcntl
import json
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, final

from aiexp.board.answer import Answers
from aiexp.board.server import BoardServer
from aiexp.board.watch import Question, Watch
from aiexp.listening import address_of, bound, own_hosts
from tests.compare.page_runs import write_run


@final
class Working:
    """A run that a process (this one) works on.

    Args:
        folder: `outputs/toy/` is made in it.
        name: Of its directory.
    """

    def __init__(self, folder: Path, name: str, *, lr: float = 0.1, seed: int = 0, steps: int = 20) -> None:
        record = write_run(folder, name, lr=lr, seed=seed, score=0.5, num_points=steps)
        self.path, self.steps, self.step = record.path, steps, 0
        (self.path / "metrics.jsonl").write_text("")
        started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self.write_status(state="running", total_steps=steps, step=0, metrics=None, started=started)
        self._lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        weakref.finalize(self, os.close, self._lock)

    def write_status(self, **changes: Any) -> None:
        path = self.path / "status.json"
        made = json.loads(path.read_text()) | changes
        (self.path / ".new").write_text(json.dumps(made))
        (self.path / ".new").replace(path)

    def go_on(self, steps: int = 1, **more: float) -> None:
        """Logs some steps."""
        with (self.path / "metrics.jsonl").open("a") as file:
            for _ in range(steps):
                self.step += 1
                values = {"train/loss": 1 / self.step, "time/step_seconds": 0.5, **more}
                file.write(json.dumps({"step": self.step, **values}) + "\n")

    def end(self, state: str = "finished", **metrics: float) -> None:
        """It ends as a session does, or as a killed one: `state=running`."""
        self.write_status(state=state, metrics=metrics or None)
        fcntl.flock(self._lock, fcntl.LOCK_UN)


def make_watch(folder: Path, **question: Any) -> Watch:
    return Watch([folder], Question(**question))


@contextmanager
def served(folder: Path, port: int = 0) -> Iterator[tuple[str, Watch]]:
    """A board in a thread: its address, and what it watches."""
    faults: list[str] = []
    watch = make_watch(folder)
    with closing(bound("127.0.0.1", port)) as made:
        server = BoardServer(made, Answers(watch, own_hosts("127.0.0.1")), faults.append)
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        try:
            yield address_of(made), watch
        finally:
            server.shutdown()
            server.server_close()
            thread.join(10)
    assert faults == []
