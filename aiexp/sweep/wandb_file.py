"""A W&B sweep file whose agents call `aiexp run`: every key and value is checked before it is registered.

method: bayes
metric: {name: eval/accuracy, goal: maximize}
command: [aiexp, run, task=mnist_cnn, "${args_no_hyphens}"]
parameters:
  task.optimizer.lr: {distribution: log_uniform_values, min: 1.0e-4, max: 0.1}
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

import yaml

from aiexp.config.axes import compose_each, probes
from aiexp.config.composed import Composed
from aiexp.config.overrides import parse
from aiexp.config.problem import raise_all
from aiexp.errors import AiexpError, ConfigError, nearest, reason_of

ARGUMENTS = "${args_no_hyphens}"
COMMAND = ["${env}", "aiexp", "run", ARGUMENTS]
KEYS = ("method", "parameters", "metric", "command", "name", "description", "project", "entity", "program",
        "run_cap", "early_terminate", "controller", "settings", "display_name")  # fmt: skip
METHODS = ("grid", "random", "bayes")
GOALS = ("maximize", "minimize")


@final
@dataclass(frozen=True, kw_only=True)
class SweepFile:
    """A checked file.

    Args:
        document: What W&B gets, with the command filled in.
        first: Config of a run with the first value of each parameter.
    """

    document: dict[str, Any]
    first: Composed


def read_sweep_file(path: Path) -> SweepFile:
    """Reads and checks a file.

    Raises:
        ConfigError: it cannot be read, or is no sweep of `aiexp run`.
        ConfigErrors: parameters that do not exist, values that do not fit; all of them at once.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot be read: {reason_of(error)}", where=str(path)) from error
    if not isinstance(document, dict):
        raise ConfigError("is no W&B sweep: not a mapping", where=str(path), fix="see aiexp sweep --help")
    document = cast(dict[str, Any], document)
    _check_frame(document, path)
    document["command"] = document.get("command") or COMMAND
    fixed = _words_of(document["command"], path)
    first = _check_values(fixed, document["parameters"], path)
    return SweepFile(document=document, first=first)


def _check_frame(document: dict[str, Any], path: Path) -> None:
    """Everything but the parameters' names and values."""
    for key in document:
        if key not in KEYS:
            raise ConfigError(
                f"unknown key '{key}'.{nearest(str(key), KEYS)}",
                where=str(path),
                fix=f"keys are {' '.join(KEYS)}",
            )
    method, metric = document.get("method"), document.get("metric")
    if method not in METHODS:
        raise ConfigError(
            f"method is '{method}'.{nearest(str(method), METHODS)}", where=f"{path}: method",
            fix=f"one of {', '.join(METHODS)}",
        )  # fmt: skip
    if not isinstance(document.get("parameters"), dict) or not document["parameters"]:
        raise ConfigError("no parameters", where=f"{path}: parameters", fix="KEY: {values: [A, B]}")
    if metric is None and method == "bayes":
        raise ConfigError(
            "method bayes needs a metric", where=f"{path}: metric",
            fix="metric: {name: eval/accuracy, goal: maximize}",
        )  # fmt: skip
    if metric is not None and (not isinstance(metric, dict) or metric.get("goal") not in GOALS):
        raise ConfigError(
            "the metric needs a name and a goal", where=f"{path}: metric",
            fix="metric: {name: eval/accuracy, goal: maximize}, or minimize",
        )  # fmt: skip


def _words_of(command: Any, path: Path) -> list[str]:
    """The overrides that a command gives every run."""
    where = f"{path}: command"
    fix = f'command: [aiexp, run, task=NAME, "{ARGUMENTS}"]'
    words = [str(w) for w in command] if isinstance(command, list) else []
    starts = [
        i for i, w in enumerate(words[:-1]) if w.rsplit("/", 1)[-1] == "aiexp" and words[i + 1] == "run"
    ]
    if not starts:
        raise ConfigError("the command does not call aiexp run", where=where, fix=fix)
    words = words[starts[0] + 2 :]
    if ARGUMENTS not in words:
        raise ConfigError(f"the command lacks {ARGUMENTS}, the parameters as KEY=VALUE", where=where, fix=fix)
    if {"-m", "--multirun"} & set(words):
        raise ConfigError("-m in the command: an agent's run is one job", where=where, fix=fix)
    return [w for w in words if not w.startswith("${")]


def _check_values(fixed: list[str], parameters: dict[str, Any], path: Path) -> Composed:
    """Composes a run for every value of every parameter; the config of the first."""
    errors: list[AiexpError] = []
    axes: list[list[str]] = []
    for name, spec in parameters.items():
        try:
            axes.append([_word(name, value, path) for value in _values(name, spec, path)])
        except AiexpError as error:
            errors.append(error)
    raise_all(errors)
    first = compose_each(([*fixed, *words] for words in probes(axes)), errors)
    assert first is not None
    return first


def _values(name: str, spec: Any, path: Path) -> list[Any]:
    """What a parameter may become: every listed value, or the ends of its range and one between."""
    where = f"{path}: parameters.{name}"
    if not isinstance(spec, dict):
        raise ConfigError("no mapping", where=where, fix=f"{name}: {{values: [A, B]}}")
    spec = cast(dict[str, Any], spec)
    if "parameters" in spec:
        inner = next(iter(cast(dict[str, Any], spec["parameters"])), "KEY")
        raise ConfigError(
            "nested parameters reach a command as one word", where=where, fix=f"write {name}.{inner}:"
        )
    if "value" in spec or "values" in spec:
        values = [spec["value"]] if "value" in spec else spec["values"]
        if not isinstance(values, list) or not values:
            raise ConfigError("no values", where=where, fix=f"{name}: {{values: [A, B]}}")
        return cast(list[Any], values)
    low, high = spec.get("min", spec.get("mu")), spec.get("max", spec.get("mu"))
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        raise ConfigError(
            f"no numbers to draw from (min {low}, max {high}); YAML reads 1e-4 as text, 1.0e-4 as a number",
            where=where, fix=f"{name}: {{min: 0.0, max: 1.0}}",
        )  # fmt: skip
    kind = str(spec.get("distribution", ""))
    are_whole = isinstance(low, int) and isinstance(high, int)
    if kind.startswith(("int", "q_")) or (not kind and are_whole):
        return [low, high]
    if "log" in kind and not kind.endswith("values"):
        raise ConfigError(
            f"{kind} takes exponents of e",
            where=where,
            fix="distribution: log_uniform_values takes the values",
        )
    return [low + (high - low) * 0.37, float(low), float(high)]


def _word(name: str, value: Any, path: Path) -> str:
    """What an agent puts on the command line, if Hydra's grammar reads it as one value."""
    where = f"{path}: parameters.{name}"
    if value is None:
        raise ConfigError("an agent types null as None, which is text", where=where, fix='write "null"')
    word = f"{name}={value}"
    errors: list[AiexpError] = []
    parsed = parse([word], errors)
    if errors or parsed[0].is_sweep_override():
        raise ConfigError(
            f"'{value}' is not one value on the command line",
            where=where,
            fix=f"quote it twice: \"'{value}'\"",
        )
    return word
