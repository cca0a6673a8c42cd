"""`code/` in a run directory: the user's own code that the run imported, as it was.

    code/record.json          for each version: where it lay, its files, modules and sha256, a signature
    code/1/my_lab/parts.py    copies by the name of the module: `code/1` is a folder to import them from
    code/2/...                after a resume with changed code; the newest has made the last weights

Resuming runs code that the working directory holds, and a config from a run directory chooses it. So only a
file in a version that this user's aiexp signed in this very working directory is the run's own code; what
such files import is theirs to decide, like in a new run. For anything else the user must say `--trust`.
Later commands that load a run elsewhere import from the newest copy, under the same rule: the signature,
without the place, since the sha256 says that the copy is what the user ran; or `--trust`. A file that seems
to hold a secret has its sha256 recorded and is not copied. aiexp's own code is not recorded: environment.json
holds its version and git state.
"""

import ast
import hashlib
import json
import os
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, final

from aiexp.config.target.allowed import is_written_here, only_files, user_modules
from aiexp.rundir.ownership import is_signed, sign
from aiexp.storage.files import storage_errors, write_json
from aiexp.text.secrets import is_secret_name, redact_text, secret_values

FOLDER = "code"
LARGEST_COPY = 1_000_000  # bytes; of larger files only the sha256 is kept
LARGEST_RECORD = 10_000_000
MOST_LINES = 5


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CodeFile:
    """One file.

    Args:
        path: Below the working directory, with forward slashes.
        module: Name it was imported by.
        sha256: Of its bytes, hex.
    """

    path: str
    module: str
    sha256: str

    @property
    def copy(self) -> Path | None:
        """Where its copy lies below the version's folder; None for a name that is no module's."""
        *parents, last = self.module.split(".")
        name = self.path.rpartition("/")[2]
        parts = [*parents, last] if name.startswith("__init__.") else parents
        return Path(*parts, name) if all(p.isidentifier() for p in (*parents, last)) else None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """The code between one start of a run and the next with other code.

    Args:
        working_directory: Where it lay.
        files: Sorted by path.
        signature: Of the two above; "" if it could not be signed.
    """

    working_directory: str
    files: list[CodeFile]
    signature: str = ""

    @classmethod
    def signed(cls, files: Iterable[CodeFile]) -> Self:
        """Files of the current working directory, signed for this user."""
        ordered = sorted(files, key=lambda f: f.path)
        version = cls(working_directory=os.getcwd(), files=ordered)
        return cls(
            working_directory=version.working_directory, files=ordered, signature=sign(version._text())
        )

    @property
    def is_own(self) -> bool:
        """Whether this user's aiexp recorded it, in this working directory."""
        return self.working_directory == os.getcwd() and is_signed(self._text(), self.signature)

    def _text(self) -> str:
        return json.dumps(["code", self.working_directory, [asdict(f) for f in self.files]], sort_keys=True)


def read_versions(run: Path) -> list[Version]:
    """The versions of a run's code, oldest first; none where nothing readable was recorded."""
    path = run / FOLDER / "record.json"
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_RECORD:
            return []
        record = json.loads(path.read_text(encoding="utf-8"))
        versions = [
            Version(
                working_directory=_text(v["working_directory"]),
                files=[
                    CodeFile(**{k: _text(f[k]) for k in ("path", "module", "sha256")}) for f in v["files"]
                ],
                signature=_text(v["signature"]),
            )
            for v in record["versions"]
        ]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []
    return versions


def code_digest(run: Path) -> str:
    """One sha256 of all versions of a run's code, for telling runs apart; "" for a run without own code."""
    versions = [[(f.path, f.sha256) for f in v.files] for v in read_versions(run)]
    return hashlib.sha256(json.dumps(versions).encode()).hexdigest() if versions else ""


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


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
