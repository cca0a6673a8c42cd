"""Why a run answers so: asked over HTTP, one after the other, beside the answers, by a second task."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from aiexp.errors import ConfigError
from aiexp.runs.loaded import LoadedRun, load_run
from aiexp.use.serving.batcher import Model
from aiexp.use.serving.limits import Limits
from aiexp.use.serving.payload import EXPLANATION, METHOD, WORD
from aiexp.use.serving.question import Question
from aiexp.use.serving.reasons import Reasons, again
from aiexp.use.serving.refusal import Refusal
from tests.forks import forked
from tests.use.serving.stubs import Brightness, Stub, ask, asking, b64, make_model, png, second


class Held(Brightness):
    """Explains only when it may, and counts second tasks and what they are asked."""

    def __init__(self) -> None:
        super().__init__()
        self.explained: list[Stub] = []
        self.calls = 0

    def again(self) -> Stub:
        other = Brightness()
        other.free = self.free
        self.explained.append(other)

        def logits(batch: Any) -> Any:
            self.calls += 1
            assert self.free.wait(20)
            other.layer(torch.zeros(1, 1))  # where it is looked whether anyone waits
            return Brightness.logits(other, batch)

        other.logits = logits  # type: ignore[method-assign]
        return other


@forked
def test_a_picture_is_explained_with_its_heat(tmp_path: Path) -> None:
    async def body(client: httpx.AsyncClient) -> list[httpx.Response]:
        sent = [await ask(client, b64(png(250)), to=to) for to in ("/explain", "/runs/toy/explain")]
        return [
            *sent,
            await client.get("/openapi.json"),
            await client.get("/metrics"),
            await client.get("/docs"),
        ]

    first, named, described, metrics, docs = asking(body, make_model(Brightness(), tmp_path, "a_run"))
    assert first.status_code == 200
    assert first.content == named.content
    content = first.json()
    assert EXPLANATION["required"] == list(content)
    assert (content["run"], content["step"], content["explained"]) == ("a_run", 7, "bright")
    assert [one["method"] for one in content["methods"]] == ["integrated_gradients", "saliency"]
    for one in content["methods"]:
        assert one.keys() <= METHOD["properties"].keys()
        assert [value[:4] for value in one["pictures"].values()] == ["iVBO", "iVBO"]  # of a PNG
    answer = described.json()["paths"]["/explain"]["post"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"] == EXPLANATION
    assert 'aiexp_explanations_total{run="toy",status="200"} 2.0' in metrics.text
    assert "POST /runs/toy/explain" in docs.text


@forked
def test_a_text_is_explained_by_its_words_and_shares_its_weights(texts: Path) -> None:
    run = load_run(texts)
    copy = again(run)
    weights = [{p.data_ptr() for p in one.task.parameters()} for one in (run, copy)]
    assert weights[0] == weights[1]
    assert copy.task is not run.task

    async def body(client: httpx.AsyncClient) -> httpx.Response:
        return await ask(client, "a great film, fine", to="/explain")

    content = asking(body, Model(run, run.task.inputs())).json()
    gradients, attention = content["methods"]
    assert "".join(word["before"] + word["text"] for word in gradients["words"]) == "a great film, fine"
    assert all(list(word) == WORD["required"] for word in gradients["words"] + attention["words"])
    assert gradients["check"].startswith("completeness error")
    assert {one["name"] for one in gradients["strongest"]} <= {word["text"] for word in gradients["words"]}


@pytest.mark.parametrize(
    ("inputs", "status", "detail"),
    [
        ([], 422, "there are 0 inputs in the request: send 1 to 1"),
        (["", ""], 422, "there are 2 inputs"),
        ([3], 422, "inputs[0]: this is a int"),
        ([b64(b"no picture")], 422, "inputs[0]: the picture cannot be read"),
        ([b64(png(1)) * 100], 413, "more than 1,000 bytes"),
    ],
)
def test_what_cannot_be_explained_is_told_why(
    tmp_path: Path, inputs: list[Any], status: int, detail: str
) -> None:
    async def body(client: httpx.AsyncClient) -> httpx.Response:
        return await ask(client, *inputs, to="/explain")

    response = asking(body, make_model(Brightness(), tmp_path), limits=Limits(bytes=1000))
    assert response.status_code == status
    assert detail in response.json()["detail"]


def test_a_run_that_explains_nothing_says_so_and_has_no_address_in_the_description(tmp_path: Path) -> None:
    async def body(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await ask(client, "a", to="/explain"), await client.get("/openapi.json")]

    response, described = asking(body, make_model(Stub(), tmp_path))
    assert response.status_code == 501
    assert response.json()["detail"].startswith("Stub is no classifier, and has no network")
    assert "/explain" not in described.json()["paths"]


def test_without_captum_nothing_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)

    async def body(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await ask(client, b64(png(1)), to="/explain"), await client.get("/runs")]

    response, runs = asking(body, make_model(Brightness(), tmp_path))
    assert response.status_code == 501
    assert response.json() == {
        "detail": "explanations need captum, which is not installed: pip install 'aiexp[explain]'"
    }
    assert runs.json()["runs"][0]["explains"] is False


@forked
def test_predictions_go_on_and_more_than_can_wait_are_sent_away(tmp_path: Path) -> None:
    task = Held()

    async def body(client: httpx.AsyncClient) -> list[int]:
        task.free.clear()
        asked = [asyncio.create_task(ask(client, b64(png(250)), to="/explain")) for _ in range(5)]
        while sum(one.done() for one in asked) < 3:
            await asyncio.sleep(0.001)
        codes = [(await ask(client, b64(png(3)))).status_code]
        task.free.set()
        codes += sorted([(await one).status_code for one in asked])
        return [*codes, (await ask(client, b64(png(3)), to="/explain")).status_code]

    task.predict = lambda batch: Brightness.predict(task, batch)  # type: ignore[method-assign]
    found = asking(body, make_model(task, tmp_path), limits=Limits(explanations=2))
    assert found == [200, 200, 200, 503, 503, 503, 200]
    assert len(task.explained) == 1  # one second task for all


@forked
def test_who_has_left_is_not_explained_to(tmp_path: Path) -> None:
    run = make_model(task := Held(), tmp_path).run
    reasons = Reasons(3, second)
    question = Question([png(250)])

    async def main() -> list[int]:
        task.free.clear()
        left = [asyncio.create_task(reasons.ask("toy", run, question)) for _ in range(2)]
        while not task.calls:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.15)  # so long nobody looks
        for one in left:
            one.cancel()
        await asyncio.sleep(0)
        task.free.set()
        counts = [task.calls]
        for _ in range(2):
            await reasons.ask("toy", run, question)
            counts.append(task.calls)
        return counts

    begun, first, last = asyncio.run(main())
    assert begun == 1  # of two explanations, both given up
    assert last - first == first - begun > 1
    reasons.close()


@forked
def test_the_second_task_is_of_the_run_that_answers(tmp_path: Path) -> None:
    made: list[LoadedRun] = []

    def load(run: LoadedRun) -> LoadedRun:
        made.append(run)
        return second(run)

    reasons, question = Reasons(3, load), Question([png(250)])
    runs = [make_model(Brightness(), tmp_path, name).run for name in ("old", "new")]

    async def main() -> list[LoadedRun]:
        return [(await reasons.ask("toy", run, question)).run for run in (runs[0], runs[0], runs[1])]

    assert asyncio.run(main()) == [runs[0], runs[0], runs[1]]
    assert made == runs
    reasons.close()


def test_a_network_that_has_nothing_to_explain_by_and_wrong_settings_are_refusals(tmp_path: Path) -> None:
    class Odd(Brightness):
        def again(self) -> Stub:
            raise ConfigError("its integers have no gradients", fix="floats")

    reasons = Reasons(3, second)

    def refusal(task: Stub, question: Question) -> tuple[int, str]:
        with pytest.raises(Refusal) as raised:
            asyncio.run(reasons.ask(type(task).__name__, make_model(task, tmp_path).run, question))
        return raised.value.status, raised.value.detail

    odd = "there is no explanation: its integers have no gradients (floats)"
    assert refusal(Odd(), Question([png(1)])) == (501, odd)
    wrong = refusal(Brightness(), Question([png(1)], {"mark": 1}, "mark"))
    assert wrong == (422, "settings: for a picture there is no --mark")
    reasons.close()
