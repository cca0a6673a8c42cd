"""`aiexp init NAME`: a folder with a task, a model, a data set and their tests, which runs at once."""

import shlex
from pathlib import Path

from aiexp.command.flags import Flags
from aiexp.command.help import lacks_words
from aiexp.errors import ConfigError
from aiexp.text.terminal import out_lines

HELP = """\
usage: aiexp init NAME

Makes the folder NAME with a small experiment of your own, which runs at once:
YAML files in conf/, a task, a model and a data set as Python code, a test of
each, a README.md. Nothing is fetched. NAME is also that of the Python package:
lower-case letters, digits and _. A folder that holds something is left alone.
  aiexp init spirals
  cd spirals
  aiexp run task=spirals
"""
FLAGS = Flags("init")


def main(argv: list[str]) -> int:
    """Makes the folder, says what is in it and what to type."""
    words, _ = FLAGS.parse(argv)
    if not words:
        return lacks_words("init")
    if len(words) > 1:
        raise ConfigError(f"one name is wanted, not {len(words)}", where="aiexp init", fix="aiexp init NAME")
    from aiexp.project.made import make_project

    folder = Path(words[0])
    files = make_project(folder)
    lines = [str(path) for path in files if path.name != "__init__.py"]
    typed = shlex.quote(str(folder))
    lines += [
        "",
        f"next  cd {typed}",
        f"      aiexp run task={folder.name}",
        f"      aiexp check task={folder.name} --resume",
        "      pytest",
    ]
    out_lines("\n".join(lines))
    return 0
