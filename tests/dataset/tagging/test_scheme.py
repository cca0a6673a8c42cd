"""Schemes of tags: found, made one, read as spans as seqeval reads them."""

import itertools
import random

import pytest
from seqeval.metrics import f1_score, precision_score, recall_score  # pyright: ignore[reportMissingTypeStubs]
from seqeval.metrics.sequence_labeling import get_entities  # pyright: ignore[reportMissingTypeStubs]

from aiexp.dataset.tagging.scheme import SchemeFinder, is_valid, num_broken, spans_of, unified
from aiexp.task.tagging.report import Tagged, tagging_metrics

# The same spans, persons of two words and of one, two places side by side.
WRITTEN = {
    "iob1": ["I-PER I-PER O I-PER", "I-LOC B-LOC O"],
    "iob2": ["B-PER I-PER O B-PER", "B-LOC B-LOC O"],
    "iobes": ["B-PER E-PER O S-PER", "S-LOC S-LOC O"],
    "bilou": ["B-PER L-PER O U-PER", "U-LOC U-LOC O"],
}
SPANS = [[("PER", 0, 2), ("PER", 3, 4)], [("LOC", 0, 1), ("LOC", 1, 2)]]


def found(*sentences: str) -> str:
    finder = SchemeFinder()
    for sentence in sentences:
        finder.add(sentence.split())
    return finder.scheme()


@pytest.mark.parametrize("scheme", WRITTEN)
def test_a_scheme_is_found_and_says_the_same_spans(scheme: str) -> None:
    assert found(*WRITTEN[scheme]) == scheme
    made = [unified(sentence.split(), scheme) for sentence in WRITTEN[scheme]]
    assert [spans_of(tags) for tags in made] == SPANS
    as_written = {"iob1": "iob2", "bilou": "iobes"}.get(scheme, scheme)
    assert made == [sentence.split() for sentence in WRITTEN[as_written]]
    assert [num_broken(tags, scheme) for tags in made] == [0, 0]


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        (["NN VBZ ."], "plain"),
        (["O O O"], "plain"),
        (["B-NP I-NP nn"], "plain"),
        (["S-V E-X O"], "plain"),
        (["B-X L-X O", "S-X"], "plain"),
        (["I-X O B-X"], "iob2"),  # broken in either: the B would not be in IOB1
        (["B-X I-X", "B-X"], "iob2"),
    ],
)
def test_what_is_no_scheme_or_a_broken_one(sentences: list[str], scheme: str) -> None:
    assert found(*sentences) == scheme


def test_what_may_follow_what() -> None:
    assert not is_valid(None, "I-X", "iob2")
    assert not is_valid("B-X", "I-Y", "iob2")
    assert is_valid("B-X", None, "iob2")
    assert not is_valid("B-X", None, "iobes")
    assert not is_valid("B-X", "O", "iobes")
    assert not is_valid("E-X", "I-X", "iobes")
    assert is_valid("S-X", "B-X", "iobes")
    assert num_broken(["O", "I-X", "I-X", "B-Y", "I-X"], "iob2") == 2


def test_spans_are_those_of_seqeval_broken_tags_among_them() -> None:
    for tags in itertools.product(["O", "B-X", "I-X", "B-Y", "I-Y", "E-X", "S-X"], repeat=4):
        wanted = [(kind, first, last + 1) for kind, first, last in get_entities(list(tags))]
        assert spans_of(tags) == wanted, tags


def test_precision_recall_and_f1_are_those_of_seqeval() -> None:
    draw = random.Random(0)
    kinds = ["O", "O", "B-X", "I-X", "B-Y", "I-Y"]
    truth = [[draw.choice(kinds) for _ in range(9)] for _ in range(40)]
    given = [[tag if draw.random() < 0.7 else draw.choice(kinds) for tag in tags] for tags in truth]
    sentences = [
        Tagged(index=i, loss=0.0, truth=a, given=b) for i, (a, b) in enumerate(zip(truth, given, strict=True))
    ]
    made = tagging_metrics(sentences, "iob2")
    wanted = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    assert {name: made[name] for name in wanted} == pytest.approx(
        {name: score(truth, given) for name, score in wanted.items()}
    )
    right = sum(a == b for x, y in zip(truth, given, strict=True) for a, b in zip(x, y, strict=True))
    assert made["accuracy"] == pytest.approx(right / 360)
    assert "f1" not in tagging_metrics(sentences, "plain")
