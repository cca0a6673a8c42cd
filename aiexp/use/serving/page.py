"""The page for people: the files of this folder in one document, which asks this server and nobody else."""

import base64
import hashlib
from functools import cache
from importlib.resources import files


def asset(name: str) -> str:
    """A file of this folder."""
    return files("aiexp.use.serving").joinpath(name).read_text(encoding="utf-8")


def policy() -> str:
    """The content security policy: script and style by their sha256, requests to this server."""

    def sha256(name: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(asset(name).encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; script-src {sha256('page.js')}; style-src {sha256('page.css')}; "
        "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def page() -> str:
    """The document."""
    parts = asset("page.html").split("@@")
    pieces = {"STYLE": asset("page.css"), "SCRIPT": asset("page.js")}
    return "".join(pieces[part] if i % 2 else part for i, part in enumerate(parts))


POLICY = policy()
