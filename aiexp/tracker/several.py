"""Several trackers for one run: `tracker=[wandb,tensorboard]`."""

from typing import Any, final

from aiexp.errors import ConfigError
from aiexp.tracker.base import Tracker


@final
class SeveralTrackers:
    """Trackers that follow the same run, each as if it were alone (`aiexp.tracker.following`).

    Args:
        trackers: By the names of their options.

    Raises:
        ConfigError: there are none, or something among them is no tracker.
    """

    def __init__(self, **trackers: Any) -> None:
        if not trackers:
            raise ConfigError("there is no tracker in the list", where="tracker", fix="tracker=none")
        self.trackers: dict[str, Tracker] = {}
        for name, tracker in trackers.items():
            if not isinstance(tracker, Tracker):
                fix = "leave it out, or give the block a _target_"
                raise ConfigError(f"'{tracker}' is no tracker", where=name, fix=fix)
            self.trackers[name] = tracker
