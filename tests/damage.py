"""Ways in which a file of a run directory can be wrong, drawn from a seed."""

import hashlib
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import yaml

DEEP = "[" * 10_000 + "]" * 10_000
WRONG: list[Any] = [
    None,
    [],
    {},
    "text",
    "",
    -1,
    1.5,
    float("inf"),
    float("nan"),
    True,
    [[1]],
    {"a": {}},
    10**30,
    "٣",
    "${x}",
]
ALIASES = "a: &a [x]\n" + "".join(
    f"b{i}: &b{i} [{', '.join([f'*{p}'] * 9)}]\n"
    for i, p in zip(range(30), ["a", *(f"b{i}" for i in range(29))], strict=True)
)
TEXTS = (
    DEEP, '{"a": ' * 10_000, "- " * 3_000, "x: &x [*x]", ALIASES, f"seed: {'9' * 5000}",
    f'{{"step": {"9" * 5000}}}', '{"state": NaN}', "{}", "[]", "null", "", "\x00" * 64, "? [a]\n: b",
    "!!python/object/apply:os.getcwd []", "a: !!int ''", '{"format": 99}',
    '{"format": "1"}', '{"format": Infinity}',
)  # fmt: skip


def set_content(path: Path, text: str, draw: random.Random) -> None:
    """The whole file is something else."""
    path.write_text(text)


def change_bytes(path: Path, draw: random.Random) -> None:
    """A bit flipped, a piece cut out, garbage put in, or the end cut off."""
    content = bytearray(path.read_bytes()) or bytearray(b"x")
    place, length = draw.randrange(len(content)), draw.randrange(1, 40)
    match draw.randrange(4):
        case 0:
            content[place] ^= 1 << draw.randrange(8)
        case 1:
            del content[place : place + length]
        case 2:
            content[place:place] = draw.randbytes(length)
        case _:
            del content[place:]
    path.write_bytes(content)


def change_value(path: Path, draw: random.Random) -> None:
    """A value somewhere in the file is of another type, or its key is missing."""
    is_yaml = path.suffix == ".yaml"
    content = path.read_text()
    is_lines = path.suffix == ".jsonl"
    lines = content.splitlines() if is_lines else [content]
    number = draw.randrange(len(lines))
    value = yaml.safe_load(lines[number]) if is_yaml else json.loads(lines[number])
    node = value
    while True:
        key = draw.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if not isinstance(node[key], dict | list) or not node[key] or draw.random() < 0.4:
            break
        node = node[key]
    if draw.random() < 0.2:
        del node[key]
    else:
        node[key] = draw.choice(WRONG)
    lines[number] = yaml.safe_dump(value, sort_keys=False) if is_yaml else json.dumps(value)
    path.write_text("\n".join(lines) + "\n" * is_lines)


def replace_file(path: Path, draw: random.Random) -> None:
    """No plain file, none at all, or an endless one."""
    path.unlink()
    match draw.randrange(5):
        case 0:
            os.mkfifo(path)
        case 1:
            path.mkdir()
        case 2:
            path.symlink_to("/dev/zero")
        case 3:
            with path.open("wb") as file:
                file.truncate(2**42)
        case _:
            pass


def damage(path: Path, draw: random.Random) -> str:
    """Damages a file in one way; returns which."""
    kind = draw.choice(("bytes", "value", "value", "value", "text", "file"))
    if kind == "bytes":
        change_bytes(path, draw)
    elif kind == "value":
        change_value(path, draw)
    elif kind == "file":
        replace_file(path, draw)
    else:
        set_content(path, draw.choice(TEXTS), draw)
    return kind


def fit_manifest(checkpoint: Path) -> None:
    """Makes the manifest say what its state.json is now, as someone with bad intent would."""
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    content = (checkpoint / "state.json").read_bytes()
    manifest["files"]["state.json"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))


def copy_run(run: Path, to: Path) -> Path:
    """A fresh copy."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(run, to)
    return to
