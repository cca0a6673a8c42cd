"""The page of metrics: what the trainer and every task say they log."""

import ast
import re
from pathlib import Path

from reference import docstrings
from reference.groups import group_files, public
from reference.keys import keys_of
from reference.markdown import code, prose

HEAD = """\
# Metrics

Every number is in `metrics.jsonl` of the run, at the step it belongs to, and in the trackers under the same
name. `train/` are means over the steps since the last line, `eval/` the validation split, `test/` the test
split at the end, `env/` an environment, `time/` seconds and rates.
"""


def page(package: Path) -> str:
    """The whole page."""
    parts = [HEAD, "## Of every run", ""]
    trainer = docstrings.of_node(_class(package / "trainer" / "trainer.py", "Trainer"))
    parts += [_listed(trainer.texts["Logs"]), ""]
    for name, (options, said) in tasks(package).items():
        parts += [f"## {name}", "", prose(said.summary), ""]
        links = ", ".join(f"[{code(option)}](config/task.md#{option})" for option in options)
        parts += [f"Tasks: {links}.", "", *_logs(said), ""]
    quality = docstrings.of_node(_class(package / "task/adversarial/sample_quality.py", "SampleQuality"))
    parts += ["## SampleQuality", "", prose(quality.summary), "", *_logs(quality), ""]
    return "\n".join(parts)


def tasks(package: Path) -> dict[str, tuple[list[str], docstrings.Docstring]]:
    """Class of tasks to the options that use it and its docstring."""
    found: dict[str, tuple[list[str], docstrings.Docstring]] = {}
    files = group_files()["task"]
    for name, option in public(files).items():
        target = keys_of(option, files)["_target_"].default
        module, _, cls = target.rpartition(".")
        path = package.parent / f"{module.replace('.', '/')}.py"
        found.setdefault(cls, ([], docstrings.of_node(_class(path, cls))))[0].append(name)
    return found


def _class(path: Path, name: str) -> ast.AST:
    tree = ast.parse(path.read_text("utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def _logs(said: docstrings.Docstring) -> list[str]:
    """What a docstring says under `Logs:` or `Metrics:`."""
    texts = [text for head, text in said.texts.items() if head.startswith(("Logs", "Metrics"))]
    return [_listed(text) for text in texts]


def _listed(text: str) -> str:
    """A sentence on metrics with their names as code."""
    name = re.compile(r"(?<![\w`/.])((?:train|eval|test|env|time)/[\w/]*|[a-z]+(?:_[a-z0-9]+)+)(?![\w`(.])")
    groups = [part.strip() for part in re.split(r"[;.]\s+(?=(?:eval|test|env|time)/)", text)]
    return "\n".join(f"- {prose(name.sub(_as_code, group))}" for group in groups)


def _as_code(found: re.Match[str]) -> str:
    return f"`{found[0]}`"
