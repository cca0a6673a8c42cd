"""`aiexp explain RUN INPUT...`: why a trained task answers as it does."""

from pathlib import Path

from aiexp.command.flags import TRUST, Flag, Flags, whole
from aiexp.errors import ConfigError, DataError
from aiexp.text.terminal import out, say

METHODS = ("integrated_gradients", "grad_cam", "saliency", "attention")
HELP = """\
usage: aiexp explain RUN INPUT... [flags]

Why a classifier, or a network that values actions, answers as it does: what
each word, pixel or number adds to the output of a class. INPUT is as for
aiexp predict. For each one a page, a picture and the numbers are written to
explanations/ in the run; a line says the answer, what is strongest, and by how
much the parts miss the whole (the completeness error). Of an episode (a seed)
its most decided moment is explained.

  integrated_gradients  what each part adds, compared with padding, black or 0
  grad_cam              where the last feature map speaks for it (pictures)
  saliency              the gradient of the output (pictures, numbers)
  attention             which words or patches a transformer looks at (texts,
                        pictures)

  aiexp explain outputs/latest "a film to remember"
  aiexp explain outputs/latest photo.png --target cat --out why/
"""
FLAGS = Flags(
    "explain",
    Flag("--method", "one of them; default: all that fit", choices=METHODS),
    Flag("--target", "name of the class, or its number from 0; default: the predicted one", value="CLASS"),
    Flag("--out", "the folder; default: explanations in the run", value="DIR"),
    Flag("--column", "of tables: which holds the inputs", value="NAME"),
    Flag("--step", "of the checkpoint; default: the best", value="N"),
    TRUST,
)  # fmt: skip


def main(argv: list[str]) -> int:
    """Explains; returns 0."""
    words, flags = FLAGS.parse(argv)
    if not words:
        from aiexp.command.help import lacks_words

        return lacks_words("explain")
    step = whole(flags, "step", 0)
    from aiexp.runs.loaded import load_run

    run = load_run(Path(words[0]), step=step, say=say)
    from aiexp.use.explaining.explain import FOLDER, Explaining, Folders, Request, keep
    from aiexp.use.reading import read_items

    inputs = run.task.inputs()
    request = Request(method=flags.get("method", ""), target=flags.get("target", ""))
    explaining = Explaining(run, inputs, request)
    if not words[1:]:
        raise ConfigError(f"nothing to explain: {inputs.noun} is wanted", fix="aiexp explain RUN INPUT...")
    target = Path(flags["out"]).expanduser() if "out" in flags else run.directory.path / FOLDER
    folders, count = Folders(target), 0
    for explanation in explaining.explanations(read_items(words[1:], inputs, flags.get("column", ""))):
        folder = folders.of(explanation.name)
        keep(explanation, folder)
        out(f"{explanation.line()}  {folder}")
        count += 1
    if not count:
        raise DataError("there was no input at all")
    return 0
