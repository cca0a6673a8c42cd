"""What errors say."""

import pytest

from aiexp.errors import reason_of


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("two\n  lines"), "two lines"),
        (ValueError("x" * 300), "x" * 200),
        (TimeoutError(), "TimeoutError"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deep"),
    ],
)
def test_a_foreign_exception_is_said_on_one_short_line(error: Exception, said: str) -> None:
    assert reason_of(error) == said
