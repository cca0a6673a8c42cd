"""The help pages, for a terminal of 80 columns."""

import importlib

from aiexp.command import COMMANDS, module_of
from aiexp.text.terminal import out_lines

_OVERVIEW = """\
aiexp: config-driven deep-learning experiments

usage: aiexp COMMAND ...

{commands}

  aiexp run                           train the default task, record the run
  aiexp run task=bert_finetune seed=1
  aiexp run -m seed=0,1,2             a sweep: one run for each value
  aiexp run --help                    how to choose and override
  aiexp list                          what there is to choose from

Add --help to any command, or type aiexp help COMMAND. --version: the version.
Completion: eval "$(aiexp completion bash)"   (or zsh, fish)"""


def overview() -> str:
    """The page of `aiexp --help`."""
    width = max(map(len, COMMANDS)) + 2
    return _OVERVIEW.format(commands="\n".join(f"  {n:<{width}}{text}" for n, text in COMMANDS.items()))


def page(command: str) -> str:
    """The page of `aiexp COMMAND --help`: its text, with its flags and, for `run`, the options."""
    module = importlib.import_module(module_of(command))
    text: str = module.HELP if "{flags}" in module.HELP else f"{module.HELP}\nflags\n{{flags}}\n"
    text = text.replace("{flags}", "\n".join(flag.help_lines() for flag in module.FLAGS.all))
    return text.replace("{groups}", _groups()) if "{groups}" in text else text


def lacks_words(command: str) -> int:
    """Shows the page of a command that was typed without its words; returns its exit code."""
    out_lines(page(command))
    return 2


def _groups() -> str:
    """Every group with its options."""
    import textwrap

    from aiexp.config.folders import conf_dirs

    options = conf_dirs().options()
    width = max(map(len, options)) + 2
    lines = [
        textwrap.fill(
            " ".join(names), 78, initial_indent=f"  {g:<{width}}", subsequent_indent=" " * (width + 2)
        )
        for g, names in options.items()
    ]
    return "\n".join(lines)
