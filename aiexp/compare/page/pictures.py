"""The pictures of the runs, inside the page: the newest of each kind, within a budget of bytes."""

import base64
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aiexp.rundir.file import FIGURES
from aiexp.rundir.record import RunRecord

BUDGET_BYTES = 1_500_000  # of pictures before base64, in the whole page
LARGEST_BYTES = 150_000  # of one picture; a larger one is drawn smaller
LARGEST_SOURCE = 20_000_000
CURVES = "curves"  # drawn of each run at its end
WIDTH = 640  # pixels, of a picture drawn smaller
MOST_RUNS = 24
STEP = re.compile(r"(?P<name>.*?)(?:_step-(?P<step>\d+))?\.(?:png|gif)")
KINDS = {b"\x89PNG\r\n\x1a\n": "png", b"GIF87a": "gif", b"GIF89a": "gif"}


def make_pictures(runs: Sequence[RunRecord], groups: Sequence[int | None]) -> list[dict[str, Any]]:
    """Pictures by run and name, one run of every group before a second one of any.

    Args:
        runs: In the page's order.
        groups: The group of each; runs without one come last.
    """
    seen: dict[int | None, int] = {}
    order: list[tuple[bool, int, int]] = []
    for i, group in enumerate(groups):
        order.append((group is None, seen.get(group, 0), i))
        seen[group] = seen.get(group, 0) + 1
    found: list[dict[str, Any]] = []
    left = BUDGET_BYTES
    num_runs = 0
    for _, _, i in sorted(order):
        if num_runs == MOST_RUNS:
            break
        pictures = [p for p in (read_picture(i, n, path) for n, path in newest(runs[i].path)) if p]
        size = sum(len(p["source"]) * 3 // 4 for p in pictures)
        if pictures and size <= left:
            found += pictures
            left -= size
            num_runs += 1
    return found


def newest(run: Path) -> Iterator[tuple[str, Path]]:
    """Name and file of each kind of picture, of the last step that has it; links are not followed."""
    folder = run / FIGURES
    if folder.is_symlink() or not folder.is_dir():
        return
    last: dict[str, tuple[int, Path]] = {}
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            match = STEP.fullmatch(path.relative_to(folder).as_posix())
            if match is None or path.is_symlink() or not path.is_file():
                continue
            if match["name"] == CURVES:  # the page has its own, of all runs together
                continue
            step = int(match["step"] or 0)
            if step >= last.get(match["name"], (-1, path))[0]:
                last[match["name"]] = (step, path)
    for name, (_, path) in sorted(last.items()):
        yield name, path


def read_picture(run: int, name: str, path: Path) -> dict[str, Any] | None:
    """A picture as a data URL; None when it is no picture or cannot be read."""
    try:
        if path.stat().st_size > LARGEST_SOURCE:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    kind = next((kind for start, kind in KINDS.items() if data.startswith(start)), None)
    if kind is not None and len(data) > LARGEST_BYTES:
        data, kind = draw_smaller(data)
    if kind is None:
        return None
    return {"run": run, "name": name, "source": f"data:image/{kind};base64,{base64.b64encode(data).decode()}"}


def draw_smaller(data: bytes) -> tuple[bytes, str | None]:
    """A large picture as a JPEG of at most `WIDTH` pixels; of an animation its first frame."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "GIF")) as image:
            image.thumbnail((WIDTH, 2 * WIDTH))
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, "JPEG", quality=80)
    except (OSError, ValueError, Image.DecompressionBombError):
        return b"", None
    return buffer.getvalue(), "jpeg"
