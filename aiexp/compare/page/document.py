"""The HTML around the content: our own files of this folder, and plotly's script, all inside one document.

Whatever comes from a run enters as JSON that no browser takes for HTML, and our script writes it as text,
never as HTML. The content security policy names the two scripts by their sha256 and forbids every request.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aiexp.compare.comparison import Comparison
from aiexp.compare.page.content import make_content
from aiexp.errors import HardwareError
from aiexp.rundir.record import RunRecord

SCRIPTS = (
    "data.js", "filter.js", "groups.js", "view.js", "table.js", "charts.js", "curves.js", "panels.js",
    "detail.js", "pictures.js", "run.js", "live.js", "page.js",
)  # fmt: skip


def render(comparison: Comparison, records: Sequence[RunRecord]) -> str:
    """The page as one file.

    Args:
        comparison: What it says of them.
        records: Every run that is to be in its tables and charts.

    Raises:
        HardwareError: plotly's script is not installed.
    """
    return page_of(make_content(comparison, records))


def page_of(content: Mapping[str, Any]) -> str:
    """The page with its content.

    Args:
        content: As `make_content` makes it, or the board.

    Raises:
        HardwareError: plotly's script is not installed.
    """
    own = "".join(_asset(name) for name in SCRIPTS)
    plotly = plotly_script()
    pieces = {
        "POLICY": content_policy([plotly, own], is_live=bool(content["live"])),
        "STYLE": _asset("page.css"),
        "CONTENT": embed(content),
        "PLOTLY": plotly,
        "SCRIPT": own,
    }
    # One pass over the template's own marks: nothing that is put in is looked at again.
    parts = _asset("page.html").split("@@")
    return "".join(pieces[part] if i % 2 else part for i, part in enumerate(parts))


def embed(value: Any) -> str:
    """JSON for the inside of a script element: no `<`, `>` or `&` is left in it."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def content_policy(scripts: Sequence[str], *, is_live: bool = False) -> str:
    """The content security policy: these scripts alone, nothing loaded or sent; live, but by its server.

    plotly compiles what draws its parallel coordinates at run time ('unsafe-eval') and sets styles
    ('unsafe-inline' of styles).
    """
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    own = "img-src 'self' data: blob:; connect-src 'self'" if is_live else "img-src data: blob:"
    return (
        f"default-src 'none'; script-src {hashes} 'unsafe-eval'; style-src 'unsafe-inline'; "
        f"{own}; base-uri 'none'; form-action 'none'"
    )


def plotly_script() -> str:
    """plotly.js as the installed package carries it, read without importing the package.

    Raises:
        HardwareError: it is not installed.
    """
    spec = find_spec("plotly")
    places = spec.submodule_search_locations if spec else None
    path = Path(places[0], "package_data", "plotly.min.js") if places else None
    if path is None or not path.is_file():
        raise HardwareError("the page needs plotly", where="--html", fix="pip install plotly")
    return path.read_text(encoding="utf-8").replace("</script", "<\\/script")


def _asset(name: str) -> str:
    return files("aiexp.compare.page").joinpath(name).read_text(encoding="utf-8")
