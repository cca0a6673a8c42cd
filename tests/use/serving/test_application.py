"""Requests and answers: what is asked for comes back, what is wrong is said, and nothing ends the server."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiexp.listening import own_hosts
from aiexp.use.serving.limits import Limits, limits_for
from aiexp.use.serving.page import asset, headers, page
from tests.use.serving.stubs import (
    JSON,
    Brightness,
    Louder,
    Noise,
    Stub,
    Supported,
    Words,
    ask,
    asking,
    b64,
    make_model,
    png,
)


def shouting() -> Stub:
    return Stub(make_inputs=Louder)


def few_shot() -> Stub:
    return Stub(make_inputs=Supported)


def test_answers_come_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    async def body(client: httpx.AsyncClient) -> httpx.Response:
        return await ask(client, "long text", "a", "bb")

    response = asking(body, make_model(Stub(), tmp_path, "a_run"))
    assert response.status_code == 200
    content = response.json()
    assert (content["run"], content["step"]) == ("a_run", 7)
    assert [one["label"] for one in content["predictions"]] == ["long text", "a", "bb"]


def test_pictures_come_and_go_in_base64(tmp_path: Path) -> None:
    async def body(client: httpx.AsyncClient) -> list[Any]:
        seen = await ask(client, b64(png(250)), b64(png(3)))
        made = await ask(client, 4, 5, to="/runs/toy-2/predict")
        return [seen.json()["predictions"], made.json()["predictions"]]

    seen, made = asking(body, make_model(Brightness(), tmp_path, "a"), make_model(Noise(), tmp_path, "b"))
    assert [one["label"] for one in seen] == ["bright", "dark"]
    assert sum(seen[0]["probabilities"].values()) == pytest.approx(1)
    assert made == [{"seed": s, "pictures": {"sample": b64(png(s))}} for s in (4, 5)]


def test_settings_come_with_a_request(tmp_path: Path) -> None:
    async def body(client: httpx.AsyncClient) -> list[Any]:
        support = {"cat": [b64(png(1))], "dog": [b64(png(2)), b64(png(3))]}
        given = {"inputs": [b64(png(4))], "settings": {"support": support}}
        loud = {"inputs": ["a"], "settings": {"mark": "!"}}
        answers = [await client.post("/predict", json=given)]
        answers += [await client.post("/runs/toy-2/predict", json=one) for one in (loud, {"inputs": ["a"]})]
        return [answer.json()["predictions"][0]["label"] for answer in answers]

    models = make_model(few_shot(), tmp_path, "a"), make_model(shouting(), tmp_path, "b")
    assert asking(body, *models) == ["cat,dog", "a!", "a"]


def test_what_is_no_number_of_json_is_null(tmp_path: Path) -> None:
    async def body(client: httpx.AsyncClient) -> httpx.Response:
        return await ask(client, "nan", "a")

    response = asking(body, make_model(Stub(), tmp_path))
    assert b"NaN" not in response.content
    assert [one["probability"] for one in response.json()["predictions"]] == [None, 1.0]


@pytest.mark.parametrize(
    ("task", "content", "detail"),
    [
        (Stub, b"", "no JSON"),
        (Stub, b"\xff\xfe", "no JSON"),
        (Stub, b"[" * 100_000, "no JSON"),
        (Stub, b'{"inputs": [' + b"9" * 5000 + b"]}", "no JSON"),
        (Stub, b"[]", "no object with one list"),
        (Stub, b"{}", "no object with one list"),
        (Stub, b'{"inputs": "a"}', "no object with one list"),
        (Stub, b'{"inputs": ["a"], "more": 1}', "more than inputs and settings"),
        (Stub, b'{"inputs": ["a"], "settings": 3}', "the settings are no object"),
        (Stub, b'{"inputs": ["a"], "settings": {"mark": "!"}}', "no setting 'mark' here: there are none"),
        (shouting, b'{"inputs": ["a"], "settings": {"path": "/etc"}}', "no setting 'path' here: mark"),
        (shouting, b'{"inputs": ["a"], "settings": {"mark": []}}', r"settings.mark: this is none of !, \?"),
        (few_shot, b'{"inputs": [""], "settings": {"support": "/etc"}}', "support: this is a str"),
        (few_shot, b'{"inputs": [""], "settings": {"support": {"a": ["."]}}}', "support: this is no base64"),
        (few_shot, b'{"inputs": [""], "settings": {"support": {"a": []}}}', "support: this has 0 items"),
        (Noise, b'{"inputs": [' + b"[" * 700 + b"]" * 700 + b"]}", "nested too deep|this is a list"),
        (Stub, b'{"inputs": []}', "there are 0 inputs"),
        (Stub, b'{"inputs": ["a","a","a","a"]}', "there are 4 inputs in the request: send 1 to 3"),
        (Stub, b'{"inputs": ["a", null]}', r"inputs\[1\]: "),
        (Brightness, b'{"inputs": [3]}', r"inputs\[0\]: this is a int, and a file in base64 is wanted"),
        (Brightness, b'{"inputs": ["/etc/passwd"]}', r"inputs\[0\]: this is no base64"),
        (Brightness, b'{"inputs": ["etc/passwd+"]}', r"inputs\[0\]: this is no base64|not a picture"),
        (Brightness, b'{"inputs": [""]}', r"inputs\[0\]: the picture cannot be read"),
        (Noise, b'{"inputs": [-1]}', r"inputs\[0\]: -1 is no seed"),
        (Noise, b'{"inputs": [true]}', r"inputs\[0\]: this is a bool"),
        (Noise, b'{"inputs": [NaN]}', r"inputs\[0\]: this is a float"),
    ],
)  # fmt: skip
def test_a_request_of_the_wrong_kind_is_told_why(
    tmp_path: Path, task: Any, content: bytes, detail: str
) -> None:
    async def body(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/predict", content=content, headers=JSON)

    response = asking(body, make_model(task(), tmp_path), limits=Limits(inputs=3))
    assert response.status_code == 422
    assert re.search(detail, response.json()["detail"])


def test_a_picture_in_bytes_is_never_a_path(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(png(250))

    async def body(client: httpx.AsyncClient) -> httpx.Response:
        return await ask(client, str(path))

    assert asking(body, make_model(Brightness(), tmp_path)).status_code == 422


def test_a_request_that_is_too_large_hears_it(tmp_path: Path) -> None:
    async def pieces() -> Any:
        for _ in range(30):
            yield b"x" * 1000

    async def body(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [
            await client.post("/predict", content=b"x" * 1001, headers=JSON),
            await client.post("/predict", content=pieces(), headers=JSON),  # says no length before
            await ask(client, "a"),
        ]

    large, endless, small = asking(body, make_model(Stub(), tmp_path), limits=Limits(bytes=1000))
    assert (large.status_code, endless.status_code, small.status_code) == (413, 413, 200)
    assert large.json() == {"detail": "the request has more than 1,000 bytes"}


def test_only_json_is_taken_which_no_foreign_page_can_send_unasked(tmp_path: Path) -> None:
    async def body(client: httpx.AsyncClient) -> list[int]:
        kinds = ["text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=utf-8"]
        content = json.dumps({"inputs": ["a"]}).encode()
        sent = [
            await client.post("/predict", content=content, headers={"content-type": kind}) for kind in kinds
        ]
        return [response.status_code for response in sent]

    assert asking(body, make_model(Stub(), tmp_path)) == [415, 415, 415, 200]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("LOCALHOST", 200),
        ("[::1]:8000", 200),
        ("evil.example:8000", 400),
        ("[evil", 400),
    ],
)
def test_requests_addressed_to_another_host_are_sent_away(tmp_path: Path, host: str, status: int) -> None:
    async def body(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get("/runs", headers={"host": host})

    assert asking(body, make_model(Stub(), tmp_path), hosts=own_hosts("127.0.0.1")).status_code == status
    assert asking(body, make_model(Stub(), tmp_path), hosts=None).status_code == 200


def test_a_task_that_fails_is_a_500_and_the_next_is_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def body(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await ask(client, "boom"), await ask(client, "a")]

    failed, good = asking(body, make_model(Stub(), tmp_path))
    assert failed.status_code == 500
    assert failed.json() == {"detail": "the task failed on these inputs: boom"}
    assert good.status_code == 200
    assert 'raise RuntimeError("boom")' in capsys.readouterr().err


def test_an_answer_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    task = Stub()

    async def body(client: httpx.AsyncClient) -> list[httpx.Response]:
        task.free.clear()
        late = await ask(client, "a")
        task.free.set()
        return [late, await ask(client, "b")]

    late, good = asking(body, make_model(task, tmp_path), limits=Limits(seconds=0.2))
    assert (late.status_code, good.status_code) == (504, 200)


def test_a_request_that_does_not_arrive_is_given_up(tmp_path: Path) -> None:
    async def slow() -> Any:
        yield b'{"inputs"'
        await asyncio.sleep(5)

    async def body(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/predict", content=slow(), headers=JSON)

    assert asking(body, make_model(Stub(), tmp_path), limits=Limits(seconds=0.05)).status_code == 408


@pytest.mark.parametrize("limits", [Limits(waiting=2), Limits(waiting_bytes=40)])
def test_more_than_can_wait_are_sent_away_and_places_come_back(tmp_path: Path, limits: Limits) -> None:
    task = Stub()

    async def body(client: httpx.AsyncClient) -> list[int]:
        task.free.clear()
        asked = [asyncio.create_task(ask(client, "a")) for _ in range(5)]
        while sum(one.done() for one in asked) < 3:
            await asyncio.sleep(0.001)
        task.free.set()
        codes = [(await one).status_code for one in asked]
        return [*sorted(codes), (await ask(client, "a")).status_code]

    assert asking(body, make_model(task, tmp_path), limits=limits) == [200, 200, 503, 503, 503, 200]


def test_health_runs_and_metrics(tmp_path: Path) -> None:
    async def body(client: httpx.AsyncClient) -> list[httpx.Response]:
        await ask(client, "a", "b")
        await ask(client)
        return [await client.get(path) for path in ("/health", "/runs", "/metrics", "/nothing", "/predict")]

    health, runs, metrics, nothing, wrong = asking(
        body, make_model(Stub(), tmp_path, "a"), make_model(Brightness(), tmp_path, "b")
    )
    assert health.json() == {"status": "ok", "dead": []}
    first, second = runs.json()["runs"]
    assert (first["name"], first["run"], first["step"], first["input"]) == ("toy", "a", 7, "a text")
    assert (second["name"], second["schema"]["contentEncoding"]) == ("toy-2", "base64")
    assert [(one["engine"], one["explains"]) for one in (first, second)] == [
        ("eager", False),
        ("eager", True),
    ]
    assert str(tmp_path) not in runs.text
    for line in (
        'aiexp_requests_total{run="toy",status="200"} 1.0',
        'aiexp_requests_total{run="toy",status="422"} 1.0',
        'aiexp_inputs_total{run="toy"} 2.0',
        'aiexp_batch_inputs_count{run="toy"} 1.0',
        'aiexp_request_seconds_count{run="toy"} 2.0',
        'aiexp_waiting_requests{run="toy"} 0.0',
        'aiexp_run_step{directory="b",run="toy-2"} 7.0',
    ):
        assert line in metrics.text
    assert (nothing.status_code, wrong.status_code) == (404, 405)


def test_the_description_has_a_schema_for_each_run(tmp_path: Path) -> None:
    async def body(client: httpx.AsyncClient) -> Any:
        return (await client.get("/openapi.json")).json()

    described = asking(body, make_model(Stub(), tmp_path, "a"), make_model(Noise(), tmp_path, "b"))
    paths = described["paths"]
    assert {
        "/predict",
        "/runs/toy/predict",
        "/runs/toy-2/predict",
        "/health",
        "/runs",
        "/metrics",
    } == paths.keys()

    def of(path: str) -> Any:
        return paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"][
            "inputs"
        ]

    assert of("/predict") == {"type": "array", "items": Words.schema, "minItems": 1, "maxItems": 256}
    assert of("/runs/toy-2/predict")["items"]["type"] == "integer"
    assert {"200", "413", "422", "503"} <= paths["/predict"]["post"]["responses"].keys()


def test_files_may_be_larger_than_texts() -> None:
    assert (
        limits_for({"type": "object", "properties": {"a": {"contentEncoding": "base64"}}}).bytes
        > limits_for(Words.schema).bytes
    )


def test_the_pages_are_whole_and_only_their_own_code_runs(tmp_path: Path) -> None:
    async def body(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.get(path) for path in ("/", "/docs", "/redoc")]

    front, docs, redoc = asking(body, make_model(Stub(), tmp_path, "a_run"))
    assert (front.status_code, docs.status_code, redoc.status_code) == (200, 200, 404)
    assert front.text == page()
    assert "@@" not in front.text + docs.text
    assert "POST /runs/toy/predict" in docs.text
    for response in (front, docs):
        assert not re.search(r"https?://|//cdn", response.text.replace("http://www.w3.org", ""))
        assert response.headers["content-security-policy"] == headers()["content-security-policy"]
    assert "'unsafe" not in headers()["content-security-policy"]
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert word not in asset("page.js") + asset("why.js")
