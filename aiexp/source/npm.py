"""Finds a tarball on the user's own npm registry; npm itself is only asked for its settings."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

from aiexp.source.catalog.entry import Archive
from aiexp.source.download import Connection, download, read_text, redacted
from aiexp.source.failure import SourceFailed


def fetch_archive(archive: Archive, target: Path) -> None:
    """Downloads a package's tarball to `target`, verified.

    Raises:
        SourceFailed: no registry is configured, or it does not have the version.
    """
    registry = _setting("registry")
    if not registry:
        raise SourceFailed("npm is not installed and npm_config_registry is not set")
    certificates = _setting("cafile") or os.environ.get("NODE_EXTRA_CA_CERTS", "")
    connection = Connection(certificates=certificates if Path(certificates).is_file() else None)
    page = f"{registry.rstrip('/')}/{quote(archive.package, safe='@')}"
    text, _, _ = read_text(connection, page, "application/vnd.npm.install-v1+json, application/json;q=0.8")
    try:
        versions = json.loads(text)["versions"]
        url = versions[archive.version]["dist"]["tarball"] if archive.version in versions else ""
    except (ValueError, KeyError, TypeError):
        raise SourceFailed(f"{redacted(page)} is not a package of an npm registry") from None
    if not url:
        raise SourceFailed(f"{redacted(page)} does not list version {archive.version}")
    download(connection, str(url), target, size_bytes=archive.size_bytes, sha256=archive.sha256)


def _setting(name: str) -> str:
    """A setting of npm: environment first, as npm does, then its files."""
    for key in (f"npm_config_{name}", f"NPM_CONFIG_{name.upper()}"):
        if value := os.environ.get(key):
            return value
    npm = shutil.which("npm")
    if npm is None:
        return ""
    try:
        command = [npm, "config", "get", name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceFailed(f"npm did not answer: {error}") from None
    value = done.stdout.strip()
    return value if value not in ("undefined", "null") else ""
