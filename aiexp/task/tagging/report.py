"""Numbers, tables and a figure about tags that a model gave."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from aiexp.dataset.tagging.scheme import PLAIN, spans_of
from aiexp.figure.style import Drawn
from aiexp.rundir.judged_by import Better
from aiexp.task.classification.confusion import confusion_figure
from aiexp.task.report import Table

BETTER: dict[str, Better] = {
    "loss": "min", "accuracy": "max", "sentence_accuracy": "max",
    "precision": "max", "recall": "max", "f1": "max",
}  # fmt: skip
MATRIX = "confusion_matrix"  # the name of its figure
MOST_SHOWN = 25  # tags of the confusion matrix
OTHERS = "(others)"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Tagged:
    """A sentence with its tags and those that a model gave.

    Args:
        index: Its place in the split.
        loss: Negative log-likelihood of its tags, in nats.
        truth: W tags.
        given: W tags.
    """

    index: int
    loss: float
    truth: list[str]
    given: list[str]

    @property
    def num_wrong(self) -> int:
        """Words with another tag."""
        return sum(a != b for a, b in zip(self.truth, self.given, strict=True))


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SpanCounts:
    """How many spans of a kind there are, were given, and are the same: kind, first and last word."""

    true: int = 0
    given: int = 0
    right: int = 0

    def scores(self) -> dict[str, float]:
        """Precision, recall and F1; 0 where nothing was given or nothing is true."""
        precision = self.right / self.given if self.given else 0.0
        recall = self.right / self.true if self.true else 0.0
        both = self.true + self.given
        return {"precision": precision, "recall": recall, "f1": 2 * self.right / both if both else 0.0}


def tagging_metrics(sentences: Sequence[Tagged], scheme: str) -> dict[str, float]:
    """Accuracy of words, share of sentences without an error; of spans precision, recall and F1 of all."""
    words, wrong = sum(len(one.truth) for one in sentences), sum(one.num_wrong for one in sentences)
    metrics = {
        "accuracy": 1 - wrong / words,
        "sentence_accuracy": float(np.mean([one.num_wrong == 0 for one in sentences])),
    }
    if scheme == PLAIN:
        return metrics
    kinds = span_counts(sentences).values()
    total = SpanCounts(
        true=sum(k.true for k in kinds), given=sum(k.given for k in kinds), right=sum(k.right for k in kinds)
    )
    return metrics | total.scores()


def span_counts(sentences: Sequence[Tagged]) -> dict[str, SpanCounts]:
    """The counts of each kind of span, in the order of their names."""
    true, given, right = Counter[str](), Counter[str](), Counter[str]()
    for one in sentences:
        are, made = set(spans_of(one.truth)), set(spans_of(one.given))
        true.update(kind for kind, _, _ in are)
        given.update(kind for kind, _, _ in made)
        right.update(kind for kind, _, _ in are & made)
    return {
        kind: SpanCounts(true=true[kind], given=given[kind], right=right[kind])
        for kind in sorted(true | given)
    }


def tagging_report(
    sentences: Sequence[Tagged], words: Sequence[list[str]], scheme: str, num_worst: int
) -> tuple[Drawn, dict[str, Table]]:
    """The confusion matrix of the most frequent tags; tables of tags, of spans, and of the worst sentences.

    Args:
        sentences: All of a split.
        words: Of the sentences in `worst` of these, in its order.
        scheme: Of the tags.
        num_worst: Rows in the table of sentences.
    """
    truth = [tag for one in sentences for tag in one.truth]
    given = [tag for one in sentences for tag in one.given]
    tables = {"tags": tag_table(truth, given)}
    if scheme != PLAIN:
        tables["spans"] = span_table(sentences)
    tables["worst_sentences"] = worst_table(worst(sentences, num_worst), words)
    return matrix(truth, given), tables


def tag_table(truth: list[str], given: list[str]) -> Table:
    """Precision, recall, F1 and number of words of every tag, and what it was taken for most often."""
    true, made = Counter(truth), Counter(given)
    right = Counter(a for a, b in zip(truth, given, strict=True) if a == b)
    taken = Counter((a, b) for a, b in zip(truth, given, strict=True) if a != b)
    often: dict[str, tuple[str, int]] = {}
    for (tag, other), count in taken.most_common():
        often.setdefault(tag, (other, count))
    rows = [
        [tag, *_rounded(SpanCounts(true=true[tag], given=made[tag], right=right[tag])), true[tag],
         *often.get(tag, ("", 0))]
        for tag in sorted(true | made, key=lambda tag: (-true[tag], tag))
    ]  # fmt: skip
    return Table(columns=["tag", "precision", "recall", "f1", "words", "taken_for", "times"], rows=rows)


def span_table(sentences: Sequence[Tagged]) -> Table:
    """Precision, recall, F1 and number of spans of every kind."""
    rows = [[kind, *_rounded(found), found.true] for kind, found in span_counts(sentences).items()]
    return Table(columns=["kind", "precision", "recall", "f1", "spans"], rows=rows)


def _rounded(found: SpanCounts) -> list[float]:
    return [round(score, 4) for score in found.scores().values()]


def worst(sentences: Sequence[Tagged], num_worst: int) -> list[Tagged]:
    """The sentences with errors, the most words with another tag first, then the least likely ones."""
    wrong = [one for one in sentences if one.num_wrong]
    return sorted(wrong, key=lambda one: (-one.num_wrong, -one.loss, one.index))[:num_worst]


def worst_table(sentences: Sequence[Tagged], words: Sequence[list[str]]) -> Table:
    """Each sentence with its errors, as `word/true>given`."""
    rows: list[list[str | int | float]] = []
    for one, those in zip(sentences, words, strict=True):
        errors = [
            f"{word}/{true}>{given}"
            for word, true, given in zip(those, one.truth, one.given, strict=True)
            if true != given
        ]
        rows.append(
            [one.index, one.num_wrong, len(those), round(one.loss, 4), " ".join(errors), " ".join(those)]
        )
    return Table(columns=["sentence", "errors", "words", "loss", "wrong", "text"], rows=rows)


def matrix(truth: list[str], given: list[str]) -> Drawn:
    """The confusion matrix of the most frequent tags; all others are one."""
    names = [tag for tag, _ in Counter(truth).most_common(MOST_SHOWN)]
    numbers = {tag: number for number, tag in enumerate(names)}
    right = float(np.mean([a == b for a, b in zip(truth, given, strict=True)]))
    if len(set(truth) | set(given)) > len(names):
        names = [*names, OTHERS]
    made: list[Any] = [
        np.fromiter((numbers.get(tag, len(numbers)) for tag in tags), np.int64) for tags in (truth, given)
    ]
    return confusion_figure(made[0], made[1], names, f"accuracy {right:.4f} of {len(truth):,} words")
