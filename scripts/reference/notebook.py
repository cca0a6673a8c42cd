"""A notebook as a page."""

import json

from reference.markdown import block


def page(text: str) -> str:
    """Its cells one after the other, with what they have printed."""
    parts: list[str] = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts += [source, ""]
        else:
            parts += [block(source, "python")]
            printed = "".join(filter(None, map(_printed, cell.get("outputs", []))))
            parts += [block(printed)] if printed else []
    return "\n".join(parts)


def _printed(output: dict[str, object]) -> str:
    """What an output says as text."""
    data = output.get("data", {})
    text = output.get("text") or (data.get("text/plain") if isinstance(data, dict) else "") or ""
    return "".join(text) if isinstance(text, list) else str(text)
