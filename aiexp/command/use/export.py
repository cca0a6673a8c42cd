"""`aiexp export RUN --to FORM`: a trained task's networks as files for elsewhere."""

from pathlib import Path

from aiexp.command.flags import TRUST, Flag, Flags, whole
from aiexp.errors import ConfigError
from aiexp.text.terminal import out, say

HELP = """\
usage: aiexp export RUN --to FORM [flags]

The networks of a run's task, by its best checkpoint, as files that need no
aiexp, with a model card. Each is read back and compared with the trained one
on 32 examples of the run's data; one that differs is not kept.

  onnx          NAME.onnx, any number of inputs of any length
  torch_export  NAME.pt2, likewise, for torch.export.load
  huggingface   a folder for transformers' from_pretrained (text classifiers)
  weights       model.safetensors, config.yaml and what the task is built from

  aiexp export outputs/latest --to onnx --quantize int8
  aiexp export outputs/latest --to huggingface --push me/reviews
"""
FLAGS = Flags(
    "export",
    Flag("--to", "the form", choices=("onnx", "torch_export", "huggingface", "weights")),
    Flag("--quantize", "of onnx: also a copy with weights in 8 bits", choices=("int8",)),
    Flag("--out", "the folder; default: exports/FORM in the run", value="DIR"),
    Flag("--push", "to the Hugging Face hub, with your login; a new one is private", value="OWNER/NAME"),
    Flag("--step", "of the checkpoint; default: the best", value="N"),
    TRUST,
)  # fmt: skip


def main(argv: list[str]) -> int:
    """Exports; returns 0."""
    words, flags = FLAGS.parse(argv)
    if not words:
        from aiexp.command.help import lacks_words

        return lacks_words("export")
    form, step, repository = flags.get("to"), whole(flags, "step", 0), flags.get("push")
    if words[1:]:
        raise ConfigError(f"one run is exported at a time, not also {words[1]}", where="aiexp export")
    if form is None:
        raise ConfigError(
            "in which form?", where="aiexp export", fix="--to onnx|torch_export|huggingface|weights"
        )
    if "quantize" in flags and form != "onnx":
        raise ConfigError(f"--quantize is for --to onnx, not {form}", where="aiexp export", fix="--to onnx")
    from aiexp.use.exporting.push import check_push, push

    if repository is not None:
        check_push(repository)
    from aiexp.runs.loaded import load_run

    run = load_run(Path(words[0]), step=step, say=say)
    from aiexp.use.exporting.export import Request, export

    target = Path(flags["out"]) if "out" in flags else None
    folder = export(run, Request(form=form, out=target, quantize="quantize" in flags), say)
    out(f"exported  {folder}")
    if repository is not None:
        out(f"pushed    {push(folder, repository)}")
    return 0
