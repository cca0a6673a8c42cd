"""`sweep.yaml`: what a sweep is, as typed and as composed, so that it can be resumed and compared."""

import os
import shlex
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, cast, final

from aiexp.config.dotted import flatten
from aiexp.config.folders import shown
from aiexp.errors import CheckpointError, SecurityError, reason_of
from aiexp.rundir.changes import show
from aiexp.rundir.code.ownership import is_signed, sign
from aiexp.storage.files import storage_errors, write_text
from aiexp.storage.reader import UNPARSABLE, parse_yaml, read_bytes, to_yaml
from aiexp.storage.shape import check_depth, fields, list_of, map_of, plain, text
from aiexp.text.secrets import MASK

DEFINITION = "sweep.yaml"
DEEPEST, MOST_BYTES = 30, 20_000_000
RECORD = fields(
    {
        "overrides": list_of(text), "choices": map_of(text), "axes": list_of(text), "launcher": text,
        "sweeper": text, "config": plain,
    },
    config_dir=text, working_directory=text, started=text,
)  # fmt: skip
_SIGNATURE = "signature: "  # begins the last line; what stands before it is signed


@final
@dataclass(frozen=True, kw_only=True)
class Definition:
    """What a sweep is.

    Args:
        overrides: As typed, Hydra's settings too; secrets masked.
        config_dir: Value of `--config-dir`.
        choices: The option of each group in the first job.
        axes: Keys and groups that vary.
        launcher: Option of `hydra/launcher`.
        sweeper: Option of `hydra/sweeper`.
        config: Resolved config of the first job; secrets masked.
        working_directory: Where it was started: its conf/ and code lie there.
        started: When.
    """

    overrides: list[str]
    config_dir: str | None
    choices: dict[str, str]
    axes: list[str]
    launcher: str
    sweeper: str
    config: dict[str, Any]
    working_directory: str = field(default_factory=os.getcwd)
    started: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%S%z"))

    def write(self, directory: Path) -> None:
        """Writes `sweep.yaml`, signed for this user."""
        content = to_yaml(asdict(self))
        with storage_errors("writing the sweep's definition", directory):
            write_text(directory / DEFINITION, f"{content}{_SIGNATURE}{sign(content)}\n")

    @classmethod
    def read(cls, directory: Path) -> Self:
        """The definition of a sweep directory.

        Raises:
            CheckpointError: there is none, or it is damaged.
        """
        path = directory / DEFINITION
        try:
            value = parse_yaml(_split(path)[0])
            check_depth(value, DEEPEST)
            RECORD(value, "")
            return cls(**cast(dict[str, Any], value))
        except (OSError, *UNPARSABLE) as error:
            raise CheckpointError(f"cannot be read: {reason_of(error)}", where=str(path)) from error

    def check_own(self, directory: Path) -> None:
        """Raises unless this user started the sweep here: what it says chooses files, code and commands.

        Raises:
            SecurityError: someone else wrote it, or it was changed, or moved.
        """
        if self.working_directory != os.getcwd() or not is_signed(*_split(directory / DEFINITION)):
            raise SecurityError(
                "you have not started this sweep in this folder: it chooses files and code by itself",
                where=shown(directory / DEFINITION),
                fix=f"read it, then type its overrides yourself: {self.command}",
            )

    @property
    def command(self) -> str:
        """What to type to go on with it."""
        extra = [] if self.config_dir is None else ["--config-dir", self.config_dir]
        return shlex.join(["aiexp", "run", "-m", *map(str, self.overrides), *extra, "--resume"])

    def check_same(self, now: Self, directory: Path) -> None:
        """Raises unless a sweep composed now has the same jobs.

        Raises:
            CheckpointError: files of conf/ or what they read have changed; the message is the difference.
        """
        before, after = flatten(self.config), flatten(now.config)
        changed = [
            k
            for k in {**before, **after}
            if before.get(k, "nothing") != after.get(k, "nothing")
            and MASK not in f"{before.get(k)}{after.get(k)}"  # a secret may have been renewed
        ]
        if changed:
            what = "; ".join(show(key, before, after) for key in changed[:10])
            if len(changed) > 10:
                what += f"; and {len(changed) - 10} more"
            raise CheckpointError(
                f"the sweep's definition has changed since it was started: {what}", where=shown(directory),
                fix="restore the files of conf/, or start a new sweep",
            )  # fmt: skip


def _split(path: Path) -> tuple[str, str]:
    """A definition's text and its signature, which is "" where there is none."""
    content = read_bytes(path, MOST_BYTES).decode("utf-8")
    signed, mark, signature = content.rpartition(_SIGNATURE)
    return (signed, signature.strip()) if mark else (content, "")
