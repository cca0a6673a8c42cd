"""By which number a run is judged, and which way it is better: the one answer of every command.

What a user monitors comes first, then what the task itself says of its metrics (`Evaluation.better`, kept in
status.json). Names are not guessed from, but for a loss, which is what training minimises.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

Better = Literal["max", "min"]  # which values of a metric are better: large ones or small ones

SPLITS = ("test/", "eval/", "train/")


def selection(value_of: Callable[[str], Any]) -> tuple[str | None, Better]:
    """The metric that `trainer.selection` of a config monitors, and which way it is better.

    Args:
        value_of: The value of a dotted key of the config, or None.
    """
    monitor, mode = (value_of(f"trainer.selection.{key}") for key in ("monitor", "mode"))
    return (monitor if isinstance(monitor, str) else None), "min" if mode == "min" else "max"


def direction(name: str, value_of: Callable[[str], Any], better: Mapping[str, str]) -> Better | None:
    """Which way a metric of a run is better; None where nobody has said so.

    Args:
        name: Its full name.
        value_of: The value of a dotted key of the run's config, or None.
        better: What the run's task says, by full names; the same metric of another split will do.
    """
    leaf = name.rpartition("/")[2]
    monitor, mode = selection(value_of)
    if monitor is not None and monitor.rpartition("/")[2] == leaf:
        return mode
    said = better.get(name) or next((w for n, w in better.items() if n.rpartition("/")[2] == leaf), None)
    if said is None and leaf.startswith("loss"):
        said = "min"
    return "max" if said == "max" else "min" if said == "min" else None


def candidates(
    metrics: Collection[str], value_of: Callable[[str], Any], better: Mapping[str, str]
) -> list[str]:
    """All metrics of a run, the one that it is judged by first, then what would do instead.

    The task's reference value, what the run selects its checkpoint by, on the test split before the others;
    then metrics whose direction is known, a loss after the others.
    """
    monitor, _ = selection(value_of)
    wanted = [value_of("task.reference.metric"), monitor and f"test/{monitor.rpartition('/')[2]}", monitor]

    def rank(name: str) -> tuple[bool, int, bool, bool]:
        split = next((i for i, prefix in enumerate(SPLITS) if name.startswith(prefix)), len(SPLITS))
        is_unknown = direction(name, value_of, better) is None
        return name == "train/epoch", split, is_unknown, name.endswith("/loss")

    order: dict[str, None] = dict.fromkeys([*(str(name) for name in wanted), *sorted(metrics, key=rank)])
    return [name for name in order if name in metrics]
