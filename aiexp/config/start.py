"""`start_from`: the runs whose weights a run begins with, as typed and as a config holds them.

`start_from=RUN` is short for `start_from.run=RUN`, for all networks; `start_from.model=RUN` is for one, by
the name of the task's attribute; `start_from.strict=false` takes what fits. In a config that is null, a run,
or a mapping.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from aiexp.config.dotted import flatten
from aiexp.config.problem import Problem

KEY, ALL, STRICT = "start_from", "run", "strict"
_TYPED = re.compile(rf"\+{{0,2}}{KEY}(?P<network>\.[^=]+)?=(?P<value>.*)", re.DOTALL)


def spelled_out(override: str) -> str:
    """An override of this key so that Hydra adds it to those before; any other as it is."""
    found = _TYPED.fullmatch(override)
    if found is None or (found["network"] is None and found["value"].lstrip()[:1] in ("", "{")):
        return override
    if found["network"] is None and found["value"].strip() == "null":
        return override
    return f"++{KEY}{found['network'] or f'.{ALL}'}={found['value']}"


def shorten(config: DictConfig) -> None:
    """Writes a run for all networks, and nothing else, as the value of the key itself."""
    value = OmegaConf.select(config, KEY, throw_on_resolution_failure=False)
    if isinstance(value, DictConfig) and list(value) == [ALL]:
        config[KEY] = value[ALL]


def starts(config: Mapping[str, Any]) -> dict[str, str]:
    """The run for each network by its name, those of "" (all networks) first; empty for a fresh start."""
    value = config.get(KEY)
    if value is None or isinstance(value, str):
        return {} if value is None else {"": value}
    runs = {name: run for name, run in flatten(value).items() if run is not None and name != STRICT}
    everything = {"": runs.pop(ALL)} if ALL in runs else {}
    return everything | runs


def is_strict(config: Mapping[str, Any]) -> bool:
    """Whether all weights must fit; else those that do are taken."""
    value = config.get(KEY)
    return not isinstance(value, dict) or cast(dict[str, Any], value).get(STRICT) is not False


def typed(network: str, run: object) -> str:
    """`start_from.model=RUN`, as a user types it."""
    return f"{KEY}{f'.{network}' if network else ''}={run}"


def start_problems(value: Any) -> list[Problem]:
    """What is wrong with the value of the key."""
    fix = f"{KEY}=RUN, {KEY}.<network>=RUN, {KEY}.{STRICT}=false"
    if value is None or (isinstance(value, str) and value.strip()):
        return []
    if not isinstance(value, dict):
        return [Problem(key=KEY, what=f"'{KEY}' is {value!r}, not a run directory", fix=fix)]
    problems: list[Problem] = []
    for name, run in flatten(cast(dict[str, Any], value)).items():
        is_flag = name == STRICT
        if isinstance(run, bool) if is_flag else run is None or (isinstance(run, str) and run.strip()):
            continue
        wanted = "true or false" if is_flag else "a run directory"
        problems.append(
            Problem(key=f"{KEY}.{name}", what=f"'{KEY}.{name}' is {run!r}, not {wanted}", fix=fix)
        )
    return problems
