"""The shape that a stored value must have, declared: types, ranges, lengths, depth.

A shape is a function that takes a parsed value and its key, and raises `ShapeError` where it does not fit:

    fields({"step": whole(0)}, state=one_of("running", "finished"), metrics=map_of(number()))

`fields` takes required keys first and optional ones, which may be null, by name; keys that it does not know
are let through, for files that a later aiexp has added to.
"""

from collections.abc import Callable, Iterable
from typing import Any, NoReturn, cast

Shape = Callable[[Any, str], None]

LARGEST = 2**64  # what fits any counter; Python would read integers of thousands of digits
LARGEST_PLAIN = 10**300  # what fits a float, in a config


class ShapeError(ValueError):
    """A value does not have its shape; the message names the key."""


def _refuse(value: Any, key: str, wanted: str) -> NoReturn:
    shown = repr(value) if isinstance(value, str | float | bool | None) else f"a {type(value).__name__}"
    if isinstance(value, int) and not isinstance(value, bool):
        shown = str(value) if abs(value) <= LARGEST else "an integer of too many digits"
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    raise ShapeError(f"{key or 'the whole'} is {shown}, not {wanted}")


def whole(low: int = -LARGEST, high: int = LARGEST) -> Shape:
    """An integer in [low, high]."""

    def check(value: Any, key: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            _refuse(value, key, "a whole number" if low <= -LARGEST else f"a whole number from {low} on")

    return check


def number(value: Any, key: str) -> None:
    """An integer or a float; NaN and infinities are results too."""
    if not is_number(value):
        _refuse(value, key, "a number")


def is_number(value: Any) -> bool:
    """Whether a value is a number that a float can hold."""
    if isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST


def flag(value: Any, key: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        _refuse(value, key, "true or false")


def text(value: Any, key: str) -> None:
    """Text."""
    if not isinstance(value, str):
        _refuse(value, key, "text")


def anything(value: Any, key: str) -> None:
    """Whatever the file can hold."""


def one_of(*options: str) -> Shape:
    """One of some texts."""

    def check(value: Any, key: str) -> None:
        if not isinstance(value, str) or value not in options:
            _refuse(value, key, f"one of {', '.join(options)}")

    return check


def optional(shape: Shape) -> Shape:
    """Null, or of a shape."""

    def check(value: Any, key: str) -> None:
        if value is not None:
            shape(value, key)

    return check


def list_of(shape: Shape) -> Shape:
    """A list of values of one shape."""

    def check(value: Any, key: str) -> None:
        if not isinstance(value, list):
            _refuse(value, key, "a list")
        for i, item in enumerate(cast(list[Any], value)):
            shape(item, f"{key}[{i}]")

    return check


def pair(value: Any, key: str) -> None:
    """A list of two numbers."""
    list_of(number)(value, key)
    if len(value) != 2:
        _refuse(value, key, "a list of two")


def map_of(shape: Shape) -> Shape:
    """A mapping of texts to values of one shape."""

    def check(value: Any, key: str) -> None:
        items = _items(value, key)
        try:
            for _, item in items:
                shape(item, "")
        except ShapeError:  # names are put together only where they are needed: a second for a thousand runs
            for name, item in items:
                shape(item, f"{key}.{name}" if key else name)

    return check


def fields(required: dict[str, Shape] | None = None, /, **others: Shape) -> Shape:
    """A mapping with required keys, and others that may be missing or null."""
    required = required or {}
    shapes = required | {name: optional(shape) for name, shape in others.items()}

    def check(value: Any, key: str) -> None:
        found = dict(_items(value, key))
        for name, shape in shapes.items():
            inner = f"{key}.{name}" if key else name
            if name in found:
                shape(found[name], inner)
            elif name in required:
                raise ShapeError(f"{inner} is missing")

    return check


def step_and_numbers(value: Any, key: str) -> None:
    """A line of metrics: `step`, and numbers by their names."""
    for name, item in _items(value, key):
        number(item, name)
    whole(0)(value.get("step"), "step")


def plain(value: Any, key: str) -> None:
    """What a config is made of: null, true, numbers, text, lists, and mappings with such keys."""
    if isinstance(value, dict):
        for name, item in cast(dict[Any, Any], value).items():
            plain(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for i, item in enumerate(cast(list[Any], value)):
            plain(item, f"{key}[{i}]")
    elif isinstance(value, int) and not isinstance(value, bool):
        whole(-LARGEST_PLAIN, LARGEST_PLAIN)(value, key)
    elif not isinstance(value, str | float | bool | None):
        _refuse(value, key, "null, true, false, a number, text, a list or a mapping")


def _items(value: Any, key: str) -> Iterable[tuple[str, Any]]:
    if not isinstance(value, dict):
        _refuse(value, key, "a mapping")
    items = cast(dict[Any, Any], value).items()
    for name, _ in items:
        if not isinstance(name, str):
            _refuse(name, f"a key of {key}" if key else "a key", "text")
    return items


def check_depth(value: Any, deepest: int) -> None:
    """Raises `ShapeError` when lists and mappings are nested deeper than that; a level at a time."""
    level = [value]
    for _ in range(deepest):
        inner = (v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list))
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
        if not level:
            return
    raise ShapeError(f"nested more than {deepest} deep")
