"""Which numbers torch's optimizers take, so that `lr=-1` is found before torch is imported, in every job."""

from typing import Any, cast

from aiexp.config.problem import Problem

PREFIX = "torch.optim."
AT_LEAST_0 = ("lr", "eps", "weight_decay", "momentum", "lr_decay", "rho")
BELOW_1 = ("betas",)  # each in [0, 1)


def check_optimizer(node: dict[str, Any], key: str) -> list[Problem]:
    """Numbers that the class would refuse when it is built.

    Args:
        node: With `_target_`; of other classes than torch's optimizers nothing is said.
        key: Of the node.
    """
    target = node.get("_target_")
    if not isinstance(target, str) or not target.startswith(PREFIX) or target.count(".") != 2:
        return []
    problems: list[Problem] = []
    for name in AT_LEAST_0:
        value = node.get(name)
        if isinstance(value, int | float) and not value >= 0:
            what = f"'{key}.{name}' is {value}, not a number >= 0"
            problems.append(Problem(key=f"{key}.{name}", what=what))
    for name in BELOW_1:
        values = node.get(name)
        pair = cast(list[Any], values) if isinstance(values, list) else []
        for value in pair:
            if isinstance(value, int | float) and not 0 <= value < 1:
                what = f"'{key}.{name}' holds {value}, not a number in [0, 1)"
                problems.append(Problem(key=f"{key}.{name}", what=what))
    return problems
