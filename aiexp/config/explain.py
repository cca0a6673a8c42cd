"""Errors of YAML, OmegaConf and Hydra, said in one line with the file they come from."""

import re
from pathlib import Path

from aiexp.config.folders import PRIMARY, ConfDirs, shown
from aiexp.errors import AiexpError, ConfigError, nearest

_OVERRIDE = re.compile(r"In '([^']+)': Could not override '([^']+)'")


def explain(error: BaseException, dirs: ConfDirs, *, where: str = "") -> AiexpError:
    """The error to show instead of one of YAML's, OmegaConf's or Hydra's.

    Args:
        error: What was raised.
        dirs: The folders searched.
        where: The word of the command line it is about, if known.
    """
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    for e in chain:
        if isinstance(e, AiexpError):
            return e
        mark = getattr(e, "problem_mark", None)
        if mark is not None:
            where = f"{shown(Path(mark.name))}: line {mark.line + 1}"
            return ConfigError(f"not valid YAML: {getattr(e, 'problem', e)}", where=where)
    lines = [line for e in reversed(chain) for line in str(e).splitlines()[:1] if line.strip()]
    missing = next((e for e in chain if type(e).__name__ == "MissingConfigException"), None)
    if missing is not None:
        return _missing_option(str(missing), dirs)
    what = "; ".join(dict.fromkeys(lines)) or type(error).__name__
    unknown = _OVERRIDE.search(str(error))
    if unknown:
        near = nearest(unknown[2].split("@")[0], dirs.options())
        what = f"the defaults override '{unknown[2]}', which is no group.{near}"
        path = _file_of(unknown[1], dirs)
        where = f"{shown(path)}: defaults" if path else unknown[1]
    return ConfigError(what, where=where)


def _missing_option(text: str, dirs: ConfDirs) -> AiexpError:
    """Hydra's message on an option that a file's defaults list names and no folder has."""
    first = text.splitlines()[0]
    name = first.split("'")[-2] if first.count("'") >= 2 else first
    group, _, option = name.rpartition("/")
    if group.startswith("hydra/"):
        what = f"no option '{option}' in group '{group}'"
        return ConfigError(what, where="command line", fix="install its Hydra plugin, or leave it out")
    options = dirs.options()
    origin = first.split("'")[1] if first.startswith("In '") else PRIMARY
    path = _overriding_file(group, option, dirs) or _file_of(origin, dirs)
    where = f"{shown(path)}: defaults" if path else origin
    if group not in options:
        what = f"no option '{option}' in group '{group}'" if group else f"no file '{name}.yaml'"
        return ConfigError(
            f"{what}.{nearest(group or name, options)}", where=where, fix=f"groups are {' '.join(options)}"
        )
    what = f"no option '{option}' in group '{group}'.{nearest(option, options[group])}"
    return ConfigError(
        what, where=where, fix="options are", options=options[group], see=f"aiexp list {group}"
    )


def _file_of(name: str, dirs: ConfDirs) -> Path | None:
    """The file that Hydra calls `task/mine`, or `aiexp`."""
    paths = (d / f"{name}.yaml" for d in dirs.ordered())
    return next((p for p in paths if p.is_file()), None)


def _overriding_file(group: str, option: str, dirs: ConfDirs) -> Path | None:
    """The file whose defaults list has `override /group: option`; Hydra names the primary one instead."""
    line = re.compile(rf"override\s+/?{re.escape(group)}(@[\w.]+)?\s*:\s*{re.escape(option)}\b")
    files = (o.path for options in dirs.files().values() for o in options.values())
    return next((p for p in files if line.search(p.read_text(encoding="utf-8", errors="replace"))), None)
