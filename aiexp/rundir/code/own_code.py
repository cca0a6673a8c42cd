"""The user's own code: what a run imports of it is recorded, and what a resumed run may use of it is limited.

What the record is and why it can be trusted: see record.py.
"""

import ast
import hashlib
import os
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiexp.config.target.allowed import is_written_here, only_files, user_modules
from aiexp.rundir.code.record import FOLDER, CodeFile, Version, read_versions
from aiexp.storage.files import storage_errors, write_json
from aiexp.text.secrets import is_secret_name, redact_text, secret_values

LARGEST_COPY = 1_000_000  # bytes; of larger files only the sha256 is kept
MOST_LINES = 5


@contextmanager
def own_code_of(run: Path) -> Generator[None]:
    """A body in which the user's own code is what a run recorded as its own, and what the user trusts."""
    files = {Path(v.working_directory, f.path) for v in read_versions(run) if v.is_own for f in v.files}
    with only_files(frozenset(files)):
        yield


def record_targets(run: Path, config: Mapping[str, Any]) -> None:
    """Records in a new run, before anything is imported, the files that a config's `_target_`s lie in."""
    if not read_versions(run):
        _record(run, user_modules(config))


def record_imports(run: Path, *, is_start: bool) -> list[str]:
    """Records every file of the user's own that this process has imported; returns what is to be said.

    Args:
        run: The run directory.
        is_start: Whether files may have changed since they were recorded. Later they are as they were
            imported, whatever lies on the disk by then.
    """
    here = os.getcwd() + os.sep
    found: dict[str, Path] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if not isinstance(file, str) or name.startswith("__") or name.split(".")[0] == "aiexp":
            continue
        if os.path.abspath(file).startswith(here) and is_written_here(Path(file)):
            found[name] = Path(file)
    return _record(run, found, is_start=is_start)


def _record(run: Path, found: Mapping[str, Path], *, is_start: bool = True) -> list[str]:
    """Brings the record up to date with modules and their files; returns a line for each changed file."""
    versions = read_versions(run)
    last = versions[-1] if versions else Version(working_directory="", files=[])
    # What someone else recorded is compared with, but never becomes the user's own by being carried over.
    carried = last.files if last.is_own else []
    known = _read((f.module, Path(f.path)) for f in carried) if is_start else carried
    now = {f.path: f for f in _read(found.items())} | {f.path: f for f in known}
    changed = [f for f in last.files if f.sha256 != (now[f.path].sha256 if f.path in now else f.sha256)]
    changed += [f for f in carried if f.path not in now]
    if not now or (carried and not changed and len(now) == len(carried)):
        return []
    if carried and not changed:
        versions.pop()
    versions.append(Version.signed(now.values()))
    folder = run / FOLDER
    with storage_errors("recording the code", folder):
        for file in versions[-1].files:
            _copy(file, folder / str(len(versions)))
        write_json(folder / "record.json", {"versions": [asdict(v) for v in versions]})
    lines = [
        f"code      {f.path} has changed since {folder / str(len(versions) - 1) / (f.copy or '')}"
        for f in changed
    ]
    more = [f"code      and {len(lines) - MOST_LINES} more files"] if len(lines) > MOST_LINES else []
    return lines[:MOST_LINES] + more


def _read(modules: Iterable[tuple[str, Path]]) -> Generator[CodeFile]:
    """The files of modules as they are on the disk; those that are not there are left out."""
    here = Path.cwd()
    for module, file in modules:
        path = Path(os.path.realpath(file))
        if path.is_relative_to(here) and path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            yield CodeFile(path=path.relative_to(here).as_posix(), module=module, sha256=digest)


def _copy(file: CodeFile, folder: Path) -> None:
    """Copies a file unless that was done before, it has changed meanwhile, or seems to hold a secret."""
    folder.mkdir(parents=True, exist_ok=True)
    content = Path(file.path).read_bytes()
    is_it = hashlib.sha256(content).hexdigest() == file.sha256 and len(content) <= LARGEST_COPY
    if file.copy is None or (folder / file.copy).exists() or not is_it or _holds_secret(content):
        return
    (folder / file.copy).parent.mkdir(parents=True, exist_ok=True)
    (folder / file.copy).write_bytes(content)


def _holds_secret(content: bytes) -> bool:
    """Whether a secret of the environment, or a text that looks or is named like one, stands in a source."""
    text = content.decode(errors="replace")
    if any(secret in text for secret in secret_values(os.environ)):
        return True
    try:
        nodes = list(ast.walk(ast.parse(content)))
    except (SyntaxError, ValueError):
        return redact_text(text) != text
    named = [pair for node in nodes for pair in _named_values(node)]
    texts = [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return any(redact_text(t) != t for t in texts) or any(
        is_secret_name(name)
        and isinstance(value, ast.Constant)
        and isinstance(value.value, str)
        and value.value
        for name, value in named
    )


def _named_values(node: ast.AST) -> list[tuple[str, ast.expr | None]]:
    """What is bound to which name: by an assignment, a keyword, a mapping."""
    match node:
        case ast.Assign(targets=targets, value=value):
            return [(ast.unparse(target), value) for target in targets]
        case ast.AnnAssign(target=target, value=value):
            return [(ast.unparse(target), value)]
        case ast.keyword(arg=str(name), value=value):
            return [(name, value)]
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return [(str(k.value), v) for k, v in pairs if isinstance(k, ast.Constant)]
        case _:
            return []
