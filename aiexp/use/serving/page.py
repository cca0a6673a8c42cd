"""The pages for people: the files of this folder in one document, which asks this server and nobody else."""

import base64
import hashlib
from functools import cache
from importlib.resources import files


def asset(name: str) -> str:
    """A file of this folder."""
    return files("aiexp.use.serving").joinpath(name).read_text(encoding="utf-8")


def sha256(name: str) -> str:
    """How a content security policy names the content of a file."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(asset(name).encode()).digest()).decode()}'"


@cache
def headers() -> dict[str, str]:
    """Of every page: script and style only by their sha256, requests only to this server."""
    scripts = f"{sha256('page.js')} {sha256('why.js')}"
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src {sha256('page.css')}; "
        "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }


@cache
def page() -> str:
    """The page to try the runs."""
    return filled("page.html", STYLE=asset("page.css"), SCRIPT=asset("page.js"), WHY=asset("why.js"))


def filled(name: str, **pieces: str) -> str:
    """A file of this folder with pieces in place of their names between @@."""
    return "".join(pieces[part] if i % 2 else part for i, part in enumerate(asset(name).split("@@")))
