"""The pictures of the runs: of each kind the newest, and earlier ones as far as a budget of bytes goes."""

import base64
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiexp.rundir.file import CURVES, FIGURES
from aiexp.rundir.record import RunRecord
from aiexp.storage.reader import read_bytes

BUDGET_BYTES = 1_500_000  # of pictures before base64, in the whole page
LARGEST_BYTES = 150_000  # of one picture; a larger one is drawn smaller
LARGEST_SOURCE = 20_000_000
WIDTH = 640  # pixels, of a picture drawn smaller
MOST_RUNS = 24
MOST_LISTED = 200  # runs whose pictures are named, where they are fetched when they are looked at
STEP = re.compile(r"(?P<name>.*?)(?:_step-(?P<step>\d+))?\.(?P<kind>png|gif|csv)")
KINDS = {b"\x89PNG\r\n\x1a\n": "png", b"GIF87a": "gif", b"GIF89a": "gif"}


def make_pictures(runs: Sequence[RunRecord], groups: Sequence[int | None]) -> list[dict[str, Any]]:
    """Pictures by run and name, with their steps and what is in them.

    Args:
        runs: In the page's order.
        groups: The group of each; runs without one come last.
    """
    found: list[dict[str, Any]] = []
    earlier: list[tuple[dict[str, Any], int, Path]] = []
    left = BUDGET_BYTES
    num_runs = 0
    for i in one_of_each(groups):
        if num_runs >= MOST_RUNS:
            break
        kinds = pictures_of(runs[i].path)
        newest = {name: read_picture(steps[max(steps)]) for name, steps in kinds.items()}
        size = sum(len(source) * 3 // 4 for source in newest.values() if source)
        if not size or size > left:
            continue
        left -= size
        num_runs += 1
        for name, source in newest.items():
            if source:
                *before, last = sorted(kinds[name])
                found.append({"run": i, "name": name, "steps": [last], "sources": [source]})
                earlier += [(found[-1], step, kinds[name][step]) for step in before[::-1]]
    for picture, step, path in earlier:  # as far as the budget goes
        source = read_picture(path)
        if source and len(source) * 3 // 4 <= left:
            left -= len(source) * 3 // 4
            picture["steps"].insert(0, step)
            picture["sources"].insert(0, source)
    return found


def list_pictures(runs: Sequence[RunRecord], groups: Sequence[int | None]) -> list[dict[str, Any]]:
    """Pictures by run and name, with their steps alone."""
    return [
        {"run": i, "name": name, "steps": sorted(steps)}
        for i in one_of_each(groups)[:MOST_LISTED]
        for name, steps in pictures_of(runs[i].path).items()
    ]


def one_of_each(groups: Sequence[int | None]) -> list[int]:
    """The order of runs in which one of every group comes before a second one of any."""
    seen: dict[int | None, int] = {}
    order: list[tuple[bool, int, int]] = []
    for i, group in enumerate(groups):
        order.append((group is None, seen.get(group, 0), i))
        seen[group] = seen.get(group, 0) + 1
    return [i for _, _, i in sorted(order)]


def pictures_of(run: Path) -> dict[str, dict[int, Path]]:
    """Files of a run's pictures by name and step; links are not followed."""
    return _figures(run, ("png", "gif"))


def tables_of(run: Path) -> dict[str, dict[int, Path]]:
    """Files of a run's tables by name and step, likewise."""
    return _figures(run, ("csv",))


def _figures(run: Path, kinds: Sequence[str]) -> dict[str, dict[int, Path]]:
    folder = run / FIGURES
    if folder.is_symlink() or not folder.is_dir():
        return {}
    found: dict[str, dict[int, Path]] = {}
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            match = STEP.fullmatch(path.relative_to(folder).as_posix())
            if match is None or match["kind"] not in kinds or path.is_symlink() or not path.is_file():
                continue
            if match["name"] == CURVES:  # the page has its own, of all runs together
                continue
            found.setdefault(match["name"], {})[int(match["step"] or 0)] = path
    return dict(sorted(found.items()))


def picture_bytes(path: Path) -> tuple[bytes, str]:
    """A picture, and which kind it is; both empty when it is no picture or cannot be read."""
    try:
        data = read_bytes(path, LARGEST_SOURCE)
    except (OSError, ValueError):
        return b"", ""
    kind = next((kind for start, kind in KINDS.items() if data.startswith(start)), "")
    return (data, kind) if kind else (b"", "")


def read_picture(path: Path) -> str:
    """A picture as a data URL; empty when it is no picture or cannot be read."""
    data, kind = picture_bytes(path)
    if len(data) > LARGEST_BYTES:
        data, kind = draw_smaller(data)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}" if kind else ""


def draw_smaller(data: bytes) -> tuple[bytes, str]:
    """A large picture as a JPEG of at most `WIDTH` pixels; of an animation its first frame."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "GIF")) as image:
            image.thumbnail((WIDTH, 2 * WIDTH))
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, "JPEG", quality=80)
    except (OSError, ValueError, Image.DecompressionBombError):
        return b"", ""
    return buffer.getvalue(), "jpeg"
