"""Why runs answer as they do, for those who ask over a network: one explanation after the other."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, final

from aiexp.errors import AiexpError, ConfigError, DataError
from aiexp.runs.loaded import load_run
from aiexp.use.explaining.explain import Explaining, explainer_of
from aiexp.use.explaining.explain import Request as Asked
from aiexp.use.explaining.explanation import Explanation
from aiexp.use.explaining.subject import subject_of
from aiexp.use.reading import Item
from aiexp.use.serving.question import Question
from aiexp.use.serving.refusal import Refusal, bad_inputs, said
from aiexp.use.serving.waiting import Lookout, settle

if TYPE_CHECKING:
    from aiexp.runs.loaded import LoadedRun

NEEDED = "captum"


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a request was answered as it was.

    Args:
        run: Whose answer it is.
        explanation: Of the one input.
    """

    run: "LoadedRun"
    explanation: Explanation


@dataclass(frozen=True, eq=False, slots=True)
class Job:
    """A question, whom it is for, and where the explanation goes."""

    name: str
    run: "LoadedRun"
    question: Question
    future: asyncio.Future[Explained]


def lacks(run: "LoadedRun") -> str:
    """Why answers of a run are not explained, in a sentence; "" if they are. Imports nothing large."""
    try:
        explainer_of(run.task, run.task.inputs(), subject_of(run.task))
    except AiexpError as error:
        return error.what
    if find_spec(NEEDED) is None:
        return f"explanations need {NEEDED}, which is not installed: pip install 'aiexp[explain]'"
    return ""


def again(run: "LoadedRun") -> "LoadedRun":
    """The same run once more, as it was trained; it shares the weights, which nobody changes."""
    made = load_run(Path(os.path.realpath(run.directory.path)), step=run.step)
    made.task.load_state_dict(run.task.state_dict(), assign=True)
    return made


@final
class Reasons:
    """A thread that explains for all runs of a server, one input after the other.

    Explaining watches and changes what modules return, so it is never done to the task that answers
    meanwhile, but to a second one, which is made when first asked for.

    Args:
        most: Explanations that wait or are made; more are sent away.
        load: Makes the second one.
    """

    def __init__(self, most: int, load: Callable[["LoadedRun"], "LoadedRun"] = again) -> None:
        self._most, self._load = most, load
        self._asked = 0
        self._second: dict[str, tuple[LoadedRun, LoadedRun]] = {}  # by name: who answers, who is explained
        self._lookout = Lookout()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="aiexp-reasons", daemon=True)
        self._thread.start()

    async def ask(self, name: str, run: "LoadedRun", question: Question) -> Explained:
        """Why a run answers an input as it does; whoever is cancelled is not computed for.

        Args:
            name: Of the run in this server.
            run: Who answers.
            question: With one input.

        Raises:
            Refusal: too many wait, or the input cannot be used or explained.
            Exception: the task's, on this input.
        """
        if self._asked >= self._most:
            raise Refusal(503, f"{self._asked} explanations wait already")
        job = Job(name, run, question, asyncio.get_running_loop().create_future())
        self._asked += 1
        try:
            self._queue.put(job)
            return await job.future
        finally:
            self._asked -= 1

    def close(self, seconds: float = 5.0) -> None:
        """Ends the thread after what waits, as far as it gets in that time."""
        self._queue.put(None)
        self._thread.join(seconds)

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            if not job.future.done():
                settle([(job.future, self._outcome(job))])
            del job

    def _outcome(self, job: Job) -> Any:
        """The explanation, or why there is none."""
        try:
            with self._lookout.over([job.future]):
                second = self._second_of(job.name, job.run)
                return Explained(job.run, explained(second, job.question))
        except DataError as error:
            return bad_inputs({0: error})
        except ConfigError as error:
            return Refusal(501, f"there is no explanation: {said(error)}")
        except Exception as error:  # the task's, or nobody waits
            return error

    def _second_of(self, name: str, run: "LoadedRun") -> "LoadedRun":
        first, second = self._second.get(name, (None, None))
        if first is not run or second is None:
            self._second.pop(name, None)  # not two beside the one that answers
            second = self._load(run)
            second.hardware.start()  # numbers of threads and denormals are settings of a thread
            self._lookout.watch(second.task)
            self._second[name] = run, second
        return second


def explained(run: "LoadedRun", question: Question) -> Explanation:
    """Why a run answers the one input of a question as it does.

    Raises:
        Refusal: the settings cannot be.
        DataError: the input cannot be used.
        ConfigError: the task's network has nothing to be explained by.
    """
    inputs = run.task.inputs()
    try:
        inputs.configure(**question.settings)
    except AiexpError as error:
        raise Refusal(422, f"settings: {error.what}") from error
    return Explaining(run, inputs, Asked()).explanation(Item("the input", question.values[0]))
