"""A link that moves, such as `outputs/latest`: the run that it leads to takes over once it is finished."""

import os
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import final

from aiexp.errors import AiexpError, reason_of
from aiexp.limits import limit_error
from aiexp.prediction.inputs import Inputs
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import STATUS
from aiexp.rundir.state import UNDER_WAY, State
from aiexp.text.terminal import say_lines
from aiexp.use.serving.batcher import Model
from aiexp.use.serving.served import ServedRun

POLL_SECONDS = 1.0
Load = Callable[[Path], Model]


@final
class Watch:
    """One link and what has been loaded through it.

    `latest` moves when a run starts, long before it has learned anything, so what it leads to is taken over
    when it has finished; a run that was loaded while it was at work is loaded again then.

    Args:
        served: Answers, and is replaced.
        load: A run from its path.
        say: Hears of every change.
    """

    def __init__(self, served: ServedRun, load: Load, say: Callable[[str], object]) -> None:
        self._served, self._load, self._say = served, load, say
        self._seen: tuple[str, State] = self._target()
        self._told = ""

    def look(self) -> bool:
        """Takes over what the link leads to, if that is another and ready; returns whether it has."""
        target = path, state = self._target()
        if target == self._seen or state is State.DAMAGED:
            return False
        if state is not State.FINISHED:
            when = "it takes over when it has finished" if state in UNDER_WAY else "it does not take over"
            self._tell(f"{Path(path).name} is {state}: {when}")
            return False
        self._seen = target
        try:
            model = self._load(Path(path))
        except Exception as error:  # whatever it is, the run that answers goes on
            if not isinstance(error, AiexpError) and limit_error(error) is None:
                say_lines(traceback.format_exc())
            what = error.what if isinstance(error, AiexpError) else reason_of(error)
            self._tell(f"{Path(path).name} cannot take over: {what}")
            return False
        if asked(model.inputs) != asked(self._served.inputs):
            self._tell(f"{Path(path).name} does not take over: it takes {model.inputs.noun}")
            return False
        self._served.replace(model)
        self._tell(f"{Path(path).name} has taken over, step {model.run.step}")
        return True

    def _target(self) -> tuple[str, State]:
        """The folder that the link leads to, and the state of its run."""
        path = os.path.realpath(self._served.path)
        try:
            status = RunDirectory(Path(path)).read_json(STATUS)
            return path, State(status.get("state") or State.STARTING)
        except (AiexpError, OSError, ValueError):
            return path, State.DAMAGED

    def _tell(self, line: str) -> None:
        """Says something once."""
        if line != self._told:
            self._told = line
            self._say(f"{self._served.name}: {line}")


def asked(inputs: Inputs) -> object:
    """What requests are read by; another run answers only to the same."""
    return inputs.schema, inputs.remote_options


@final
class Follower:
    """A thread that looks at links from time to time.

    Args:
        watches: One for each run.
        seconds: Between two looks.
    """

    def __init__(self, watches: Sequence[Watch], seconds: float = POLL_SECONDS) -> None:
        self._watches, self._seconds, self._end = watches, seconds, Event()
        self._thread = Thread(target=self._work, name="aiexp-follower", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._end.set()
        self._thread.join(5)

    def _work(self) -> None:
        while not self._end.wait(self._seconds):
            for watch in self._watches:
                watch.look()
