"""The README.md of an exported folder: what it is, what it can do, how to load it, what not to expect."""

import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from aiexp.config.dotted import flatten
from aiexp.prediction.network import Network
from aiexp.rundir.file import ENVIRONMENT
from aiexp.source.catalog.entries import ENTRIES, find_entry
from aiexp.storage.reader import to_yaml
from aiexp.use.exporting.form import Form
from aiexp.use.exporting.quantization import Quantized
from aiexp.use.exporting.results import Result, results_of
from aiexp.use.exporting.snippet import dtype_of, snippet

if TYPE_CHECKING:
    from aiexp.runs.loaded import LoadedRun


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What became of one network.

    Args:
        name: Of the network.
        network: The network.
        file: Its file; "" where a form has none of its own.
        largest_difference: From the trained network.
        tried_on: On what, as a phrase.
        quantized: Its copy in 8 bits.
    """

    name: str
    network: Network
    file: str
    largest_difference: float
    tried_on: str
    quantized: Quantized | None = None

    def record(self) -> dict[str, Any]:
        """JSON values for programs."""
        small = self.quantized
        return {
            "file": self.file,
            "inputs": {
                name: {
                    "sizes": list(port.sizes),
                    "dtype": dtype_of(port.dtype),
                    "limits": {size: list(limit) for size, limit in port.limits.items()},
                }
                for name, port in self.network.inputs.items()
            },
            "outputs": list(self.network.outputs),
            "largest_difference": self.largest_difference,
            "tried_on": self.tried_on,
            **({} if small is None else {"int8": {k: getattr(small, k) for k in type(small).__slots__}}),
        }


def card(run: "LoadedRun", form: Form, title: str, made: Sequence[Exported], files: Sequence[str],
         fetched: Sequence[str]) -> str:  # fmt: skip
    """The README.

    Args:
        run: The run.
        form: How it was exported.
        title: Of the page.
        made: The networks.
        files: What lies beside them.
        fetched: Names in the catalog of what the data came from.
    """
    task = type(run.task)
    classes = classes_of(run)
    parts = [
        f"# {title}",
        f"{(inspect.getdoc(task) or task.__name__).splitlines()[0]} Trained with aiexp to step {run.step}.",
        *_networks(made),
        "## Results",
        _results(*results_of(run.directory.path)),
        "## Data",
        _data(run, fetched),
        "## How to load it",
        f"In this folder:\n\n```python\n{snippet(form, made[0].name, made[0].network, files, classes)}\n```",
        "## Limits",
        _limits(made, classes),
        "## Config",
        f"```yaml\n{to_yaml(run.config).rstrip()}\n```",
    ]
    front = to_front({"library_name": "aiexp", "tags": ["aiexp", task.__name__]})
    return front + "\n\n".join(parts) + "\n"


def classes_of(run: "LoadedRun") -> list[str]:
    """The names of the classes, of a task that has some."""
    names = run.task.describe().get("id2label")
    return [str(name) for name in names.values()] if isinstance(names, dict) else []


def to_front(values: dict[str, Any]) -> str:
    """A header of YAML, in which every text is quoted as in JSON."""
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items() if value]
    return "\n".join(["---", *lines, "---", "", ""])


def _networks(made: Sequence[Exported]) -> list[str]:
    """What there is of each network."""
    parts: list[str] = ["## Networks"]
    for one in made:
        takes = ", ".join(
            f"`{name}` {dtype_of(port.dtype)} ({', '.join(map(str, port.sizes))})"
            for name, port in one.network.inputs.items()
        )
        limits = {size: limit for port in one.network.inputs.values() for size, limit in port.limits.items()}
        bounds = "".join(f"; {size} from {low} to {high}" for size, (low, high) in limits.items())
        file, text = f" (`{one.file}`)" if one.file else "", one.network.text
        lines = [
            f"**{one.name}**{file}{f': {text}' if text else ''}",
            f"- takes {takes}{bounds}",
            f"- returns {', '.join(f'`{name}`' for name in one.network.outputs)}",
            f"- differs from the trained network by at most {one.largest_difference:.1e} "
            f"(fp32, {one.tried_on}, and made-up ones of other sizes)",
        ]
        if one.quantized is not None:
            lines.append(f"- in 8 bits: {one.quantized.line()}")
        parts.append("\n".join([lines[0], "", *lines[1:]]))
    return parts


def _results(results: Sequence[Result], num_runs: int) -> str:
    """A table of metrics."""
    if not results:
        return "The run has logged no results."
    several = any(result.center is not None for result in results)
    rows = ["| metric | this run |" + (f" mean of {num_runs} seeds | 95 % interval |" if several else "")]
    rows.append("|---|---|" + ("---|---|" if several else ""))
    for result in results:
        row = f"| {result.name} | {result.value:.4f} |"
        if several:
            middle = "" if result.center is None else f"{result.center:.4f}"
            interval = result.interval
            row += f" {middle} | {f'{interval.low:.4f} to {interval.high:.4f}' if interval else ''} |"
        rows.append(row)
    if not several:
        rows += ["", "One run only: what another seed would have given is not known."]
    return "\n".join(rows)


def _data(run: "LoadedRun", fetched: Sequence[str]) -> str:
    """What it was trained on, with licences."""
    choices, _ = run.directory.read_typed()
    recorded = run.directory.read_json(ENVIRONMENT).get("dataset") or {}
    sizes = ", ".join(f"{n} {split}" for split, n in (recorded.get("examples") or {}).items())
    lines = [f"`dataset={choices.get('dataset', '?')}`{f': {sizes}' if sizes else ''}."]
    lines += [f"- {name}: {find_entry(name).what}. Licence: {find_entry(name).licence}." for name in fetched]
    if not fetched:
        lines.append("- Its licence is not known to aiexp: whoever passes this on has to say it.")
    values = [value for key, value in flatten(run.config).items() if key.startswith("model.")]
    names = {value for value in values if isinstance(value, str)}
    for name in sorted(names & ENTRIES.keys() - set(fetched)):
        entry = find_entry(name)
        lines.append(f"- pretrained weights, {name}: {entry.what}. Licence: {entry.licence}.")
    return "\n".join([lines[0], "", *lines[1:]])


def _limits(made: Sequence[Exported], classes: Sequence[str]) -> str:
    """What not to expect of it."""
    lines = ["- It has seen nothing but the data above; on other data its results are not known."]
    if classes:
        names = ", ".join(list(classes)[:20]) + (", ..." if len(classes) > 20 else "")
        lines.append(
            f"- It answers every input with one of {len(classes)} classes ({names}), also where none fits."
        )
        lines.append("- Probabilities (softmax of the outputs) have not been calibrated.")
    if any(one.quantized for one in made):
        lines.append(
            "- The copy in 8 bits is for size; whether it is faster depends on the processor (above)."
        )
    return "\n".join(lines)
