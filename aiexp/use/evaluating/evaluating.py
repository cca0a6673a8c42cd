"""Evaluating trained tasks again, one or several together: the order of events."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from aiexp.dataset.splits import check_split
from aiexp.errors import ConfigError
from aiexp.rundir.file import STATUS
from aiexp.runs.loaded import Say
from aiexp.task.classification.report import classification_metrics
from aiexp.task.report import Evaluation
from aiexp.trainer.evaluation import evaluate
from aiexp.use.evaluating.calibration import Calibration, calibrate
from aiexp.use.evaluating.candidate import Candidate, check_examples, load_candidate
from aiexp.use.evaluating.changes import WHERE
from aiexp.use.evaluating.groups import Groups, Keys, by_groups, read_keys
from aiexp.use.evaluating.resampling import Interval, gain_interval
from aiexp.use.evaluating.scores import Scores, is_classifier, score, together

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


def evaluate_runs(paths: Sequence[Path], request: Request, say: Say) -> Outcome:
    """Evaluates the tasks of runs, and several classifiers together.

    Args:
        paths: Run directories, each once.
        request: What is asked for.
        say: Hears what there is to know.

    Raises:
        AiexpError: a run, its data or its task are not fit for that.
    """
    check_split(request.split)
    check_different(paths)
    results: list[Result] = []
    scores: list[Scores] = []
    fitting: list[Scores | None] = []
    keys: Keys | None = None
    num_examples: int | None = None
    for number, path in enumerate(paths):
        candidate = load_candidate(path, list(request.words), request.step, say)
        check_examples(candidate.dataset, request.split)
        is_needed = bool(request.by or paths[1:])
        if is_needed or is_classifier(candidate.task):
            check_classifier(candidate, request)
            if not number:
                keys = read_keys(candidate.dataset, request.split, request.by) if request.by else None
            scores.append(score(candidate, request.split))
            together(scores)  # fails early
            fitting.append(fitting_scores(candidate, request.split, scores[-1]))
        results.append(judged(candidate, request, scores[-1:], fitting[-1:]))
        num_examples = candidate.dataset.num_examples(request.split)
    all_together = together(scores) if scores[1:] else scores[0] if scores else None
    return Outcome(
        request=request,
        num_examples=num_examples,
        results=results,
        ensemble=ensemble_of(scores, fitting) if scores[1:] else None,
        groups=by_groups(all_together, keys) if keys is not None and all_together is not None else None,
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


def fitting_scores(candidate: Candidate, split: str, scores: Scores) -> Scores | None:
    """The answers on the split that a temperature is fitted on; None where that has no examples."""
    if split == FITTING:
        return scores
    return score(candidate, FITTING) if candidate.dataset.num_examples(FITTING) else None


def judged(
    candidate: Candidate, request: Request, scores: list[Scores], fitting: list[Scores | None]
) -> Result:
    """The task's own evaluation, and its calibration if it is a classifier."""
    run, split = candidate.run, request.split
    named = evaluate(run.task, candidate.dataset, split, run.hardware, report=True)
    ended: dict[str, float] = run.directory.read_json(STATUS).get("metrics") or {}
    return Result(
        run=run.directory.path,
        step=run.step,
        evaluation=Evaluation(
            metrics=unnamed(named.metrics, split),
            better=unnamed(named.better, split),
            pictures=unnamed(named.pictures, split),
            tables=unnamed(named.tables, split),
        ),
        at_the_end=unnamed(ended, split),
        calibration=calibrate(scores[0], fitting[0], FITTING) if scores else None,
    )


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
