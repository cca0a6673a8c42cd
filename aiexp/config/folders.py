"""The folders that hold the YAML files, and the options they offer. Imports neither Hydra nor YAML."""

import os
from dataclasses import dataclass
from pathlib import Path

from aiexp.errors import ConfigError

PRIMARY = "aiexp"
GROUPS = ("task", "model", "dataset", "trainer", "hardware", "tracker")


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One choice of a group.

    Args:
        group: `task`, or a nested `model/vision`.
        name: What is typed after `task=`.
        path: The YAML file.
        is_user: Whether it comes from the user's own folder.
        shadows: The built-in file of the same name that it replaces, if any.
    """

    group: str
    name: str
    path: Path
    is_user: bool
    shadows: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfDirs:
    """The folders searched, the user's own before the built-in one before `--config-dir`'s.

    Args:
        user: `./conf` or `$AIEXP_CONF`, when it exists and is not the built-in folder.
        builtin: The folder shipped with aiexp.
        extra: The folder named by `--config-dir`.
    """

    user: Path | None
    builtin: Path
    extra: Path | None = None

    def ordered(self) -> list[Path]:
        """Existing folders, the one that wins first."""
        return [d for d in (self.user, self.builtin, self.extra) if d is not None]

    def options(self) -> dict[str, dict[str, Option]]:
        """Group to option name to option, sorted, of every group except Hydra's own.

        Left out are files whose names begin with _: only other files build on them (`defaults: [_dqn, ...]`).
        """
        return {
            group: {name: option for name, option in options.items() if not name.startswith("_")}
            for group, options in self.files().items()
        }

    def hydra_options(self) -> dict[str, list[str]]:
        """Launchers and sweepers: `hydra/launcher` to their names, sorted."""
        found: dict[str, set[str]] = {}
        for directory in self.ordered():
            for path in (directory / "hydra").glob("*/*.yaml"):
                found.setdefault(f"hydra/{path.parent.name}", set()).add(path.stem)
        return {group: sorted(names) for group, names in sorted(found.items())}

    def files(self) -> dict[str, dict[str, Option]]:
        """The same with the files that only other files build on."""
        found: dict[str, dict[str, Option]] = {}
        for directory in reversed(self.ordered()):
            for path in _yaml_files(directory):
                group, name = path.relative_to(directory).parent.as_posix(), path.stem
                if group == "." or group.split("/")[0] == "hydra":
                    continue
                before = found.setdefault(group, {}).get(name)
                found[group][name] = Option(
                    group=group,
                    name=name,
                    path=path,
                    is_user=directory != self.builtin,
                    shadows=before.path if before else None,
                )
        order = {g: i for i, g in enumerate(GROUPS)}
        return {
            g: dict(sorted(found[g].items()))
            for g in sorted(found, key=lambda g: (order.get(g, len(order)), g))
        }


def conf_dirs(config_dir: str | None = None) -> ConfDirs:
    """The folders for the current working directory.

    Args:
        config_dir: Value of `--config-dir`: one more folder, which adds options but replaces none.

    Raises:
        ConfigError: a named folder does not exist, or the installation has no `conf/`.
    """
    builtin = builtin_dirs().builtin
    named = os.environ.get("AIEXP_CONF")
    user = Path(named or "conf").absolute()
    if named and not user.is_dir():
        raise ConfigError(
            f"no such folder: {named}", where="AIEXP_CONF", fix="name a folder or unset AIEXP_CONF"
        )
    extra = Path(config_dir).absolute() if config_dir is not None else None
    if extra is not None and not extra.is_dir():
        raise ConfigError(
            f"no such folder: {config_dir}", where="--config-dir", fix="name an existing folder"
        )
    is_overlay = user.is_dir() and user.resolve() != builtin
    return ConfDirs(user=user if is_overlay else None, builtin=builtin, extra=extra)


def builtin_dirs() -> ConfDirs:
    """The built-in folder alone.

    Raises:
        ConfigError: the installation has no `conf/`.
    """
    here = Path(__file__).resolve().parents[1]
    # In a wheel conf/ lies inside the package, in a checkout beside it.
    builtin = next(
        (d for d in (here / "conf", here.parent / "conf") if (d / f"{PRIMARY}.yaml").is_file()), None
    )
    if builtin is None:
        raise ConfigError(
            f"the installation lacks conf/{PRIMARY}.yaml", where=str(here), fix="install aiexp again"
        )
    return ConfDirs(user=None, builtin=builtin)


def shown(path: Path) -> str:
    """`path` relative to the working directory when below it, as people type it."""
    try:
        return path.absolute().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)


def _yaml_files(directory: Path) -> list[Path]:
    """Every YAML file below `directory`, hidden folders left out."""

    def stop(error: OSError) -> None:
        raise error  # or an option would be missing in silence

    files: list[Path] = []
    for parent, folders, names in os.walk(directory, onerror=stop):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        files += [Path(parent, n) for n in sorted(names) if n.endswith(".yaml")]
    return files
