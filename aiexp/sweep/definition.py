"""`sweep.yaml`: what a sweep is, as typed and as composed, so that it can be resumed and compared."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, cast, final

import yaml

from aiexp.config.folders import shown
from aiexp.errors import CheckpointError
from aiexp.rundir.changes import flatten, show
from aiexp.storage.files import storage_errors, write_text
from aiexp.text.secrets import MASK

DEFINITION = "sweep.yaml"


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
        started: When.
    """

    overrides: list[str]
    config_dir: str | None
    choices: dict[str, str]
    axes: list[str]
    launcher: str
    sweeper: str
    config: dict[str, Any]
    started: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%S%z"))

    def write(self, directory: Path) -> None:
        """Writes `sweep.yaml`."""
        with storage_errors("writing the sweep's definition", directory):
            write_text(
                directory / DEFINITION, yaml.safe_dump(asdict(self), sort_keys=False, allow_unicode=True)
            )

    @classmethod
    def read(cls, directory: Path) -> Self:
        """The definition of a sweep directory.

        Raises:
            CheckpointError: There is none, or it is damaged.
        """
        path = directory / DEFINITION
        try:
            value = yaml.safe_load(path.read_text(encoding="utf-8"))
            return cls(**cast(dict[str, Any], value))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"cannot be read: {reason}", where=str(path)) from error

    def check_same(self, now: Self, directory: Path) -> None:
        """Raises unless a sweep composed now has the same jobs.

        Raises:
            CheckpointError: Files of conf/ or what they read have changed; the message is the difference.
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
