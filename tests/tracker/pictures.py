"""The smallest PNG and a GIF of two frames."""

import io

from PIL import Image


def encode(frames: list[Image.Image], kind: str) -> bytes:
    """The file's bytes."""
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=kind == "GIF", append_images=frames[1:] if kind == "GIF" else [])
    return buffer.getvalue()


PNG = encode([Image.new("RGB", (4, 3), "red")], "PNG")
GIF = encode([Image.new("P", (4, 3), 1), Image.new("P", (4, 3), 2)], "GIF")
