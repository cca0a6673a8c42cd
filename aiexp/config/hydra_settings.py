"""Which of Hydra's own settings a user may change; the rest aiexp sets itself or refuses."""

from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from aiexp.config.problem import Problem

_REFUSED = (
    "hydra.job_logging",
    "hydra.hydra_logging",
    "hydra.callbacks",
    "hydra.searchpath",
    "hydra.job.env_set",
)
_ALLOWED = ("hydra.launcher.", "hydra.sweeper.", "hydra.verbose")
_GROUPS = ("hydra.launcher", "hydra.sweeper")
_OWN_PLUGINS = "hydra_plugins.aiexp."
_INSTEAD = {
    "hydra.run.dir": "use outputs=FOLDER",
    "hydra.sweep.dir": "use outputs=FOLDER",
    "hydra.sweep.subdir": "use outputs=FOLDER",
    "hydra.mode": "use -m for a sweep",
}


def is_hydra_setting(text: str) -> bool:
    """Whether an override concerns Hydra, not the experiment."""
    return text.lstrip("+~").partition("=")[0].replace("/", ".").split(".")[0].split("@")[0] == "hydra"


def check_override(text: str) -> Problem | None:
    """What is wrong with an override of Hydra's settings; None when allowed or about something else."""
    name, _, value = text.lstrip("+~").partition("=")
    key = name.split("@")[0].replace("/", ".")
    if not is_hydra_setting(text):
        return None
    if any(key == r or key.startswith(r + ".") for r in _REFUSED):
        what = f"'{name}' is refused: it makes Hydra run or read what a config names"
        return Problem(key=name, what=what, fix="leave it out; aiexp writes run.log itself", is_refusal=True)
    if "_target_" in key or "_target_" in value or "()" in text:
        return Problem(
            key=name, what=f"'{text}' is refused: it names code for Hydra to call", is_refusal=True
        )
    if key in _GROUPS:
        slashed = name.replace(".", "/")
        if name != slashed:
            return Problem(
                key=name, what=f"'{name}' is a group, chosen with a slash", fix=f"type {slashed}={value}"
            )
        return None
    if key.startswith(_ALLOWED):
        return None
    fix = _INSTEAD.get(key, "leave it out; hydra/launcher, hydra/sweeper and their settings can be changed")
    return Problem(key=name, what=f"'{name}' is set by aiexp itself", fix=fix)


def check_node(node: DictConfig) -> list[Problem]:
    """What is refused in the composed Hydra node, wherever it was written."""
    from hydra.core.plugins import Plugins

    problems: list[Problem] = []
    for name in ("job_logging", "hydra_logging"):
        if _calls(OmegaConf.to_container(node[name])) or (node[name] or {}).get("root") is not None:
            what = f"'hydra.{name}' is refused: a logging config can name code to call"
            problems.append(Problem(key=f"hydra.{name}", what=what, fix="leave it out", is_refusal=True))
    for name in ("callbacks", "searchpath"):
        if node.get(name):
            what = f"'hydra.{name}' is refused: it makes Hydra run or read what a config names"
            problems.append(Problem(key=f"hydra.{name}", what=what, fix="leave it out", is_refusal=True))
    if node.job.env_set:
        what = "'hydra.job.env_set' is refused: export the variable in the shell"
        problems.append(Problem(key="hydra.job.env_set", what=what, is_refusal=True))
    for name in ("launcher", "sweeper"):
        target = str(OmegaConf.select(node, f"{name}._target_", default=_OWN_PLUGINS))
        if target not in Plugins.instance().class_name_to_class and not target.startswith(_OWN_PLUGINS):
            what = f"'{target}' is refused: it is no {name} of an installed Hydra plug-in"
            problems.append(Problem(key=f"hydra.{name}", what=what, is_refusal=True))
    return problems


def _calls(value: Any) -> bool:
    """Whether a logging config has a callable (`()` or `class`) anywhere."""
    if isinstance(value, dict):
        return any(k in ("()", "class") or _calls(v) for k, v in cast(dict[Any, Any], value).items())
    return isinstance(value, list) and any(_calls(v) for v in cast(list[Any], value))
