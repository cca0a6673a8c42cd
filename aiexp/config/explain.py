"""Errors of YAML, OmegaConf and Hydra, said in one line with the file they come from."""

from pathlib import Path

from aiexp.conf_dir import PRIMARY, ConfDirs, shown
from aiexp.errors import AiexpError, ConfigError, nearest


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
    return ConfigError(what, where=where)


def _missing_option(text: str, dirs: ConfDirs) -> AiexpError:
    """Hydra's message on an option that a file's defaults list names and no folder has."""
    first = text.splitlines()[0]
    name = first.split("'")[-2] if first.count("'") >= 2 else first
    group, _, option = name.rpartition("/")
    options = dirs.options()
    origin = first.split("'")[1] if first.startswith("In '") else PRIMARY
    if group.startswith("hydra/"):
        what = f"no option '{option}' in group '{group}'"
        return ConfigError(what, where="command line", fix="install its Hydra plugin, or leave it out")
    near = nearest(option, options.get(group, {})) if group in options else nearest(name, options)
    fix = f"options are {' '.join(options[group])}" if group in options else f"groups are {' '.join(options)}"
    source = next(
        (o.path for g in options.values() for o in g.values() if f"{o.group}/{o.name}" == origin), None
    )
    return ConfigError(
        f"no option '{option}' in group '{group}'.{near}" if group else f"no file '{name}.yaml'.{near}",
        where=f"{shown(source)}: defaults" if source else origin,
        fix=fix,
    )
