"""Requests that are made up from the description, by schemathesis: none ends in a 500, each is told why.

The thousand of each kind: `scripts/test -m slow tests/use/serving/test_fuzz.py`.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
import requests
import schemathesis
import torch
from schemathesis import GenerationMode

from aiexp.runs.loaded import load_run
from aiexp.use.serving.batcher import Model
from aiexp.use.serving.payload import PROBLEMS
from tests.use.serving.stubs import (
    Brightness,
    Louder,
    Noise,
    Stub,
    Supported,
    apart,
    b64,
    make_model,
    png,
)
from tests.use.trained_runs import pictures_run, texts_run

Statuses = Counter[int]


@contextmanager
def exact_numbers() -> Iterator[None]:
    """Hypothesis refuses to work in a thread that flushes tiny numbers to 0, as those of training do."""
    is_flushing = sys.float_info.min / 2 == 0
    torch.set_flush_denormal(False)
    yield
    torch.set_flush_denormal(is_flushing)


def settings(count: int) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=count, database=None, deadline=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip


def fuzzed(address: str, mode: GenerationMode, count: int) -> dict[str, Statuses]:
    """How requests by the description were answered, for each address that takes some."""
    operations = [
        result.ok()
        for result in schemathesis.openapi.from_url(f"{address}/openapi.json").get_all_operations()
    ]
    return {one.path: asked(one, mode, count) for one in operations if one.method.lower() == "post"}


def asked(operation: Any, mode: GenerationMode, count: int) -> Statuses:
    """How requests to one address were answered."""
    statuses = Statuses()
    with requests.Session() as session, exact_numbers():

        @settings(count)
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            response = case.call(session=session)
            count_answer(statuses, response.status_code, response.content, case.as_curl_command)

        ask()
    return statuses


def count_answer(statuses: Statuses, status: int, content: bytes, request: Any) -> None:
    statuses[status] += 1
    assert status == 200 or (status in PROBLEMS and status < 500), (status, content, request())
    if status != 200:
        assert json.loads(content)["detail"], request()


def mutated(address: str, good: Sequence[Any], count: int) -> Statuses:
    """How bodies were answered that are a good one with pieces of it replaced, or nothing of the kind."""
    statuses = Statuses()
    junk = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    )
    whole = json.dumps({"inputs": list(good)}).encode()
    cut = st.tuples(st.integers(0, len(whole)), st.binary(max_size=6), st.integers(0, 12)).map(
        lambda at: whole[: at[0]] + at[1] + whole[at[0] + at[2] :]
    )
    replaced = st.tuples(junk, st.sampled_from(["inputs", "settings", "Inputs", ""])).map(
        lambda pair: json.dumps({"inputs": list(good), pair[1]: pair[0]}).encode()
    )
    inside = junk.map(lambda value: json.dumps({"inputs": [*good, value]}).encode())
    with requests.Session() as session, exact_numbers():

        @settings(count)
        @hypothesis.given(body=st.one_of(cut, replaced, inside, st.binary(max_size=200)))
        def ask(body: bytes) -> None:
            headers = {"content-type": "application/json"}
            response = session.post(f"{address}/predict", data=body, headers=headers)
            count_answer(statuses, response.status_code, response.content, lambda: body)

        ask()
    return statuses


def test_made_up_requests_end_in_no_500(tmp_path: Path) -> None:
    kinds = [Stub(), Stub(make_inputs=Louder), Stub(make_inputs=Supported), Brightness(), Noise()]
    models = [make_model(task, tmp_path, str(number)) for number, task in enumerate(kinds)]
    with apart(*models) as address:
        for mode in (GenerationMode.NEGATIVE, GenerationMode.POSITIVE):
            found = fuzzed(address, mode, 8)
            assert len(found) == 7  # one of them explains
            assert sum(counts.total() for counts in found.values()) >= 40
            assert any(counts[200] for counts in found.values()) or mode is GenerationMode.NEGATIVE
        assert mutated(address, ["a"], 30)[422]


@pytest.mark.slow
def test_a_thousand_malformed_requests_to_trained_tasks_end_in_no_500(tmp_path: Path) -> None:
    for name, train, good in (("pictures", pictures_run, b64(png(3, 20))), ("texts", texts_run, "a film")):
        (tmp_path / name).mkdir()
        run = load_run(train(tmp_path / name))
        with apart(Model(run, run.task.inputs())) as address:
            found = fuzzed(address, GenerationMode.NEGATIVE, 600)
            found |= {"mutated": mutated(address, [good, good], 1000)}
        print(name, {path: dict(counts) for path, counts in found.items()})
        assert sum(counts.total() for counts in found.values()) >= 2000
