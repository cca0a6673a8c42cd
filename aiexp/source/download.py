"""Downloads one file from a URL: verified while it streams, whole or not at all."""

import base64
import hashlib
import http.client
import netrc
import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit, urlunsplit

from aiexp.source.failure import SourceFailed
from aiexp.text.terminal import say, visible

TIMEOUT_SECONDS = 20.0
_CHUNK_BYTES = 1 << 18
_NETWORK_ERRORS = (OSError, http.client.HTTPException, ValueError)


def is_offline() -> bool:
    """Whether `AIEXP_OFFLINE` forbids the network."""
    return os.environ.get("AIEXP_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def redacted(url: str) -> str:
    """`url` without user name, password and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """How to reach a server; proxies come from the environment (`https_proxy`, `no_proxy`).

    Args:
        certificates: File of trusted certificates, None for the system's.
        trusted_hosts: `host` or `host:port` whose certificate is not checked (pip's `trusted-host`).
        credentials: Host to (user, password) for basic authentication.
    """

    certificates: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    credentials: dict[str, tuple[str, str]] = field(default_factory=lambda: {})

    def open(self, url: str, accept: str = "*/*") -> IO[bytes]:
        """Opens a URL for reading.

        Raises:
            SourceFailed: unreachable, refused, or the network is forbidden.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http", "file"):
            raise SourceFailed(f"cannot read {redacted(url)}")
        if parts.scheme != "file" and is_offline():
            raise SourceFailed("AIEXP_OFFLINE forbids the network")
        host = parts.hostname or ""
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        request = urllib.request.Request(bare, headers={"Accept": accept, "User-Agent": "aiexp"})
        if authorization := self._authorization(parts.username, parts.password, host):
            # "Unredirected": never sent on to another host.
            request.add_unredirected_header("Authorization", authorization)
        try:
            handlers: list[urllib.request.BaseHandler] = []
            if parts.scheme != "file":  # http may redirect to https
                handlers.append(urllib.request.HTTPSHandler(context=self._context(host, parts.port)))
            return urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            error.close()
            raise SourceFailed(f"{redacted(url)} answered {error.code} {error.reason}") from None
        except _NETWORK_ERRORS as error:
            raise SourceFailed(
                f"{redacted(url)} is unreachable: {getattr(error, 'reason', None) or error}"
            ) from None

    def _context(self, host: str, port: int | None) -> ssl.SSLContext:
        if host in self.trusted_hosts or f"{host}:{port}" in self.trusted_hosts:
            return ssl._create_unverified_context()  # pyright: ignore[reportPrivateUsage]
        return _trusting(self.certificates)

    def _authorization(self, user: str | None, password: str | None, host: str) -> str:
        if user is not None:
            pair = unquote(user), unquote(password or "")
        elif host in self.credentials:
            pair = self.credentials[host]
        else:
            try:
                found = netrc.netrc().authenticators(host)
            except (OSError, netrc.NetrcParseError):
                return ""
            if found is None:
                return ""
            pair = found[0], found[2] or ""
        return "Basic " + base64.b64encode(":".join(pair).encode()).decode()


@cache
def _trusting(certificates: str | None) -> ssl.SSLContext:
    """Trusts the certificates of a file, or the system's; reading them takes a tenth of a second."""
    context = ssl.create_default_context(cafile=certificates)
    if not context.cert_store_stats()["x509_ca"] and not ssl.get_default_verify_paths().capath:
        import certifi  # Python from python.org on macOS has no certificates of its own

        context.load_verify_locations(certifi.where())
    return context


def read_text(
    connection: Connection, url: str, accept: str, limit_bytes: int = 64 << 20
) -> tuple[str, str, str]:
    """A page: its text, its content type and its final URL."""
    with connection.open(url, accept) as stream:
        try:
            body = stream.read(limit_bytes)
        except _NETWORK_ERRORS as error:
            raise SourceFailed(f"{redacted(url)} broke off: {error}") from None
        final = getattr(stream, "url", url)
        kind = getattr(stream, "headers", {}).get("Content-Type", "")
    return body.decode("utf-8", "replace"), kind, final


def download(connection: Connection, url: str, target: Path, *, size_bytes: int, sha256: str) -> None:
    """Writes the file at `url` to `target`, which exists afterwards only if its sha256 is right.

    Raises:
        SourceFailed: unreachable, cut off, or other content than expected; nothing is left behind.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    digest, received = hashlib.sha256(), 0
    try:
        with (
            connection.open(url) as stream,
            partial.open("xb") as out,
            progress(target.name, size_bytes) as show,
        ):
            while chunk := _read(stream, url):
                digest.update(chunk)
                received += len(chunk)
                if received > size_bytes:
                    break
                out.write(chunk)
                show(len(chunk))
            out.flush()
            os.fsync(out.fileno())
        if received != size_bytes:
            more = "more than " if received > size_bytes else f"{received} instead of "
            raise SourceFailed(f"{target.name} has {more}{size_bytes} bytes")
        if digest.hexdigest() != sha256:
            raise SourceFailed(f"{target.name} has the wrong sha256 {digest.hexdigest()[:12]}...")
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _read(stream: IO[bytes], url: str) -> bytes:
    try:
        return stream.read(_CHUNK_BYTES)
    except _NETWORK_ERRORS as error:
        raise SourceFailed(f"{redacted(url)} broke off: {error}") from None


@contextmanager
def progress(name: str, size_bytes: int) -> Generator[Callable[[int], None], None, None]:
    """A progress bar on a terminal, one line elsewhere; call it with the bytes that came."""
    if not sys.stderr.isatty():
        say(f"fetching {name} ({size_bytes / 1e6:.1f} MB)")
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as SpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        SpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, markup=False)) as bar:
        row = bar.add_task(visible(name), total=size_bytes)
        yield lambda count: bar.advance(row, count)
