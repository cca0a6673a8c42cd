"""The process of the board: its socket, its requests, its end.

Python's own server, a thread a connection: the base installation has no web framework, and the few pages that
look at a board ask every two seconds.
"""

import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, final

from aiexp.board.answer import MOST_BODY, Answer, Answers, refused
from aiexp.board.watch import Question, Watch
from aiexp.listening import address_of, bound, checked_host, own_hosts

IDLE_SECONDS = 60  # after which a silent connection is closed
MOST_HEADERS = 100

Say = Callable[[str], object]


@final
class BoardServer(ThreadingHTTPServer):
    """Answers at a socket that is bound already.

    Args:
        made: The socket.
        answers: What there is to be said.
        say: Hears of faults.
    """

    daemon_threads = True  # none of them keeps the process from ending
    request_queue_size = 64

    def __init__(self, made: socket.socket, answers: Answers, say: Say) -> None:
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket, self.answers, self.say = made, answers, say
        self.server_address = made.getsockname()
        self.server_activate()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is nobody's fault; anything else is a bug, which is said."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.say(f"a request failed: {type(error).__name__}: {error}")


@final
class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: BoardServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        """Answers a question."""
        self._answer(lambda: self.server.answers.get(self.path, self._headers()))

    def do_POST(self) -> None:
        """Answers something to be written down."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or self.headers.get("Transfer-Encoding"):
            self._refuse_body(411, "say how long it is: Content-Length")
        elif int(length) > MOST_BODY:
            self._refuse_body(413, f"{MOST_BODY} bytes are the most that are read")
        else:
            body = self.rfile.read(int(length))
            self._answer(lambda: self.server.answers.post(self.path, self._headers(), body))

    def _refuse_body(self, status: int, why: str) -> None:
        """Refuses what is not read; the rest of the connection would be taken for a request."""
        self.close_connection = True
        self._send(refused(status, why))

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _answer(self, make: Callable[[], Answer]) -> None:
        try:
            answer = make()
        except Exception as error:  # of one request; the board goes on
            self.server.say(f"a request failed: {self.path[:80]}: {type(error).__name__}: {error}")
            answer = refused(500, f"the board failed: {type(error).__name__}")
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def version_string(self) -> str:
        """Which program answers, to strangers too: no more than its name."""
        return "aiexp"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line a request would be a line every two seconds."""


class _Ended(BaseException):
    """SIGTERM has come."""


def show_board(
    paths: Sequence[Path], question: Question, *, host: str, port: int, allow_remote: bool, say: Say
) -> int:
    """Serves the board until a signal ends it; returns 130 after Ctrl-C, 143 after SIGTERM.

    Args:
        paths: Runs, sweeps or folders above them.
        question: How they are compared.
        host: Where it listens.
        port: Where it listens; 0 for any that is free.
        allow_remote: Whether other machines may look, and write notes.
        say: Hears what there is to know.

    Raises:
        SecurityError: other machines could look, and may not.
        ConfigError: the port cannot be had; no such key or metric.
    """
    checked_host(host, allow_remote=allow_remote)
    with closing(bound(host, port)) as made:
        watch = Watch(paths, question)
        answers = Answers(watch, None if allow_remote else own_hosts(host))
        server = BoardServer(made, answers, say)
        say(f"board     {address_of(made)} (Ctrl-C ends it)")
        return _serve(server)


def _serve(server: BoardServer) -> int:
    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise _Ended

    before = signal.signal(signal.SIGTERM, end)
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        return 130
    except _Ended:
        return 143
    finally:
        signal.signal(signal.SIGTERM, before)
        server.server_close()
    return 0
