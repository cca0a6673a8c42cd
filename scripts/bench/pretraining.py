"""What pretraining on running text gives: accuracy of fine-tuning from its weights, and from fresh ones.

    .venv/bin/python scripts/bench/pretraining.py --json outputs/pretraining.json

One run of `task=mlm_pretrain`; then `task=bert_finetune` on movie_reviews with the same network, vocabulary
and steps, for each seed once from the run's weights and once from fresh ones. Printed are the test accuracies
and the mean of the differences with its 95 % interval (Student's t over the seeds).

The learning rate of fine-tuning is one that fresh weights learn with in a single pass, so that they are not
held back.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from side import TEXT, Claim, make_parser, write_json

SIDES = ("scratch", "pretrained")
GOAL = 0.03
SIZES = {
    "num_layers": "layers", "hidden_size": "width", "intermediate_size": "wide", "num_heads": "heads",
    "initializer_range": "initializer_range",
}  # fmt: skip
# Short: no dropout where no text is seen often, more tokens guessed, fewer word pieces.
BEGINNING = [
    "model.dropout=0",
    "model.attention_dropout=0",
    "task.masking.rate=0.3",
    "dataset.vocab_size=4096",
]
DROPOUT = ["model.dropout=0.1", "model.attention_dropout=0.1"]  # of fine-tuning, on both sides


def train(folder: Path, *words: str) -> Path:
    """A run by the command line; its directory."""
    command = [sys.executable, "-m", "aiexp", "run", *words, "tracker=none"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return (folder / "outputs/latest").resolve()


def metrics(run: Path) -> dict[str, float]:
    """The last value of each evaluation metric."""
    found: dict[str, float] = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        found |= {name: value for name, value in json.loads(line).items() if name[:5] in ("eval/", "test/")}
    return found


def pretrain(folder: Path, arguments: argparse.Namespace) -> Path:
    """The run that the others begin with."""
    sizes = [f"model.{name}={getattr(arguments, given)}" for name, given in SIZES.items()]
    steps, rate = arguments.pretrain_steps, arguments.pretrain_lr
    words = [f"trainer.steps={steps}", f"trainer.evaluate_every={steps}", f"trainer.checkpoint.every={steps}"]
    words += [f"task.optimizer.lr={rate}", f"dataset.batch_size={arguments.batch_size}", "seed=0"]
    words += [f"dataset.context={arguments.context}", "dataset.eval_fraction=0.01"]
    return train(folder, "task=mlm_pretrain", *sizes, *BEGINNING, *words, *arguments.words)


def finetune(folder: Path, side: str, seed: int, begun: Path, arguments: argparse.Namespace) -> float:
    """Test accuracy of a network that begins with a run's weights, or with its sizes and vocabulary alone."""
    sizes = [f"model.{name}={getattr(arguments, given)}" for name, given in SIZES.items()]
    fresh = ["model=bert_small", f"model.vocabulary={begun}", *sizes]
    model = fresh if side == "scratch" else [f"model.path={begun}"]
    words = ["task=bert_finetune", *model, *DROPOUT, f"trainer.epochs={arguments.epochs}", f"seed={seed}"]
    return metrics(train(folder, *words, f"task.optimizer.lr={arguments.lr}"))["test/accuracy"]


def interval(differences: list[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval."""
    from scipy.stats import t

    mean, count = statistics.fmean(differences), len(differences)
    half = float(t.ppf(0.975, count - 1)) * statistics.stdev(differences) / count**0.5
    return mean, mean - half, mean + half


def claims(result: dict[str, Any]) -> list[Claim]:
    """What the numbers mean, for `docs/benchmarks.md`."""
    mean, low, high = (100 * value for value in result["difference"])
    of = {side: 100 * statistics.fmean(values) for side, values in result["accuracy"].items()}
    begun = result["pretraining"]
    guesses = f"{100 * begun['eval/unigram_accuracy']:.1f} and {100 * begun['eval/bigram_accuracy']:.1f} %"
    return [
        Claim(
            field=TEXT,
            what="`mlm_pretrain` before `bert_finetune` on movie_reviews: test accuracy against fresh "
            f"weights, same steps, {len(result['seeds'])} seeds",
            measured=f"{of['pretrained']:.1f} against {of['scratch']:.1f} %, {mean:+.1f} points "
            f"({low:+.1f} to {high:+.1f})",
            goal="3 points, interval above zero", is_met=mean >= 100 * GOAL and low > 0,
        ),
        Claim(
            field=TEXT, what="`mlm_pretrain`, accuracy at hidden places, against unigrams and bigrams",
            measured=f"{100 * begun['eval/accuracy']:.1f} against {guesses}",
        ),
    ]  # fmt: skip


def main() -> None:
    """Pretrains, fine-tunes on both sides, compares."""
    parser = make_parser(__doc__, SIDES, needs_all=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pretrain-steps", type=int, default=5000)
    parser.add_argument("--pretrain-lr", type=float, default=3e-3)
    parser.add_argument("--batch-size", type=int, default=64, help="windows of a pretraining step")
    parser.add_argument("--context", type=int, default=32, help="tokens of a window")
    parser.add_argument("--epochs", type=int, default=1, help="of fine-tuning")
    parser.add_argument("--lr", type=float, default=1e-3, help="of fine-tuning")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--wide", type=int, default=512, help="width of the feed-forward blocks")
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--initializer-range", type=float, default=0.06)
    parser.add_argument("--words", nargs="*", default=[], help="more words of the pretraining")
    arguments = parser.parse_args()
    start, accuracy = time.monotonic(), {side: list[float]() for side in SIDES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun = pretrain(folder, arguments)
        found = metrics(begun)
        print(
            f"pretrained in {time.monotonic() - start:.0f} s",
            {k: round(v, 4) for k, v in found.items()},
            flush=True,
        )
        for seed in arguments.seeds:
            for side in SIDES:
                accuracy[side].append(finetune(folder, side, seed, begun, arguments))
            print(
                f"seed {seed}", {side: round(values[-1], 4) for side, values in accuracy.items()}, flush=True
            )
    pairs = zip(accuracy["pretrained"], accuracy["scratch"], strict=True)
    difference = interval([one - other for one, other in pairs])
    print(
        "difference {:+.4f} ({:+.4f} to {:+.4f})".format(*difference), f"in {time.monotonic() - start:.0f} s"
    )
    result = {"accuracy": accuracy, "difference": difference, "pretraining": found, "seeds": arguments.seeds}
    result |= {"load": os.getloadavg()[1], "cores": len(os.sched_getaffinity(0))}
    write_json(arguments.json, result)


if __name__ == "__main__":
    main()
