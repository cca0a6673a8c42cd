"""Inputs of many requests answered together: one thread owns the task, and takes what has come meanwhile."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, final

from aiexp.errors import AiexpError
from aiexp.prediction.inputs import Inputs
from aiexp.prediction.prediction import Prediction
from aiexp.use.predicting import predict_batch
from aiexp.use.serving.question import Question
from aiexp.use.serving.refusal import Refusal, bad_inputs
from aiexp.use.serving.waiting import Abandoned, Lookout, settle

if TYPE_CHECKING:
    from aiexp.runs.loaded import LoadedRun

WAIT_SECONDS = 0.002
WINDOW_BATCHES = 4  # so many are sorted by length together


@dataclass(frozen=True, eq=False, slots=True)
class Model:
    """Who answers.

    Args:
        run: Its task.
        inputs: Of the task, its settings taken.
        engine: What computes its network.
    """

    run: "LoadedRun"
    inputs: Inputs
    engine: str = "eager"


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers to a request.

    Args:
        run: Who has answered.
        predictions: One for each value.
    """

    run: "LoadedRun"
    predictions: list[Prediction]


@dataclass(eq=False, slots=True)
class Job:
    """The question of a request, and where the answers go."""

    question: Question
    future: asyncio.Future[Answered]
    answers: list[Any] = field(default_factory=list)
    left: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """An input made ready, and whose it is."""

    job: Job
    position: int
    example: Any
    length: int


Outcome = tuple[asyncio.Future[Any], Answered | Exception]


@final
class Batcher:
    """A thread that owns a task, and its queue.

    A request that comes alone is answered at once. Requests that come while others are answered wait for
    them and then go together, and as long as they come in company they wait a moment for more.

    Args:
        model: Who answers at first.
        most: Inputs that the task gets at once.
        heard: Is told how many inputs each batch had, by this thread.
    """

    def __init__(self, model: Model, *, most: int, heard: Callable[[int], object] = lambda _: None) -> None:
        self.model = model
        self._most, self._heard = most, heard
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._has_company = False
        self._lookout = Lookout()
        self._thread = Thread(target=self._work, name="aiexp-batcher", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still answers."""
        return self._thread.is_alive()

    async def ask(self, question: Question) -> Answered:
        """The predictions for the values of a request; whoever is cancelled is not computed for.

        Raises:
            Refusal: some cannot be used.
            Exception: the task's, on these values.
        """
        job = Job(question, asyncio.get_running_loop().create_future())
        self._queue.put(job)
        return await job.future

    def replace(self, model: Model) -> None:
        """Lets another one answer, from the next batches on; inputs of the same kind."""
        self.model = model

    def close(self, seconds: float = 5.0) -> None:
        """Answers what waits, then ends the thread, as far as it gets in that time."""
        self._queue.put(None)
        self._thread.join(seconds)

    def _work(self) -> None:
        known: Model | None = None
        while (job := self._queue.get()) is not None:
            if (model := self.model) is not known:
                model.run.hardware.start()  # numbers of threads and denormals are settings of a thread
                self._lookout.watch(model.run.task)
                known = model
            self._answer(model, self._with_company(job))
            del job  # or the thread would hold on to its pictures while it waits

    def _with_company(self, first: Job) -> list[Job]:
        """A job and those that have come since, enough for some batches."""
        jobs, count = [first], len(first.question.values)
        until = time.monotonic() + (WAIT_SECONDS if self._has_company else 0.0)
        while count < WINDOW_BATCHES * self._most:
            left = until - time.monotonic() if count < self._most else 0.0
            try:
                job = self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()
            except Empty:
                break
            if job is None:
                self._queue.put(None)
                break
            jobs.append(job)
            count += len(job.question.values)
        self._has_company = len(jobs) > 1
        return jobs

    def _answer(self, model: Model, jobs: list[Job]) -> None:
        """Answers jobs together; if that fails each by itself, so that one does not spoil the others'."""
        try:
            for own, group in grouped(model, jobs):
                for batch in batches(ready(own, group), self._most):
                    entries = [entry for entry in batch if not entry.job.future.done()]
                    if entries:
                        self._heard(len(entries))
                        with suppress(Abandoned), self._lookout.over([e.job.future for e in entries]):
                            answer_entries(own, entries)
        except Exception as error:
            if len(jobs) == 1:
                settle([(jobs[0].future, error)])
            else:
                for job in jobs:
                    if not job.future.done():
                        self._answer(model, [job])


def grouped(model: Model, jobs: Sequence[Job]) -> Iterator[tuple[Model, list[Job]]]:
    """Jobs that may share a batch, and the model with their settings.

    Settings are of `Inputs`, so those with others have inputs of their own.
    """
    by_key: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        by_key[job.question.key].append(job)
    for group in by_key.values():
        settings = group[0].question.settings
        if not settings:
            yield model, group
            continue
        inputs = model.run.task.inputs()
        try:
            inputs.configure(**settings)
        except AiexpError as error:
            settle([(job.future, Refusal(422, f"settings: {error.what}")) for job in group])
        else:
            yield replace(model, inputs=inputs), group


def ready(model: Model, jobs: Sequence[Job]) -> list[Entry]:
    """The inputs of jobs made ready; jobs with unusable ones are refused, abandoned ones left out."""
    jobs = [job for job in jobs if not job.future.done()]
    refused: list[Outcome] = []
    try:
        examples = iter(model.inputs.prepare([value for job in jobs for value in job.question.values]))
    except AiexpError as error:  # of all of them: a setting is missing
        known = ", ".join(model.inputs.remote_options)
        refusal = f"{error.what}: say so in settings ({known})"
        settle([(job.future, Refusal(422, refusal)) for job in jobs])
        return []
    entries: list[Entry] = []
    for job in jobs:
        own = [next(examples) for _ in job.question.values]
        if problems := {i: e for i, e in enumerate(own) if isinstance(e, AiexpError)}:
            refused.append((job.future, bad_inputs(problems)))
            continue
        job.answers, job.left = [None] * len(own), len(own)
        entries += [Entry(job, i, e, model.inputs.length(e)) for i, e in enumerate(own)]
    settle(refused)
    return entries


def batches(entries: list[Entry], most: int) -> list[list[Entry]]:
    """Inputs cut into batches, the shortest first; in none is one less than half as long as another.

    Padding costs as much as tokens do.
    """
    made: list[list[Entry]] = []
    for entry in sorted(entries, key=lambda entry: entry.length):
        if not made or len(made[-1]) == most or entry.length > 2 * made[-1][0].length:
            made.append([])
        made[-1].append(entry)
    return made


def answer_entries(model: Model, entries: list[Entry]) -> None:
    """Answers one batch, and the jobs that are complete with it."""
    predictions = predict_batch(model.run, model.inputs, [entry.example for entry in entries])
    complete: list[Outcome] = []
    for entry, prediction in zip(entries, predictions, strict=True):
        job = entry.job
        job.answers[entry.position] = prediction
        job.left -= 1
        if not job.left:
            complete.append((job.future, Answered(model.run, job.answers)))
    settle(complete)
