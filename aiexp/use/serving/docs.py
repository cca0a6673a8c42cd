"""The addresses of a server as a page: its OpenAPI description without a script of anybody."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from aiexp.use.serving.page import asset, filled


def docs(openapi: Mapping[str, Any]) -> str:
    """The page.

    Args:
        openapi: The description.
    """
    sections = [
        section(method.upper(), path, operation)
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
    ]
    return filled("docs.html", STYLE=asset("page.css"), BODY="\n".join(sections))


def section(method: str, path: str, operation: Mapping[str, Any]) -> str:
    """One address."""
    lines = [f'<section class="endpoint"><h2>{escape(method)} {escape(path)}</h2>']
    lines.append(f"<p>{escape(operation.get('summary') or '')}</p>")
    for name, schema in schemas(operation):
        lines.append(f"<p>{escape(name)}</p>")
        lines.append(f'<pre tabindex="0">{escape(json.dumps(schema, indent=2))}</pre>')
    rows = [
        f'<tr><th scope="row">{escape(status)}</th><td>{escape(response.get("description") or "")}</td></tr>'
        for status, response in operation["responses"].items()
    ]
    return "\n".join([*lines, "<table>", *rows, "</table></section>"])


def schemas(operation: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What is sent and what comes back, as JSON schemas."""
    asked, answered = operation.get("requestBody"), operation["responses"].get("200", {})
    for name, body in (("Send:", asked), ("Comes back:", answered)):
        content: Any = (body or {}).get("content", {}).get("application/json", {})
        if content.get("schema"):
            yield name, content["schema"]
