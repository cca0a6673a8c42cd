"""Evaluating trained tasks again, one or several together: the order of events."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, final

from aiexp.dataset.splits import check_split
from aiexp.errors import ConfigError
from aiexp.rundir.file import STATUS
from aiexp.runs.loaded import Say
from aiexp.task.classification.report import classification_metrics
from aiexp.task.report import Evaluation
from aiexp.use.evaluating.calibration import Calibration, calibrate
from aiexp.use.evaluating.candidate import Candidate, check_examples, load_candidate
from aiexp.use.evaluating.changes import WHERE
from aiexp.use.evaluating.groups import Groups, Keys, by_groups, read_keys
from aiexp.use.evaluating.overheard import evaluate_once
from aiexp.use.evaluating.resampling import Interval, gain_interval
from aiexp.use.evaluating.scores import Scores, check_alike, is_classifier, score, together
from aiexp.use.progress import Progress, unheard

FITTING = "eval"  # the split that temperatures are fitted on


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is asked for.

    Args:
        split: Of the data.
        step: Of the checkpoints; None is each run's best, 0 is before training.
        by: A column, or `class`; empty for no groups.
        words: KEY=VALUE as typed.
    """

    split: str = "test"
    step: int | None = None
    by: str = ""
    words: Sequence[str] = ()


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How good one task is.

    Args:
        run: Its run directory.
        step: Of its checkpoint.
        evaluation: The task's own, names without the split.
        at_the_end: The metrics of the split that the run ended with, by the same names.
        calibration: Of classifiers.
    """

    run: Path
    step: int
    evaluation: Evaluation
    at_the_end: dict[str, float]
    calibration: Calibration | None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Ensemble:
    """How good several classifiers are together.

    Args:
        metrics: Of the means of their probabilities.
        calibration: Of those.
        best: Number of the classifier that is right most often alone.
        gain: By how much the ensemble is right more often than that.
        interval: 95 % of the gain.
    """

    metrics: dict[str, float]
    calibration: Calibration
    best: int
    gain: float
    interval: Interval


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """All that came of a request.

    Args:
        request: What was asked for.
        num_examples: In the split; None where nobody knows.
        results: Of each run.
        ensemble: Of all together, where there are several.
        groups: Of the examples, where that was asked for.
    """

    request: Request
    num_examples: int | None
    results: list[Result]
    ensemble: Ensemble | None = None
    groups: Groups | None = None


@final
@dataclass(frozen=True, slots=True)
class Judged:
    """What one candidate was found to be.

    Args:
        result: How good it is.
        num_examples: In the split.
        scores: The answers of a classifier.
        fitting: Those on the split that temperatures are fitted on.
        keys: The groups of the examples, of the first candidate.
    """

    result: Result
    num_examples: int | None
    scores: Scores | None
    fitting: Scores | None
    keys: Keys | None


def evaluate_runs(paths: Sequence[Path], request: Request, say: Say, progress: Progress = unheard) -> Outcome:
    """Evaluates the tasks of runs, and several classifiers together.

    Args:
        paths: Run directories, each once.
        request: What is asked for.
        say: Hears what there is to know.
        progress: Hears how far the task is with its split.

    Raises:
        AiexpError: a run, its data or its task are not fit for that.
    """
    check_split(request.split)
    check_different(paths)
    is_ensemble = len(paths) > 1
    judged: list[Judged] = []
    for number, path in enumerate(paths, 1):
        if is_ensemble:
            say(f"run {number} of {len(paths)}: {path}")
        candidate = load_candidate(path, list(request.words), request.step, say)
        judged.append(judge(candidate, request, judged[:1], progress, is_ensemble=is_ensemble))
    scores = [one.scores for one in judged if one.scores is not None]
    keys = judged[0].keys
    return Outcome(
        request=request,
        num_examples=judged[0].num_examples,
        results=[one.result for one in judged],
        ensemble=ensemble_of(scores, [one.fitting for one in judged]) if is_ensemble else None,
        groups=None if keys is None else by_groups(together(scores), keys),
    )


def check_different(paths: Sequence[Path]) -> None:
    """Raises `ConfigError` for a run that is named twice."""
    real = [path.resolve() for path in paths]
    for number, path in enumerate(real):
        if path in real[:number]:
            raise ConfigError(f"{path.name} is named twice", where=WHERE, fix="name each run once")


def check_classifier(candidate: Candidate, request: Request) -> None:
    """Raises `ConfigError` where a task has no classes to be asked about."""
    if not is_classifier(candidate.task):
        raise ConfigError(
            f"{type(candidate.task).__name__} of {candidate.name} is no classifier (no `logits`, or no names "
            f"of classes), and {'--by' if request.by else 'an ensemble'} is of classifiers", where=WHERE,
            fix="evaluate it alone" + (", without --by" if request.by else ""),
        )  # fmt: skip


def judge(
    candidate: Candidate, request: Request, first: list[Judged], progress: Progress, *, is_ensemble: bool
) -> Judged:
    """What a candidate is found to be.

    Args:
        candidate: With its data.
        request: What is asked for.
        first: What the first of several was found to be; empty for that.
        progress: Hears how far the task is.
        is_ensemble: Whether there are several.

    Raises:
        AiexpError: it is not fit for what is asked for.
    """
    dataset, split = candidate.dataset, request.split
    check_examples(dataset, split)
    if is_ensemble or request.by:
        check_classifier(candidate, request)
    keys = read_keys(dataset, split, request.by) if request.by and not first else None
    named, scores = evaluate_once(candidate, split, progress)
    if scores is not None and first and first[0].scores is not None:
        check_alike(scores, first[0].scores)
    fitting = scores if split == FITTING else None
    if scores is not None and split != FITTING and dataset.num_examples(FITTING):
        fitting = score(candidate, FITTING, progress)
    directory = candidate.run.directory
    ended: dict[str, float] = directory.read_json(STATUS).get("metrics") or {}
    result = Result(
        run=directory.path,
        step=candidate.run.step,
        evaluation=Evaluation(**{f.name: unnamed(getattr(named, f.name), split) for f in fields(named)}),
        at_the_end=unnamed(ended, split),
        calibration=None if scores is None else calibrate(scores, fitting, FITTING),
    )
    return Judged(result, dataset.num_examples(split), scores, fitting, keys)


def unnamed(values: dict[str, Any], split: str) -> dict[str, Any]:
    """What is about a split, without its name."""
    start = f"{split}/"
    return {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}


def ensemble_of(scores: list[Scores], fitting: list[Scores | None]) -> Ensemble:
    """How good classifiers are together, on the same examples."""
    all_together = together(scores)
    known = [one for one in fitting if one is not None]
    tuning = together(known) if len(known) == len(scores) else None
    best = max(range(len(scores)), key=lambda number: scores[number].hits.mean())
    hits, others = all_together.hits, scores[best].hits
    return Ensemble(
        metrics={
            "loss": all_together.loss,
            **classification_metrics(all_together.labels, all_together.predicted),
        },
        calibration=calibrate(all_together, tuning, FITTING),
        best=best,
        gain=float(hits.mean() - others.mean()),
        interval=gain_interval(hits, others),
    )
