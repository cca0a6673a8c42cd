"""Makes docs/benchmarks.md of the numbers in docs/benchmarks/*.json.

    .venv/bin/python scripts/bench/mnist_cnn.py --json docs/benchmarks/mnist_cnn.json
    .venv/bin/python scripts/bench/report.py

A file has the name of the benchmark that wrote it, whose `claims` say what its numbers mean. `earlier.json`
holds claims that were typed by hand from runs of before, each with its date, processor and command.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from side import FIELDS, Claim

ROOT = Path(__file__).resolve().parents[2]
FOLDER, PAGE, EARLIER = ROOT / "docs/benchmarks", ROOT / "docs/benchmarks.md", "earlier"
HEAD = """# What was measured

Made by `scripts/bench/report.py` of docs/benchmarks/*.json; a test fails where this page is not what it
makes. Each row is one claim, measured by the command beside it. Against a peer both sides take turns in
one run, and the median of several rounds counts, so that a busy machine slows both; times of two
machines are not comparable. A goal that was missed says so. A row with a dagger was typed by hand from
a run on the day it bears, before later changes of the code; it was not repeated since.
"""


def rows() -> list[tuple[Claim, dict[str, Any]]]:
    """Every claim with how it was measured."""
    found: list[tuple[Claim, dict[str, Any]]] = []
    for path in sorted(FOLDER.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if path.stem == EARLIER:
            found += [(Claim(**row["claim"]), row["measured"]) for row in result]
        else:
            module = importlib.import_module(path.stem)
            found += [(claim, result["measured"]) for claim in module.claims(result)]
    return found


def page() -> str:
    """The whole page."""
    lines, each = [HEAD], rows()
    machines = list(dict.fromkeys(machine(measured) for _, measured in each))
    for field in FIELDS:
        here = [(claim, measured) for claim, measured in each if claim.field == field]
        if here:
            lines += [f"## {field}\n", "| what | measured | goal | by | on |", "|---|---|---|---|---|"]
            lines += [row(claim, measured, machines) for claim, measured in here]
            lines.append("")
    lines += ["## Machines\n", *(f"- {chr(65 + i)}: {name}" for i, name in enumerate(machines)), ""]
    missed = [claim for claim, _ in each if claim.is_met is False]
    met = sum(claim.is_met is True for claim, _ in each)
    lines.append(f"Of {met + len(missed)} goals {met} are met.\n")
    return "\n".join(lines)


def machine(measured: dict[str, Any]) -> str:
    """What it was measured on."""
    return f"{measured['cores']} cores of {measured['processor']}"


def row(claim: Claim, measured: dict[str, Any], machines: list[str]) -> str:
    """One line of a table."""
    goal = "" if not claim.goal else f"{claim.goal}: {'met' if claim.is_met else '**missed**'}"
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    letter = chr(65 + machines.index(machine(measured)))
    command = f"`{measured['command']}`"
    dagger = "" if "commit" in measured else "\u2020"  # typed by hand
    on = f"{letter}, {measured['date']}{dagger}, {versions}"
    return f"| {claim.what} | {claim.measured} | {goal} | {command} | {on} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit 1 where the page is stale")
    made = page()
    if parser.parse_args().check:
        sys.exit(
            0 if PAGE.read_text(encoding="utf-8") == made else f"{PAGE} is stale: run scripts/bench/report.py"
        )
    PAGE.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
