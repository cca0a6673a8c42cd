"""`tracker=[wandb,tensorboard]`: groups of which one run may take several options at once.

The list counts as one more option of the group, whose file is made up (loader.py): each option in a block of
its own name, so that `tracker.wandb.mode=offline` is a key, and a `_target_` that takes the blocks.
"""

TARGETS = {"tracker": "aiexp.tracker.several.SeveralTrackers"}


def listed_name(options: list[str]) -> str:
    """The name of a list of options: `[wandb,tensorboard]`."""
    return f"[{','.join(options)}]"


def listed(name: str) -> list[str]:
    """The options that such a name stands for; none for any other."""
    return name[1:-1].split(",") if name.startswith("[") and name.endswith("]") else []
