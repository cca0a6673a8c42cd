"""A message when a run ends, sent to a server of this machine."""

import json
import os
import platform
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from aiexp.errors import ConfigError
from aiexp.rundir.directory import RunDirectory
from aiexp.task.report import Table
from aiexp.tracker.base import RunInfo
from aiexp.tracker.guard import GuardedTracker
from aiexp.tracker.notify import NotifyTracker
from tests.test_run import TINY, aiexp, folder

__all__ = ["folder"]  # a fixture
MakeRun = Callable[..., RunInfo]
VARIABLE = "AIEXP_NOTIFY_URL"
DEFAULTS: dict[str, Any] = {
    "field": "text", "when": ["finished", "failed", "stopped"], "after_seconds": 0.0
}  # fmt: skip


class Chat:
    """What has been posted: kinds and bodies."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, str]] = []
        self.status = 200


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    found = Chat()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            found.posts.append((self.headers["Content-Type"], body))
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{server.server_port}/hook/s3cret")
    yield found
    server.shutdown()
    server.server_close()


def follow(run: RunInfo, exit_code: int, **changes: Any) -> GuardedTracker:
    """A run that evaluates twice and ends."""
    guarded = GuardedTracker(NotifyTracker(**DEFAULTS | changes))
    guarded.prepare(run.directory)
    guarded.check()
    record = guarded.start(run)
    assert record == {"mode": "notify", "host": "127.0.0.1"}
    guarded.log(1, {"train/loss": 3.0, "eval/accuracy": 0.5})
    guarded.log_table(1, "eval/errors", Table(columns=["a"], rows=[[1]]))
    guarded.log(2, {"eval/accuracy": 0.75})
    if exit_code == 0:
        guarded.log(2, {"test/accuracy": 0.625})
    guarded.close(exit_code)
    return guarded


@pytest.mark.parametrize(
    ("exit_code", "said"),
    [(0, ["finished", "test/accuracy 0.6250"]), (6, ["failed", "eval/accuracy 0.7500"]), (143, ["stopped"])],
)
def test_how_a_run_ended_is_said_with_its_metrics(
    chat: Chat, make_run: MakeRun, exit_code: int, said: list[str]
) -> None:
    run = make_run(environment={"hostname": "node7"})
    if exit_code == 6:
        RunDirectory(run.directory).write_status(error="error[diverged]: the loss is not finite\nsecond line")
    follow(run, exit_code)
    [(kind, body)] = chat.posts
    text = json.loads(body)["text"]
    assert kind == "application/json"
    assert text.startswith(f"{run.name} on node7: {said[0]} after ")
    assert ("error[diverged]: the loss is not finite" in text.splitlines()) == (exit_code == 6)
    assert all(word in text for word in said)
    assert "train/loss" not in text
    assert ("eval/" in text) == (exit_code != 0)


def test_plain_text_and_other_fields(chat: Chat, make_run: MakeRun) -> None:
    follow(make_run(), 0, field=None)
    follow(make_run(), 0, field="content")
    (kind, plain), (_, body) = chat.posts
    assert kind.startswith("text/plain")
    assert json.loads(body)["content"].splitlines()[1:] == plain.splitlines()[1:]


@pytest.mark.parametrize("changes", [{"when": ["failed"]}, {"after_seconds": 60.0}])
def test_endings_that_are_not_worth_it_and_short_runs_say_nothing(
    chat: Chat, make_run: MakeRun, changes: dict[str, Any]
) -> None:
    follow(make_run(), 0, **changes)
    assert chat.posts == []


@pytest.mark.parametrize("address", ["", "file:///etc/passwd", "hooks.example.org/x"])
def test_an_address_that_is_none_is_said_before_the_run(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(ConfigError, match=VARIABLE) as refused:
        NotifyTracker(**DEFAULTS)
    assert refused.value.fix.startswith("export AIEXP_NOTIFY_URL=https")


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("tracker", ["notify", "[none,notify]"])
def test_commands_refuse_it_before_data_and_model_are_built(folder: Path, command: str, tracker: str) -> None:
    words = [word for word in TINY if not word.startswith(("tracker", "dataset.train_file"))]
    nowhere = "dataset.train_file=nowhere.csv"  # which would be refused next
    ended = aiexp(
        folder, command, *words, nowhere, f"tracker={tracker}", before=lambda: os.environ.pop(VARIABLE, None)
    )
    assert ended.code == 2, ended.stderr
    [line] = ended.stderr.splitlines()
    assert f"{VARIABLE} is not set" in line
    assert not list((folder / "outputs").glob("*/*"))


def test_a_sweep_refuses_it_before_there_is_one(folder: Path) -> None:
    words = [word for word in TINY if not word.startswith("tracker")]
    ended = aiexp(
        folder, "run", "-m", *words, "tracker=notify", "seed=1,2",
        before=lambda: os.environ.pop(VARIABLE, None),
    )  # fmt: skip
    assert ended.code == 2, ended.stderr
    [line] = ended.stderr.splitlines()
    assert f"{VARIABLE} is not set" in line
    assert not list((folder / "outputs").glob("*/*"))


def test_a_run_that_fails_says_why(folder: Path, chat: Chat) -> None:
    words = [word for word in TINY if not word.startswith("tracker")]
    rate = ["task.optimizer.lr=1e30", "trainer.steps=9", "trainer.epochs=null"]
    ended = aiexp(folder, "run", *words, *rate, "tracker=notify")
    assert ended.code == 6, ended.stderr
    [(_, body)] = chat.posts
    first, why, *_ = json.loads(body)["text"].splitlines()
    assert f" on {platform.node()}: failed after " in first
    assert why.startswith("error[diverged]: ")


def test_a_server_that_refuses_costs_the_run_a_line_without_the_address(
    chat: Chat, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    chat.status = 500
    guarded = follow(make_run(), 0)
    said = capsys.readouterr().err
    assert guarded.failure is not None
    assert "500" in said
    assert "s3cret" not in said + guarded.failure
