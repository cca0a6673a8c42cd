"""CSV text: no cell is a formula, every number stays one."""

import csv
import io

import pytest

from aiexp.text.csv import csv_text


@pytest.mark.parametrize(
    "text", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "=", "--5", "1e5=", "-x"]
)
def test_a_formula_gets_an_apostrophe_where_it_would_be_one(text: str) -> None:
    [row] = csv.reader(io.StringIO(csv_text([["a", text]]), newline=""))
    assert row == ["a", "'" * (text[0] != "1") + text.replace("\r", "\n")]


@pytest.mark.parametrize("cell", [-1, -1.5e-9, "-1", "+2.5", "-1e-5", "-.5", "-inf", "nan", "-", "a=b", ""])
def test_numbers_and_other_texts_stay(cell: object) -> None:
    assert csv_text([[cell, "x"]]) == f"{cell},x\n"
