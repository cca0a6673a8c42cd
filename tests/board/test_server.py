"""The board's server: who may ask, what is refused, how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiexp import cli
from aiexp.rundir.record import find_runs
from tests.board.made import Working, served
from tests.compare.page_runs import make_records, png

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("board")
    for record in make_records(folder):
        (record.path / "figures/test").mkdir(parents=True)
        (record.path / "figures/test/matrix_step-00000020.png").write_bytes(png(8, 8))
        (record.path / "figures/test/classes_step-00000020.csv").write_text("class,f1\na,0.5\nb,0.25\n")
        (record.path / "run.log").write_text("said\n")
    with served(folder) as (address, _):
        yield address, folder


def content_of(address: str) -> dict[str, Any]:
    page = httpx.get(address).text
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_page_asks_its_own_server_and_nobody_else(board: tuple[str, Path]) -> None:
    answer = httpx.get(board[0])
    assert answer.status_code == 200
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', answer.text)
    assert policy
    assert "connect-src 'self'" in policy[1]
    assert "img-src 'self' data: blob:" in policy[1]
    assert answer.headers["x-frame-options"] == "DENY"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "", "127.0.0.1.evil.example", "[::2]:80"]
)
def test_a_request_for_another_host_is_refused(board: tuple[str, Path], host: str) -> None:
    for answer in (
        httpx.get(board[0], headers={"host": host}),
        httpx.post(f"{board[0]}/notes", headers={"host": host}, json={}),
    ):
        assert answer.status_code == 403
        assert "another host" in answer.json()["error"]


@pytest.mark.parametrize("host", ["localhost:1", "LOCALHOST", "127.0.0.1", "[::1]:8700"])
def test_names_of_this_machine_are_answered(board: tuple[str, Path], host: str) -> None:
    assert httpx.get(f"{board[0]}/content", headers={"host": host}).status_code == 200


def test_parts_of_a_run(board: tuple[str, Path]) -> None:
    def part(name: str) -> Any:
        return httpx.get(f"{board[0]}/part", params={"run": 0, "part": name}).json()

    assert part("log") == "said\n"
    assert part("tables") == [
        {"name": "test/classes", "step": 20, "columns": ["class", "f1"], "numRows": 2,
         "rows": [["a", "0.5"], ["b", "0.25"]]}
    ]  # fmt: skip
    assert part("config").startswith("seed: 0")
    assert part("diff") == ""
    picture = httpx.get(f"{board[0]}/figure", params={"run": 0, "name": "test/matrix", "step": 20})
    assert (picture.content, picture.headers["content-type"]) == (png(8, 8), "image/png")


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("/nothing", 404),
        ("/part?run=99&part=log", 404),
        ("/part?run=x&part=log", 404),
        ("/part?run=-1&part=log", 404),
        ("/part?run=0&part=../../etc/passwd", 404),
        ("/part?part=log", 404),
        ("/figure?run=0&name=../../status&step=20", 404),
        ("/figure?run=0&name=test/matrix&step=99999999999999999999999", 404),
        ("/figure?run=0&name=test/classes&step=20", 404),  # a table is no picture
        ("/changes?since=x&curve=&curve=1&curve=:&curve=9:no", 200),
        ("/changes?since=999999999", 200),
        ("/changes?" + "&".join(f"curve=0:m{i}" for i in range(500)), 400),
    ],
)
def test_odd_questions(board: tuple[str, Path], address: str, code: int) -> None:
    assert httpx.get(board[0] + address).status_code == code


def post(board: tuple[str, Path], body: Any, **headers: str) -> httpx.Response:
    token = {"x-aiexp-token": content_of(board[0])["live"]["token"]}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{board[0]}/notes", content=data, headers={**token, **headers})


def test_notes_are_kept_in_the_run_and_its_results_verify(board: tuple[str, Path]) -> None:
    said = {"title": " a  title ", "note": "so\nit is ", "tags": ["two words", "b", "b"], "hidden": True}
    assert post(board, {"run": 1, **said}).json() == {
        "notes": ["a title", "so\nit is", ["two-words", "b"], True]
    }
    (found,) = [r for r in find_runs([board[1]], is_sealed=True) if r.notes.title]
    assert (found.notes.tags, found.notes.hidden, found.state) == (("two-words", "b"), True, "finished")
    assert post(board, {"run": 1}).status_code == 200  # what is left out is taken back
    assert [r for r in find_runs([board[1]]) if r.notes.title or r.notes.hidden] == []


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        ({"run": 0}, {"x-aiexp-token": "wrong"}, 403),
        ({"run": 0}, {"x-aiexp-token": ""}, 403),
        ({"run": 0}, {"origin": "https://evil.example"}, 403),
        ({"run": 0}, {"origin": "null"}, 403),
        ({"run": 99}, {}, 404),
        ({"run": 0, "title": 5}, {}, 400),
        ({"run": 0, "title": "x" * 201}, {}, 400),
        ({"run": 0, "tags": ["a,b"]}, {}, 400),
        ({"run": 0, "tags": "a"}, {}, 400),
        ({"run": 0, "hidden": 1}, {}, 400),
        ([], {}, 400),
        (b"{", {}, 400),
        (b"\xff", {}, 400),
        (b"[" * 100_000, {}, 400),
        (b" " * 300_000, {}, 413),
    ],
)
def test_what_is_no_note_of_this_page_is_not_written(
    board: tuple[str, Path], body: Any, headers: dict[str, str], code: int
) -> None:
    before = {path: path.stat().st_mtime_ns for path in board[1].rglob("notes.json")}
    assert post(board, body, **headers).status_code == code
    assert {path: path.stat().st_mtime_ns for path in board[1].rglob("notes.json")} == before


def test_other_methods_and_broken_requests_do_not_end_it(board: tuple[str, Path]) -> None:
    import socket

    assert httpx.put(f"{board[0]}/notes").status_code == 501
    port = int(board[0].rpartition(":")[2])
    for text in (
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /notes HTTP/1.1\r\n\r\n",
        b"",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(text)
    assert httpx.get(f"{board[0]}/content").status_code == 200


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiexp.board import answer
    from aiexp.errors import StorageError

    def refuse(*_: Any) -> None:
        raise StorageError("cannot write while writing notes: Read-only file system", where="x")

    make_records(tmp_path)
    monkeypatch.setattr(answer, "write_notes", refuse)
    with served(tmp_path) as (address, _):
        found = post((address, tmp_path), {"run": 0})
    assert found.status_code == 500
    assert "Read-only file system" in found.json()["error"]


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["--host", "0.0.0.0"], 10, "error[security]: 0.0.0.0 can be reached from other machines"),
        (["--port", "http"], 2, "error[config]: --port is 'http'"),
        (["nothing"], 3, "no such folder: nothing"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: list[str], code: int, line: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    assert cli.main(["board", *words]) == code
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_at_once(tmp_path: Path, number: int, code: int) -> None:
    Working(tmp_path, "one").go_on()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    words = [sys.executable, "-m", "aiexp", "board", str(tmp_path), "--port", "0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        address = line.split()[2]
        with httpx.Client() as client:  # a connection that is kept open must not hold it
            assert client.get(f"{address}/content").status_code == 200
            begun = time.monotonic()
            process.send_signal(number)
            assert process.wait(10) == code
            assert time.monotonic() - begun < 3
        assert process.stderr.read() == ""
    assert re.fullmatch(r"aiexp: board +http://127.0.0.1:\d+ \(Ctrl-C ends it\)\n", line)


def test_the_command_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'wandb', 'plotly', 'fastapi', 'uvicorn', 'PIL'} & set(sys.modules)"
    program = f"import sys, aiexp.board.server, aiexp.command.comparing.board; sys.exit(str({heavy} or ''))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == ""
