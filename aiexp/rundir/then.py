"""What a result depends on beside the config, then and now: code, packages, machine."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiexp.rundir.code.record import read_versions
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.environment import (
    describe_environment,
    describe_git,
    installed_digest,
    run_git,
)
from aiexp.rundir.file import ENVIRONMENT, GIT_DIFF

MOST_NAMED = 5
FIRST = ("aiexp", "python", "torch", "numpy", "transformers")  # of what is named first
_FILE = re.compile(r"^diff --git a/(.+?) b/.*$", re.MULTILINE)


def code_lines(directory: RunDirectory) -> list[str]:
    """What is to be said of the code: the same, or which files differ."""
    environment = directory.read_json(ENVIRONMENT)
    own, source = changed_own(directory), source_line(environment.get("source"))
    lines = [f"the run's own code differs: {first(own)}"] if own else []
    lines += [source] if source else []
    then, now = environment.get("git"), describe_git(Path.cwd())
    if then is not None and now is not None:
        return [*lines, *checkout_lines(then, now, read_patch(directory))]
    if lines or "source" not in environment:
        where = "the run was started outside of a git checkout" if then is None else "this is no git checkout"
        return [*lines, f"{where}: nothing more is known of it"]
    copied = " and that of the run's own" if read_versions(directory.path) else ""
    return [f"as it was, by sha256: aiexp's code{copied}"]


def source_line(then: str | None) -> str:
    """How aiexp's own files differ from those that trained a run; empty if they do not, or nobody knows."""
    now = installed_digest()
    return (
        f"aiexp's own files differ: sha256 {then[:8]} then, {now[:8]} now" if then not in (None, now) else ""
    )


def checkout_lines(then: dict[str, str], now: dict[str, str], patch: str) -> list[str]:
    """What differs between the checkout around the working directory then and now.

    Args:
        then: Its state as recorded.
        now: The same of today.
        patch: What was not committed then.
    """
    short = then["commit"][:12]
    files, lines = changed_patches(patch, now["diff"]), list[str]()
    if then["commit"] != now["commit"]:
        between = run_git(Path.cwd(), "diff", "--name-only", then["commit"], now["commit"])
        if between is None:
            return [f"commit {short} then, which this checkout does not have"]
        files = sorted({*files, *between.split()})
        lines.append(f"commit {short} then, {now['commit'][:12]} now")
    if files:
        return [*lines, f"files differ: {first(files)}"]
    patched = f", with the same changes in {first(list(patches(now['diff'])))}" if now["diff"] else ""
    return [*lines, f"as it was: commit {short}{patched}"]


def changed_own(directory: RunDirectory) -> list[str]:
    """Files of the user's own code that are not as the run imported them."""
    found: list[str] = []
    for file in [file for version in read_versions(directory.path)[-1:] for file in version.files]:
        path = Path(file.path)
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
            found.append(file.path)
    return found


def read_patch(directory: RunDirectory) -> str:
    """What was not committed."""
    path = directory.path / GIT_DIFF
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def changed_patches(then: str, now: str) -> list[str]:
    """Files that are not patched alike."""
    before, after = patches(then), patches(now)
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


def patches(diff: str) -> dict[str, str]:
    """The part of a diff about each file."""
    _, *parts = _FILE.split(diff)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def version_lines(directory: RunDirectory) -> list[str]:
    """Versions that are not as they were; those of packages that are new do not count."""
    then, now = directory.read_json(ENVIRONMENT), describe_environment()
    before, after = (
        {"aiexp": found.get("aiexp"), "python": found.get("python")} | (found.get("packages") or {})
        for found in (then, now)
    )
    order = [*FIRST, *(name for name in before if name not in FIRST)]
    return changes({name: before[name] for name in order if before.get(name)}, after)


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """`torch 2.14.0 then, 2.15.0 now` for each value that has changed."""
    return [
        f"{name} {value} then, {now.get(name, 'missing')} now"
        for name, value in then.items()
        if now.get(name) != value
    ]


def compared(name: str, differences: list[str]) -> str:
    """An aligned line: what of something differs, or that nothing does."""
    return f"{name:<10}{first(differences) if differences else 'as they were'}"


def first(names: list[str]) -> str:
    """The first few, and how many more."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
