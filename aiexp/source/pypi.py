"""Finds a file on the user's own Python package index, the one that pip is configured to use.

pip itself is not asked to download: for an sdist it would run the package's setup program.
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from importlib.machinery import PathFinder
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from aiexp.source.catalog.entry import Archive
from aiexp.source.download import Connection, download, read_text, redacted
from aiexp.source.failure import SourceFailed

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_DEFAULT_INDEX = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """One file that an index offers; `sha256` is "" when the index does not say."""

    filename: str
    url: str
    sha256: str


def fetch_archive(archive: Archive, target: Path) -> None:
    """Downloads a wheel or sdist to `target`, verified.

    Raises:
        SourceFailed: no configured index has it; names each and why.
    """
    settings = pip_settings()
    indexes, pages = index_urls(settings)
    connection = connection_of(settings, indexes)
    reasons: list[str] = []
    for page in [*(f"{index.rstrip('/')}/{_normalized(archive.package)}/" for index in indexes), *pages]:
        try:
            for link in _links(connection, page):
                if _is_wanted(link, archive):
                    size, digest = archive.size_bytes, archive.sha256
                    download(connection, link.url, target, size_bytes=size, sha256=digest)
                    return
            reasons.append(f"{redacted(page)} does not list {archive.filename}")
        except SourceFailed as error:
            reasons.append(str(error))
    raise SourceFailed("; ".join(reasons) or "pip has no index configured")


def _is_wanted(link: Link, archive: Archive) -> bool:
    """By name (mirrors may spell it differently), unless the index itself says that the content differs."""
    same_name = _normalized(link.filename) == _normalized(archive.filename)
    if same_name and link.sha256 and link.sha256 != archive.sha256:
        raise SourceFailed(f"{redacted(link.url)} has the wrong sha256 {link.sha256[:12]}...")
    return same_name


def _normalized(name: str) -> str:
    """A name as indexes spell it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pip_settings() -> dict[str, str]:
    """Effective settings of pip: environment before command section before global section."""
    text = _run_pip("config", "list")
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        try:
            found.setdefault(section, {})[name] = str(ast.literal_eval(value))
        except (ValueError, SyntaxError):
            continue
    merged: dict[str, str] = {}
    for section in ("global", "install", "download", ":env:"):
        merged |= found.get(section, {})
    environment = {k[4:].lower().replace("_", "-"): v for k, v in os.environ.items() if k.startswith("PIP_")}
    return merged | {k: v for k, v in environment.items() if v}


def index_urls(settings: dict[str, str]) -> tuple[list[str], list[str]]:
    """The simple indexes in pip's order, and the extra pages of links (`find-links`)."""
    pages = [_as_url(p) for p in settings.get("find-links", "").split()]
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return [], pages
    first = settings.get("index-url") or os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")
    indexes = [first] if first else _default_index()
    for name in (settings.get("extra-index-url", ""), os.environ.get("UV_EXTRA_INDEX_URL", "")):
        indexes += [_as_url(url) for url in name.split()]
    return list(dict.fromkeys(indexes)), pages


def connection_of(settings: dict[str, str], indexes: list[str]) -> Connection:
    """Certificates and trusted hosts of pip, and the credentials written into the index URLs."""
    certificates = [
        settings.get("cert"),
        os.environ.get("REQUESTS_CA_BUNDLE"),
        os.environ.get("CURL_CA_BUNDLE"),
    ]
    credentials: dict[str, tuple[str, str]] = {}
    for parts in map(urlsplit, indexes):
        if parts.username is not None and parts.hostname:
            credentials[parts.hostname] = unquote(parts.username), unquote(parts.password or "")
    return Connection(
        certificates=next((c for c in certificates if c and Path(c).is_file()), None),
        trusted_hosts=tuple(settings.get("trusted-host", "").split()),
        credentials=credentials,
    )


def _default_index() -> list[str]:
    """What pip uses when nothing is set, asked of pip: no address is written here."""
    pip = _pip_path()
    code = f"import sys; sys.path.insert(0, {str(pip)!r}); {_DEFAULT_INDEX}" if pip else _DEFAULT_INDEX
    url = _run([sys.executable, "-c", code]).strip()
    return [url] if url else []


def _run_pip(*arguments: str) -> str:
    pip = _pip_path()
    return _run([sys.executable, *([f"{pip}/pip"] if pip else ["-m", "pip"]), *arguments])


def _pip_path() -> Path | None:
    """None when pip is installed, else the wheel of pip that comes with Python (environments made by uv)."""
    # Not util.find_spec: asked for pip, setuptools' finder warns and unloads distutils from this process.
    if PathFinder.find_spec("pip"):
        return None
    import ensurepip

    bundled = sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    if not bundled:
        raise SourceFailed("pip is not installed, so no package index is known")
    return bundled[-1]


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceFailed(f"pip did not answer: {error}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SourceFailed(f"pip did not answer: {last}")
    return done.stdout


def _as_url(place: str) -> str:
    """A `find-links` value may be a folder."""
    if urlsplit(place).scheme in ("http", "https", "file"):
        return place
    return Path(place).expanduser().absolute().as_uri()


def _links(connection: Connection, page: str) -> Iterator[Link]:
    """What a page of a simple index lists: JSON (PEP 691), HTML (PEP 503), or a folder."""
    if urlsplit(page).scheme == "file":
        folder = Path(unquote(urlsplit(page).path))
        if not folder.exists():
            return
        if folder.is_dir() and not (folder / "index.html").is_file():
            for path in sorted(folder.iterdir()):
                yield Link(filename=path.name, url=path.absolute().as_uri(), sha256="")
            return
        page = (folder / "index.html").as_uri() if folder.is_dir() else page
    text, kind, final = read_text(connection, page, _ACCEPT)
    if "json" in kind:
        yield from _json_links(text, final)
    else:
        yield from _html_links(text, final)


def _json_links(text: str, page: str) -> Iterator[Link]:
    try:
        for file in json.loads(text)["files"]:
            sha256 = str(file.get("hashes", {}).get("sha256", ""))
            yield Link(filename=str(file["filename"]), url=urljoin(page, file["url"]), sha256=sha256)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SourceFailed(f"{redacted(page)} is not a package index") from None


def _html_links(text: str, page: str) -> Iterator[Link]:
    reader = _Anchors(page)
    reader.feed(text)
    for href in reader.hrefs:
        url, fragment = urldefrag(urljoin(reader.base, href))
        sha256 = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else ""
        yield Link(filename=unquote(urlsplit(url).path.rpartition("/")[2]), url=url, sha256=sha256)


class _Anchors(HTMLParser):
    """Collects the targets of links, and the base they are relative to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.base, self.hrefs = page, list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser for each element."""
        values = dict(attrs)
        if tag == "base" and (href := values.get("href")):
            self.base = urljoin(self.base, href)
        elif tag == "a" and (href := values.get("href")):
            self.hrefs.append(href)
