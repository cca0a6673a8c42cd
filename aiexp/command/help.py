"""The help pages, for a terminal of 80 columns."""

from collections.abc import Mapping

_OVERVIEW = """\
aiexp: config-driven deep-learning experiments

usage: aiexp COMMAND ...

{commands}

  aiexp run                           train the default task, record the run
  aiexp run task=bert_finetune seed=1
  aiexp run -m seed=0,1,2             a sweep: one run for each value
  aiexp run --help                    how to choose and override
  aiexp list                          what there is to choose from

Add --help to any command. --version prints the version.
Completion: eval "$(aiexp completion bash)"   (or zsh, fish)"""

_RUN = """\
usage: aiexp run [GROUP=OPTION | KEY=VALUE] ... [flags, anywhere]

Composes one file of each group, checks it, trains, and leaves a run directory
in outputs/. A task brings its own model, data set and trainer.

  aiexp run                                 the default task
  aiexp run task=bert_finetune model=minilm choose by name
  aiexp run trainer.epochs=1 seed=1         change a value
  aiexp run --cfg job                       show every key and value
  aiexp run -m task.optimizer.lr=1e-4,3e-4 seed=0,1,2
                                            six runs, in one sweep directory

choose a group's option: GROUP=OPTION (`aiexp list GROUP` explains each)
{groups}

change a value: KEY=VALUE
  trainer.steps=100          a key that --cfg job shows
  +task.new=1                an argument that the YAML file leaves out
  ~task.old                  leave an argument out
  model.name=null            null, true, 3, 1e-4, text, [a,b], '{{k: v}}'
  'model.name="a b"'         text with spaces, commas or brackets

a sweep, -m: KEY=VALUE,VALUE,...  or range(0,5), choice(a,b), glob(*)
  All values are checked before the first job starts; a job that fails does
  not stop the others; exit code 9 then.

flags
  -m, --multirun        run the sweep
  --resume              with -m: go on with the newest sweep of this command
  --cfg job|hydra|all   print the config instead of running it
    --resolve             with ${{...}} filled in
    --package KEY         only this part
  --info [WHAT]         defaults, searchpath, plugins, ... as Hydra sees them
  --config-dir DIR      one more folder of options
  --trust PACKAGE       let a config name classes of this installed package
  --hydra-help          Hydra's own settings
  -h, --help            this page

your own: a file conf/task/mine.yaml here adds task=mine; `_target_:` in it may
name a class of a Python file here (my_lab.tasks.Mine). No fork, no install.
exit codes: 0 ok, 2 config, 3 data, 4 checkpoint, 5 hardware, 6 diverged,
7 memory, 8 storage, 9 jobs of a sweep failed, 10 refused, 1 bug"""


def overview(commands: Mapping[str, str]) -> str:
    """The page of `aiexp --help`."""
    width = max(map(len, commands)) + 2
    return _OVERVIEW.format(commands="\n".join(f"  {n:<{width}}{text}" for n, text in commands.items()))


def run_page() -> str:
    """The page of `aiexp run --help`, with the options there are."""
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
    return _RUN.format(groups="\n".join(lines))
