"""What the Hugging Face hub answers to an upload, on this machine: it keeps what arrives."""

import base64
import hashlib
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_of_a_test"


@dataclass
class Hub:
    """What arrived.

    Args:
        address: Of the server.
        refuses: Path and status of what is refused.
    """

    address: str = ""
    refuses: dict[str, int] = field(default_factory=lambda: {})
    created: list[dict[str, Any]] = field(default_factory=lambda: [])
    objects: dict[str, bytes] = field(default_factory=lambda: {})  # of large files, by their sha256
    files: dict[str, bytes] = field(default_factory=lambda: {})  # after the commit
    summary: str = ""
    paths: list[str] = field(default_factory=lambda: [])
    tokens: set[str | None] = field(default_factory=lambda: set())

    def answer(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        """To one request."""
        if method == "GET":
            return {}  # whatever else the client likes to know
        if method == "PUT":
            self.objects[path.rpartition("/")[2]] = body
            return {}
        if path.endswith("/commit/main"):
            return self.commit([json.loads(line) for line in body.splitlines()])
        asked: dict[str, Any] = json.loads(body)
        if path == "/api/repos/create":
            self.created.append(asked)
            return {"url": f"{self.address}/{asked['organization']}/{asked['name']}"}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if path.endswith("/preupload/main"):
            modes = {True: "lfs", False: "regular"}
            files = [
                {"path": f["path"], "shouldIgnore": False, "uploadMode": modes[is_large(f["path"])]}
                for f in asked["files"]
            ]
            return {"files": files}
        assert path.endswith("/info/lfs/objects/batch"), path
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.address}/large/{one['oid']}"}}}
            for one in asked["objects"]
        ]
        return {"transfer": "basic", "objects": objects}

    def commit(self, lines: list[dict[str, Any]]) -> dict[str, Any]:
        """Takes the files of a commit, the large ones by what was uploaded before."""
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.summary = value["summary"]
            elif line["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert line["key"] == "lfsFile"
                content = self.objects[value["oid"]]
                assert hashlib.sha256(content).hexdigest() == value["oid"]
                assert len(content) == value["size"]
                self.files[value["path"]] = content
        return {
            "commitUrl": f"{self.address}/me/reviews/commit/{'1' * 40}",
            "commitOid": "1" * 40,
            "success": True,
        }


def is_large(path: str) -> bool:
    """What the hub keeps apart from git."""
    return path.endswith((".safetensors", ".onnx", ".pt2"))


class Handler(BaseHTTPRequestHandler):
    """Hands requests to a hub."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_POST(self) -> None:
        self.reply(self.body())

    def do_PUT(self) -> None:
        self.reply(self.body())

    def do_GET(self) -> None:
        self.reply(b"")

    def body(self) -> bytes:
        """In pieces where its length is not said beforehand."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts: list[bytes] = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def reply(self, body: bytes) -> None:
        self.hub.paths.append(f"{self.command} {self.path}")
        if self.command == "POST":
            self.hub.tokens.add(self.headers.get("Authorization"))
        status = self.hub.refuses.get(self.path, 200)
        content = b'{"error": "no"}' if status != 200 else json.dumps(
            self.hub.answer(self.command, self.path, body)).encode()  # fmt: skip
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def loopback_hub() -> Generator[Hub]:
    """A body in which it listens."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
