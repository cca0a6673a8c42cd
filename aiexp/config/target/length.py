"""How long a run is: said once, in steps or in epochs, and known before torch is imported, in every job."""

from typing import Any

from aiexp.config.problem import Problem

TRAINER = "aiexp.trainer.trainer.Trainer"


def check_length(node: dict[str, Any], key: str) -> list[Problem]:
    """The problem of a trainer that is given both, or neither.

    Args:
        node: With `_target_`; of other classes nothing is said.
        key: Of the node.
    """
    if node.get("_target_") != TRAINER or not {"steps", "epochs"} <= node.keys():
        return []
    steps, epochs = node["steps"], node["epochs"]
    is_known = all(value is None or isinstance(value, int | float) for value in (steps, epochs))
    if not is_known or (steps is None) != (epochs is None):
        return []
    if steps is None:
        what, fix = "neither steps nor epochs", f"{key}.steps=100, or {key}.epochs=1"
    else:
        what = f"steps={steps} and epochs={epochs}: one of them is the length"
        fix = f"{key}.epochs=null to count steps, {key}.steps=null to count epochs"
    return [Problem(key=f"{key}.steps", what=f"'{key}' has {what}", fix=fix)]
