"""`aiexp explain RUN INPUT...`: why a trained task answers as it does."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from aiexp.command.flags import TRUST, Flag, Flags, whole
from aiexp.command.use.bar import bar
from aiexp.command.use.skipping import SKIP_BAD, Skipping
from aiexp.errors import ConfigError, DataError
from aiexp.text.terminal import out, say

if TYPE_CHECKING:
    from aiexp.use.explaining.explain import Explaining
    from aiexp.use.reading import Item

MOST_COUNTED = 10_000  # inputs: they are listed before the first is explained, so that what is left is known
MOST_SHOWN = 10  # letters that no font has
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
    SKIP_BAD,
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
    from aiexp.use.explaining.explain import FOLDER, Explaining, Request
    from aiexp.use.reading import read_items

    inputs = run.task.inputs()
    request = Request(method=flags.get("method", ""), target=flags.get("target", ""))
    explaining = Explaining(run, inputs, request)
    if not words[1:]:
        raise ConfigError(f"nothing to explain: {inputs.noun} is wanted", fix="aiexp explain RUN INPUT...")
    items = read_items(words[1:], inputs, flags.get("column", ""), run.shown)
    total = None
    if "-" not in words[1:]:
        ahead = list(islice(items, MOST_COUNTED))
        items, total = chain(ahead, items), len(ahead) if len(ahead) < MOST_COUNTED else None
    target = Path(flags["out"]).expanduser() if "out" in flags else run.directory.path / FOLDER
    skipping = Skipping(is_allowed="skip-bad" in flags)
    try:
        explain(explaining, items, total, target, skipping)
    except KeyboardInterrupt:
        say(f"stopped   {skipping.good} explained, in {target}")
        raise
    skipping.end()
    return 0


def explain(
    explaining: "Explaining", items: "Iterator[Item]", total: int | None, target: Path, skipping: Skipping
) -> None:
    """Explains inputs one after the other, each kept before the next is begun.

    Raises:
        DataError: one cannot be read, and such are not passed over.
    """
    from aiexp.use.explaining.explain import Folders, keep

    folders, boxes = Folders(target), ""
    with bar() as progress:
        for number, item in enumerate(items):
            progress("explained", number, total)
            try:
                explanation = explaining.explanation(item)
            except DataError as error:
                skipping.pass_over(item.name, error)
                continue
            folder = folders.of(explanation.name)
            lacking = keep(explanation, folder)
            skipping.good += 1
            out(f"{explanation.line()}  {folder}")
            if lacking and not boxes:  # once: the others will lack like letters
                boxes = lacking
                say(boxes_line(boxes))


def boxes_line(letters: str) -> str:
    """What to do about letters that no font has."""
    some = letters if len(letters) <= MOST_SHOWN else f"{letters[:MOST_SHOWN]}..."
    return (
        f"boxes     no font here has {some}: explanation.png shows boxes, explanation.html is right; "
        "fix: install a font such as Noto Sans CJK (fonts-noto-cjk) or Symbola (fonts-symbola)"
    )
