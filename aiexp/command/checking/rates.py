"""`aiexp check --find-lr`: the loss at rising learning rates, as a table with bars."""

from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from aiexp.command.checking.bill import say
from aiexp.text.number import digits
from aiexp.text.terminal import out

ROWS, BAR = 20, 30  # at most; columns
KEY = "task.optimizer.lr"


def say_rates(config: DictConfig) -> dict[str, Any]:
    """Trains with rising rates; returns what a program wants to know of it.

    Args:
        config: Checked.

    Raises:
        ConfigError: no single rate can be looked for.
    """
    from aiexp.experiment import Experiment
    from aiexp.runs.rate_range import find_rates

    found = find_rates(Experiment.of(cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))))
    every = -(-len(found.rates) // ROWS)
    low, high = min(found.losses), max(found.losses[0], min(found.losses) + 1e-12)
    for rate, loss in list(zip(found.rates, found.losses, strict=True))[::every]:
        bar = "#" * round(BAR * min((loss - low) / (high - low), 1.0))
        out(f"  {rate:8.1e}  loss {digits(loss):>8}  {bar}".rstrip())
    if found.steepest is None:
        say("rate", "the loss never fell: the task does not learn in so few steps at any rate")
    else:
        key = KEY if OmegaConf.select(config, KEY) is not None else "the learning rate"
        say(
            "rate",
            f"{key}={found.steepest:.1e}: there the loss falls fastest; smallest at {found.smallest:.1e}",
        )
    return {
        "steepest": found.steepest,
        "smallest": found.smallest,
        "rates": found.rates,
        "losses": found.losses,
    }
