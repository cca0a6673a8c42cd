"""`aiexp new task|model|dataset NAME`: one more of them in a project, with YAML, code and test."""

from pathlib import Path

from aiexp.command.flags import Flag, Flags
from aiexp.command.help import lacks_words
from aiexp.errors import ConfigError, nearest
from aiexp.text.terminal import out_lines

HELP = """\
usage: aiexp new task|model|dataset NAME

Adds a task, a model or a data set of your own to the project in this folder:
conf/<kind>/NAME.yaml, PACKAGE/<kind>/NAME.py and a test. It runs at once, and
is there to be changed. PACKAGE is what pyproject.toml names below [tool.aiexp],
or the only package here. Files that are there are left alone.
  aiexp new model wide          then: aiexp run task=... model=wide
  aiexp new dataset signals     then: aiexp list dataset signals
  aiexp new task ranking        takes model=ranking and dataset=ranking, if
                                there are such; else vector_mlp and digits
A project comes from: aiexp init NAME
"""
FLAGS = Flags("new", Flag("--package", "where the code goes; made if need be", value="PACKAGE"))
ACTIONS = ("task", "model", "dataset")
_THEN = {
    "task": "aiexp check task={name} --resume",
    "model": "aiexp run task=vector_classification model={name}",
    "dataset": "aiexp run task=vector_classification dataset={name}",
}


def main(argv: list[str]) -> int:
    """Writes the files, says which and what to type."""
    words, flags = FLAGS.parse(argv)
    if not words:
        return lacks_words("new")
    kind, *names = words
    if kind not in ACTIONS:
        raise ConfigError(
            f"'{kind}' is nothing that can be new.{nearest(kind, ACTIONS)}",
            where="aiexp new", fix=f"aiexp new {'|'.join(ACTIONS)} NAME",
        )  # fmt: skip
    if len(names) != 1:
        what = f"a new {kind} needs a name" if not names else f"one name is wanted, not {len(names)}"
        raise ConfigError(what, where=f"aiexp new {kind}", fix=f"aiexp new {kind} NAME")
    from aiexp.config.folders import shown
    from aiexp.project.made import add_part

    files = add_part(kind, names[0], Path.cwd(), flags.get("package"))
    tests = shown(files[-1])
    lines = [shown(path) for path in files]
    lines += ["", f"next  {_THEN[kind].format(name=names[0])}", f"      pytest {tests}"]
    out_lines("\n".join(lines))
    return 0
