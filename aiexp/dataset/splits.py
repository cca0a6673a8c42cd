"""The names of the splits that every data set has or could have."""

from aiexp.errors import ConfigError, nearest

SPLITS = ("train", "eval", "test")


def check_split(split: str) -> None:
    """Raises `ConfigError` for a name that is none of them."""
    if split not in SPLITS:
        raise ConfigError(
            f"there is no split '{split}'.{nearest(split, SPLITS)}", fix=f"one of {', '.join(SPLITS)}"
        )
