"""Tokens a second of a language model on short documents: packed side by side, and padded to the longest.

    .venv/bin/python scripts/bench/packing.py --json outputs/packing.json

Each side is a process of its own, and the sides take turns in every round. A first round warms everything up
and is not counted. Only tokens of the text count, not padding; the median over the other rounds is printed,
and the median of each ratio within a round. The documents are the lines of Shakespeare's Hamlet; the network
is that of `task=char_lm`, fp32.

- ours: `dataset.documents=lines`: windows of 128 characters, attention kept within a line.
- stream: the same windows as one text, so attention needs no mask: what the mask costs.
- padded: the same network in a plain loop over batches of lines in random order, each batch as wide as its
  longest; its loss leaves padding out. A batch has as many characters as one of ours.
"""

import os
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any

from side import TEXT, Claim, Worker, ask_in_turn, compose_ours, fit_seconds, make_parser, serve, write_json

SIDES = ("ours", "stream", "padded")
BATCH_SIZE, CONTEXT = 12, 128
PLAY = "hamlet"
Action = Callable[[], Any]


def words_of(side: str) -> list[str]:
    """The command line of a side."""
    from aiexp.source.catalog.texts import SHAKESPEARE
    from aiexp.source.fetch import fetch

    folder = fetch(SHAKESPEARE.name)
    play = next(folder / file.path for file in SHAKESPEARE.files if PLAY in file.path)
    return [
        "task=char_lm", "dataset=text_file", f"dataset.train_file={play}", "dataset.encoding=latin-1",
        f"dataset.batch_size={BATCH_SIZE}", f"dataset.context={CONTEXT}", "task.num_samples=0",
        "trainer.selection.monitor=null", f"dataset.documents={'none' if side == 'stream' else 'lines'}",
    ]  # fmt: skip


def build_parts(config: Any) -> tuple[Any, Any]:
    """Task and data set of a config."""
    import torch

    from aiexp.config.objects.build import build
    from aiexp.experiment import build_task

    torch.manual_seed(0)
    dataset = build(config["dataset"])
    return build_task(config, dataset), dataset


def windows(side: str, steps: int, threads: int) -> Action:
    """Through the shipped Trainer, Task and Dataset; every token is one of the text."""
    config, hardware = compose_ours(
        [*words_of(side), f"trainer.steps={steps}", f"hardware.threads={threads}"]
    )
    task, dataset = build_parts(config)
    return lambda: steps * BATCH_SIZE * CONTEXT / fit_seconds(config, task, dataset, hardware)


def padded(steps: int, threads: int) -> Action:
    """A loop for this network and these lines alone."""
    import torch
    import torch.nn.functional as F

    from aiexp.config.compose import compose

    torch.set_num_threads(threads)
    task, dataset = build_parts(compose([*words_of("ours"), "tracker=none"]).config)
    model, end = task.model, task.boundary
    model.boundary = None  # a row is one line: nothing to keep apart
    tokens = torch.cat([batch["targets"].flatten() for batch in dataset.eval_batches("train")])
    places = (tokens == end).nonzero().flatten().tolist()
    lines = [tokens[a : b + 1] for a, b in pairwise(places)]  # with both ends
    size = round(BATCH_SIZE * CONTEXT / (sum(map(len, lines)) / len(lines) - 1))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True
    )

    def train() -> float:
        seen, start = 0, time.perf_counter()
        for _ in range(steps):
            some = [lines[i] for i in torch.randint(len(lines), (size,)).tolist()]
            rows = torch.nn.utils.rnn.pad_sequence(some, batch_first=True, padding_value=-100)
            ids, targets = rows[:, :-1].clamp(min=0), rows[:, 1:]
            loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            seen += sum(map(len, some)) - len(some)
        return seen / (time.perf_counter() - start)

    return train


def claims(result: dict[str, Any]) -> list[Claim]:
    """What the numbers mean, for `docs/benchmarks.md`."""
    rates, ratios = result["tokens_per_second"], result["ratios"]
    load = f"; {result['threads']} thread, load {result['load']:.1f} on {result['cores']} cores"
    both = f"{rates['ours']:,.0f} against {rates['padded']:,.0f} characters/s"
    cost = 100 * (1 / ratios["stream"] - 1)
    return [
        Claim(
            field=TEXT,
            what="`char_lm` on short documents, packed, against batches padded to their longest (plain loop)",
            measured=f"{both}, {ratios['padded']:.2f}x{load}",
        ),
        Claim(
            field=TEXT, what="keeping attention within packed documents, time of a step over that without",
            measured=f"{cost:+.1f} %{load}",
        ),
    ]  # fmt: skip


def main() -> None:
    """Compares the sides, or is one of them."""
    parser = make_parser(__doc__, SIDES, rounds=9, needs_all=True)
    parser.add_argument("--steps", type=int, default=10, help="in a round")
    parser.add_argument("--threads", type=int, default=1, help="of each side, which is alone at work")
    arguments = parser.parse_args()
    side, steps, threads = arguments.worker, arguments.steps, arguments.threads
    if side:
        make = (
            (lambda: padded(steps, threads)) if side == "padded" else (lambda: windows(side, steps, threads))
        )
        serve(lambda: {"train": make()})
        return
    sizes = ["--steps", str(steps), "--threads", str(threads)]
    workers = {each: Worker([__file__, *sizes, "--worker", each]) for each in SIDES}
    answers = ask_in_turn(workers, "train", arguments.rounds)
    rates = {each: median(values) for each, values in answers.items()}
    ratios = {
        other: median(a / b for a, b in zip(answers["ours"], answers[other], strict=True))
        for other in ("stream", "padded")
    }
    for each, rate in rates.items():
        print(f"{each:8} {rate:9,.0f} tokens/s")
    print({name: round(ratio, 3) for name, ratio in ratios.items()}, "load", os.getloadavg())
    result = {"tokens_per_second": rates, "ratios": ratios, "threads": threads}
    write_json(arguments.json, result | {"load": os.getloadavg()[1], "cores": len(os.sched_getaffinity(0))})


if __name__ == "__main__":
    main()
