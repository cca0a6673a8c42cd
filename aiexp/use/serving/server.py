"""The process of a server: its signals, its end."""

import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

GRACE_SECONDS = 60  # for requests under way; a request's own limits are shorter
MOST_CONNECTIONS = 2000


def make_server(app: FastAPI) -> uvicorn.Server:
    """A server that says nothing by itself but of faults."""
    config = uvicorn.Config(
        app, log_config=None, log_level="warning", access_log=False, lifespan="off", ws="none",
        server_header=False, limit_concurrency=MOST_CONNECTIONS, timeout_graceful_shutdown=GRACE_SECONDS,
    )  # fmt: skip
    return uvicorn.Server(config)


def serve(server: uvicorn.Server, made: socket.socket) -> int:
    """Serves until a signal; requests under way are answered. Returns 130 after Ctrl-C, 143 after another."""
    with heard_by(server) as signals:
        server.run(sockets=[made])
    return 130 if signals[:1] == [signal.SIGINT] else 143


@contextmanager
def heard_by(server: uvicorn.Server) -> Generator[list[int]]:
    """A body in which signals end the server; gives those that came.

    While it serves uvicorn has handlers of its own, and raises what it heard again when it has ended.
    """
    signals: list[int] = []

    def hear(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        server.should_exit = True

    before: dict[int, Any] = {n: signal.signal(n, hear) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
