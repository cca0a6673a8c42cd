"""The process of a server: who may reach it, its port, and its end, which lets nobody wait in vain."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiexp import cli
from aiexp.command.use.serve import ENVIRONMENT
from aiexp.errors import ConfigError, SecurityError
from aiexp.listening import address_of, bound, checked_host, own_hosts
from aiexp.use.serving.application import make_app
from aiexp.use.serving.metrics import Metrics
from aiexp.use.serving.server import make_server, serve
from tests.forks import Ended, in_fork
from tests.use.serving.stubs import Playing, Stub, make_model, over_network, serving


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command sets is gone after a test."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, os.environ.get(name, value))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7"])
def test_other_machines_are_let_in_only_when_that_is_said(host: str) -> None:
    with pytest.raises(SecurityError, match="no authentication") as raised:
        checked_host(host, allow_remote=False)
    assert raised.value.exit_code == 10
    checked_host(host, allow_remote=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.3.2.1", "::1"])
def test_this_machine_is_let_in(host: str) -> None:
    checked_host(host, allow_remote=False)
    assert host in own_hosts(host)


def test_a_host_that_nobody_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "nowhere", "--host", "no such host"]) == 2
    assert "there is no host 'no such host'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["--host", "0.0.0.0"], 10, "error[security]: 0.0.0.0 can be reached from other machines"),
        (["--port", "65536"], 2, "error[config]: --port is '65536' | fix: a number from 0 to 65535"),
        (["--port", "http"], 2, "error[config]: --port is 'http'"),
        (["--port", "0"], 4, "error[checkpoint]: "),
    ],
)
def test_what_cannot_be_served_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, line: str
) -> None:
    assert cli.main(["serve", str(tmp_path / "nothing"), *words]) == code
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1


def test_a_port_in_use_is_one_line_before_anything_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(bound("127.0.0.1", 0)) as first:
        first.listen()
        port = address_of(first).rpartition(":")[2]
        assert cli.main(["serve", "nowhere", "--port", port]) == 2
    said = capsys.readouterr().err
    assert f"error[config]: 127.0.0.1:{port} cannot be had: Address already in use | --port | fix: an" in said
    assert said.count("\n") == 1


def test_an_address_of_another_machine() -> None:
    with pytest.raises(ConfigError, match="cannot be had"):
        bound("192.0.2.7", 0)


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "prometheus_client"])
def test_a_missing_extra_is_one_line(tmp_path: Path, package: str) -> None:
    def body() -> int:
        for name in [n for n in sys.modules if n.startswith(("aiexp.use.serving", package))]:
            del sys.modules[name]
        sys.modules[package] = None  # type: ignore[assignment]
        return cli.main(["serve", "nowhere"])

    ended = in_fork(body, tmp_path)
    assert ended.code == 5
    assert ended.stderr == (
        f"aiexp: error[hardware]: serving needs {package}, which is not installed | "
        "fix: pip install 'aiexp[serve]'\n"
    )


def served_in_fork(folder: Path, task: Stub, meanwhile: Callable[[str], None]) -> Ended:
    """How a server ends, in a fork, while `meanwhile` is at work in a thread of it."""

    def body() -> int:
        metrics = Metrics()
        with (
            serving(make_model(task, folder), metrics=metrics) as served,
            closing(bound("127.0.0.1", 0)) as s,
        ):
            thread = threading.Thread(target=meanwhile, args=[address_of(s)], daemon=True)
            server = make_server(make_app(served, metrics))
            thread.start()
            code = serve(server, s)
            thread.join(20)
        return code

    return in_fork(body, folder)


def predicted(address: str, text: str) -> int:
    while True:
        try:
            return httpx.post(f"{address}/predict", json={"inputs": [text]}, timeout=30).status_code
        except httpx.ConnectError:
            time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_after_the_requests_under_way(tmp_path: Path, number: int, code: int) -> None:
    task = Stub()

    def meanwhile(address: str) -> None:
        assert predicted(address, "first") == 200
        task.free.clear()
        asked: list[int] = []
        threads = [
            threading.Thread(target=lambda: asked.append(predicted(address, "under way"))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        while 'waiting_requests{run="toy"} 3.0' not in httpx.get(f"{address}/metrics").text:
            time.sleep(0.01)
        os.kill(os.getpid(), number)
        time.sleep(0.3)
        task.free.set()
        for thread in threads:
            thread.join()
        print("answered", asked, flush=True)

    ended = served_in_fork(tmp_path, task, meanwhile)
    assert ended.code == code, ended.stderr
    assert ended.stdout == "answered [200, 200, 200]\n"
    assert ended.stderr == ""


def test_a_client_that_leaves_is_not_computed_for_any_more(tmp_path: Path) -> None:
    task = Playing()
    with over_network(make_model(task, tmp_path)) as address:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{address}/predict", json={"inputs": ["20000"]}, timeout=0.3)
        assert httpx.post(f"{address}/predict", json={"inputs": ["1"]}, timeout=20).status_code == 200
        assert task.steps < 10_000
        assert 'requests_total{run="toy",status="400"} 1.0' in httpx.get(f"{address}/metrics").text


def test_its_own_handlers_of_signals_come_back(tmp_path: Path) -> None:
    def meanwhile(address: str) -> None:
        predicted(address, "a")
        os.kill(os.getpid(), signal.SIGINT)

    def body() -> int:
        before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
        metrics = Metrics()
        with (
            serving(make_model(Stub(), tmp_path), metrics=metrics) as served,
            closing(bound("127.0.0.1", 0)) as s,
        ):
            threading.Thread(target=meanwhile, args=[address_of(s)], daemon=True).start()
            serve(make_server(make_app(served, metrics)), s)
        return int([signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] != before)

    ended = in_fork(body, tmp_path)
    assert ended.code == 0, ended.stderr


def test_several_runs_stand_side_by_side_over_a_real_network(tmp_path: Path) -> None:
    models = [make_model(Stub(tag), tmp_path, tag) for tag in ("one", "two")]
    with over_network(*models) as address, httpx.Client(base_url=address) as client:

        def asked(path: str) -> tuple[int, Any]:
            response = client.post(path, json={"inputs": ["a"]})
            return response.status_code, response.json().get("run")

        assert asked("/predict") == asked("/runs/toy/predict") == (200, "one")
        assert asked("/runs/toy-2/predict") == (200, "two")
        assert asked("/runs/toy-3/predict")[0] == 404
        large = client.post(
            "/predict", content=b"x" * (2**20 + 1), headers={"content-type": "application/json"}
        )
        assert large.status_code == 413
        assert client.post("/predict", json={"inputs": [3]}).status_code == 422
        assert client.get("/health").json() == {"status": "ok", "dead": []}
