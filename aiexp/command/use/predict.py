"""`aiexp predict RUN [INPUT...]`: what a trained task says of texts, pictures, seeds, ..."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from aiexp.command.flags import TRUST, Flag, Flags, whole
from aiexp.command.use.bar import bar
from aiexp.command.use.skipping import SKIP_BAD, Skipping
from aiexp.errors import AiexpError, ConfigError
from aiexp.storage.files import storage_errors
from aiexp.text.terminal import say

if TYPE_CHECKING:
    from aiexp.use.predicting import Answer
    from aiexp.use.writing import Writer

HELP = """\
usage: aiexp predict RUN [INPUT...] [flags]

What the task that a run has trained says of new inputs, by the run's best
checkpoint. INPUT is a file or a folder, a table (.csv, .tsv, .jsonl, .parquet)
with --column, a text file with an input a line, - for lines of stdin, or,
for tasks on texts, the text itself.

  aiexp predict outputs/latest "a film to remember"
  aiexp predict outputs/latest reviews.csv --column review --out answers.csv
  aiexp predict outputs/latest photos/            (a task on pictures)
  aiexp predict outputs/latest --count 64 --seed 0 --out samples/       (a GAN)
  aiexp predict outputs/latest "To be" --temperature 0.8     (a language model)
"""
FLAGS = Flags(
    "predict",
    Flag("--column", "of tables: which holds the inputs", value="NAME"),
    Flag("--format", "of the answers; text is the default", choices=("text", "jsonl", "csv")),
    Flag("--out", "into a file; pictures into a folder", value="PATH"),
    Flag("--batch-size", "inputs at a time (32)", value="N"),
    Flag("--step", "of the checkpoint; default: the best", value="N"),
    SKIP_BAD,
    Flag("--count", "how many samples or episodes", value="N"),
    Flag("--seed", "of the first of them, or of what a language model draws (0)", value="N"),
    Flag("--max-tokens", "that a language model makes (200)", value="N"),
    Flag("--temperature", "of a language model: 0 takes the most probable token (1)", value="X"),
    Flag("--top-k", "it draws from so many of the most probable tokens (0: all)", value="N"),
    Flag("--top-p", "from the fewest that together have this probability (1: all)", value="X"),
    Flag("--support", "a folder for each class with a few pictures, of few-shot tasks", value="FOLDER"),
    Flag("--direction", "of a translation of pictures", choices=("a_to_b", "b_to_a")),
    TRUST,
)  # fmt: skip
SETTINGS = (
    "count", "seed", "support", "direction", "max-tokens", "temperature", "top-k", "top-p",
)  # fmt: skip


def main(argv: list[str]) -> int:
    """Predicts; returns its exit code."""
    words, flags = FLAGS.parse(argv)
    if not words:
        from aiexp.command.help import lacks_words

        return lacks_words("predict")
    batch_size, step = whole(flags, "batch-size", 1), whole(flags, "step", 0)
    from aiexp.runs.loaded import load_run

    run = load_run(Path(words[0]), step=step, say=say)
    inputs = run.task.inputs()
    inputs.configure(**{name.replace("-", "_"): v for name, v in flags.items() if name in SETTINGS})
    from aiexp.use.predicting import predictions
    from aiexp.use.reading import named, read_items

    made = inputs.made()
    if not words[1:] and made is None:
        raise ConfigError(
            f"nothing to predict from: {inputs.noun} is wanted",
            where=run.shown,
            fix=f"aiexp predict {words[0]} {inputs.example}",
        )
    column = flags.get("column", "")
    items = read_items(words[1:], inputs, column, run.shown) if words[1:] else named(made or ())
    answers = predictions(run, inputs, items, batch_size=batch_size or 32)
    with ExitStack() as opened:
        writer = open_writer(flags, run.directory.path, opened)
        write(answers, writer, Skipping(is_allowed="skip-bad" in flags))
    return 0


def open_writer(flags: dict[str, str], run: Path, opened: ExitStack) -> "Writer":
    """Where answers go: stdout or a file, pictures into a folder."""
    from aiexp.use.writing import WRITERS

    target = flags.get("out")
    kind = flags.get("format") or {".csv": "csv", ".jsonl": "jsonl"}.get(Path(target or "").suffix, "text")
    stream: TextIO = sys.stdout
    pictures = run / "predictions"
    if target is not None:
        path = Path(target).expanduser()
        if (path.suffix or path.exists()) and not path.is_dir():
            opened.enter_context(storage_errors("writing answers", path, "--out FILE"))
            stream = opened.enter_context(path.open("w", encoding="utf-8", newline=""))
            pictures = path.with_suffix("")
        else:
            pictures = path
    return WRITERS[kind](stream, pictures)


def write(answers: Iterator["Answer"], writer: "Writer", skipping: Skipping) -> None:
    """Writes answers as they come.

    Raises:
        DataError: an input could not be read, and it does not skip; or none could.
    """
    with bar() as progress:
        for number, answer in enumerate(answers, 1):
            progress("predicted", number, None)
            if isinstance(answer.result, AiexpError):
                skipping.pass_over(answer.name, answer.result)
                continue
            writer.write(answer, answer.result)
            skipping.good += 1
    writer.stream.flush()
    skipping.end()
