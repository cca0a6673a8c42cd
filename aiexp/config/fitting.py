"""Whether task, model and data set are of one field, by what they name: known before anything is built."""

from omegaconf import DictConfig, OmegaConf

from aiexp.config.described.header import field_of, read_header
from aiexp.config.folders import builtin_dirs
from aiexp.errors import TYPED, ConfigError

# What each field's tasks learn from, and the fields whose models they take besides their own.
LEARNS_FROM = {
    "numbers and tables": "numbers",
    "text": "texts",
    "language models": "running text",
    "tagging": "tagged sentences",
    "pretraining": "running text",
    "pictures": "pictures",
    "generating pictures": "pictures",
    "reinforcement learning": "environments",
    "few-shot and meta-learning": "episodes",
}
MODELS_OF = {
    "tagging": ("text",),
    "pretraining": ("text",),
    "pictures": ("few-shot and meta-learning",),
    "few-shot and meta-learning": ("pictures",),
}


def check_fields(full: DictConfig, choices: dict[str, str], typed: list[str]) -> None:
    """Raises the error for a data set or model of another field than the task.

    Args:
        full: Composed.
        choices: Group to option.
        typed: The words of the command line.

    Raises:
        ConfigError: names both.
    """
    task, model, dataset = (_field(full, group) for group in ("task", "model", "dataset"))
    if task not in LEARNS_FROM:
        return
    name = f"task {choices.get('task')}"
    if dataset in LEARNS_FROM and LEARNS_FROM[dataset] != LEARNS_FROM[task]:
        other = choices.get("dataset")
        raise ConfigError(
            f"{name} learns from {LEARNS_FROM[task]}, dataset {other} has {LEARNS_FROM[dataset]}",
            where=_where("dataset", choices, typed),
            fix=_instead("dataset", task, dataset),
            see="aiexp list dataset",
        )
    if model in LEARNS_FROM and model not in (task, *MODELS_OF.get(task, ())):
        raise ConfigError(
            f"{name} takes models for {task}, model {choices.get('model')} is for {model}",
            where=_where("model", choices, typed),
            fix=_instead("model", task, model),
            see="aiexp list model",
        )


def _instead(group: str, field: str, other: str) -> str:
    """What fits: an option of the group for the task's field, or a task of the other's field."""
    tasks = builtin_dirs().options()["task"]
    of_other = [name for name, option in tasks.items() if read_header(option, tasks).field == other]
    return f"a {group} for {field}: aiexp list {group}; or task={' or '.join(of_other[:3])}"


def _where(group: str, choices: dict[str, str], typed: list[str]) -> str:
    """The word that chose an option, or the task's, which did."""
    words = [f"{name}={choices.get(name)}" for name in (group, "task")]
    return next((f"{TYPED}{word}" for word in words if word in typed), group)


def _field(full: DictConfig, group: str) -> str:
    """The field of a group's target; "" where it names none, or is the user's own."""
    target = OmegaConf.select(full, f"{group}._target_", throw_on_missing=False)
    return field_of(target) if isinstance(target, str) else ""
