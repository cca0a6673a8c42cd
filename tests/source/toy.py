"""A small catalog entry, archives that hold it, and a web server that plays a package index."""

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiexp.source.catalog.entry import Archive, Entry, File, Torchvision, Tree

CONTENT = {"words.txt": b"one\ntwo\n" * 500, "deep/numbers.bin": bytes(range(256)) * 40}
PICTURES = {f"{i}.png": bytes([i]) * (10 + i) for i in range(5)}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def files(content: dict[str, bytes] = CONTENT) -> tuple[File, ...]:
    return tuple(File(path=p, size_bytes=len(d), sha256=sha256(d)) for p, d in content.items())


def tree() -> Tree:
    lines = [f"{sha256(data)}  {name}" for name, data in sorted(PICTURES.items())]
    return Tree(path="pictures", num_files=5, sha256=sha256("\n".join(lines).encode()), max_file_bytes=100)


def zipped(content: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def tarred(content: dict[str, bytes], mode: str = "w:gz", links: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return out.getvalue()


def debian(content: dict[str, bytes]) -> bytes:
    parts = {"debian-binary": b"2.0\n", "control.tar.gz": tarred({"./control": b"x"})}
    parts["data.tar.xz"] = tarred({f"./{name}": data for name, data in content.items()}, "w:xz")
    out = b"!<arch>\n"
    for name, data in parts.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data
        out += b"\n" * (len(data) % 2)
    return out


def wheel() -> bytes:
    """The toy's files under `pkg/data/`, beside things that nobody asked for."""
    return zipped(
        {"pkg/__init__.py": b"raise SystemExit", **{f"pkg/data/{p}": d for p, d in CONTENT.items()}}
    )


def archive(data: bytes, **changes: object) -> Archive:
    values = {
        "index": "pypi",
        "package": "Toy_Package",
        "version": "1.0",
        "filename": "toy_package-1.0-py3-none-any.whl",
        "size_bytes": len(data),
        "sha256": sha256(data),
        "folder": "pkg/data",
    }
    return Archive(**{**values, **changes})  # type: ignore[arg-type]


def entry(*sources: Archive | Torchvision, **changes: object) -> Entry:
    values = {"name": "toy", "what": "a toy", "licence": "none", "sources": sources, "files": files()}
    return Entry(**{**values, **changes})  # type: ignore[arg-type]


@dataclass
class Server:
    """Answers from `pages` (path to content type and body); records what was asked."""

    pages: dict[str, tuple[str, bytes]]
    url: str = ""
    asked: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    cut_at: int | None = None
    redirects: dict[str, str] = field(default_factory=dict)
    before: Callable[[], None] = lambda: None


@contextmanager
def serving(pages: dict[str, tuple[str, bytes]]) -> Iterator[Server]:
    server = Server(pages)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(self.path)
            server.authorizations.append(self.headers.get("Authorization"))
            server.before()
            if self.path in server.redirects:
                self.send_response(302)
                self.send_header("Location", server.redirects[self.path])
                self.end_headers()
                return
            if self.path not in server.pages:
                self.send_error(404)
                return
            kind, body = server.pages[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if server.cut_at is None or "json" in kind else body[: server.cut_at])

        def do_HEAD(self) -> None:
            self.send_response(200 if self.path in server.pages else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    thread = threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{web.server_port}"
    try:
        yield server
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


def index_page(filename: str, url: str, digest: str | None) -> tuple[str, bytes]:
    hashes = {} if digest is None else {"sha256": digest}
    page = {"files": [{"filename": filename, "url": url, "hashes": hashes}], "name": "toy-package"}
    return "application/vnd.pypi.simple.v1+json", json.dumps(page).encode()
