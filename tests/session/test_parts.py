"""What a run says of its data before it begins: how much, of what, and whether that is all of it."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aiexp.dataset.few_shot.sinusoids import Sinusoids
from aiexp.session.parts import described_sizes
from tests.command.own_runs import aiexp
from tests.dataset.built_in import values_of
from tests.toys import Points

SMALL = ["task=vector_classification", "trainer.epochs=1", "tracker=none", "hardware=cpu"]


def parts(dataset: Any) -> Any:
    return SimpleNamespace(dataset=dataset, sizes={s: dataset.num_examples(s) for s in ("train", "eval")})


def test_sizes_have_the_unit_of_the_data_set() -> None:
    assert described_sizes(parts(Points()), None) == "40 train, 10 eval"
    waves = Sinusoids(**(values_of("sinusoids") | {"batch_size": 2, "epoch_batches": 3}))
    assert described_sizes(parts(waves), None) == "6 train tasks, 600 eval tasks"
    stream: Any = SimpleNamespace(dataset=Points(), sizes={"train": None, "eval": 3})
    assert described_sizes(stream, None) == "a stream to train, 3 eval"


def test_a_limit_is_said_where_it_cuts() -> None:
    assert described_sizes(parts(Points()), 40).startswith("40 train, 10 eval (dataset.limit=40 cuts")
    assert described_sizes(parts(Points()), 41) == "40 train, 10 eval"


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_run_on_a_part_of_its_data_says_so(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words, is_cut in (["dataset.limit=20"], True), (["dataset.limit=null"], False):
        ended = aiexp(command, *SMALL, "dataset=wine", *words)
        assert ended.code == 0, ended.stderr
        said = re.search(r"^dataset .*$", ended.stdout, re.MULTILINE)
        assert said is not None
        assert ("20 train, 18 eval" in said[0], "(dataset.limit=20 cuts" in said[0]) == (is_cut, is_cut)
