"""`aiexp compare`: which of many runs is better, and how sure that is. Imports no torch."""

import argparse
from pathlib import Path

from aiexp.errors import DataError


def main(argv: list[str]) -> int:
    """Prints the comparison of the runs named; returns 0."""
    parser = argparse.ArgumentParser(prog="aiexp compare")
    parser.add_argument("paths", nargs="*", type=Path, default=[Path("outputs")], metavar="PATH")
    parser.add_argument("--by", metavar="KEY")
    parser.add_argument("--metric", metavar="NAME")
    arguments = parser.parse_args(argv)

    from aiexp.compare.record import find_runs

    records = find_runs(arguments.paths)
    if not records:
        raise DataError("no runs found", where=", ".join(map(str, arguments.paths)))
    from rich.console import Console

    from aiexp.compare.study import compare
    from aiexp.compare.table import print_table

    print_table(compare(records, by=arguments.by, metric=arguments.metric), Console())
    return 0
