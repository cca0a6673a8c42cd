"""Nested configs by dotted keys."""

from collections.abc import Mapping
from typing import Any, cast


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted keys."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict) and item:
            flat |= flatten(cast(dict[str, Any], item), f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = item
    return flat
