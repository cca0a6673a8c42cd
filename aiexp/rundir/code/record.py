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

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self, final

from aiexp.rundir.code.ownership import is_signed, sign

FOLDER = "code"
LARGEST_RECORD = 10_000_000


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
        return self.working_directory == os.getcwd() and self.is_signed

    @property
    def is_signed(self) -> bool:
        """Whether this user's aiexp recorded it, wherever that was."""
        return is_signed(self._text(), self.signature)

    @property
    def is_here(self) -> bool:
        """Whether it is the user's own and all its files still are where they were."""
        return self.is_own and all(Path(f.path).is_file() for f in self.files)

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


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
