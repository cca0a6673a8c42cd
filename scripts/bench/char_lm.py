"""Seconds of a training step of `task=char_lm`: ours, and the loop that one writes by hand for it.

    .venv/bin/python scripts/bench/char_lm.py --json outputs/char_lm.json

Each side is a process of its own, and the sides take turns in every round. A first round warms everything up
and is not counted; the median over the other rounds is printed, and the median of ours over the other side in
the same round. Saving and logging are off on every side. The network and the batches are those of nanoGPT's
setting for a CPU: 4 layers, 4 heads, 128 wide, learned positions, 12 windows of 64 characters, fp32.

- ours: `aiexp run task=char_lm` with these sizes.
- plain: nanoGPT-like: windows stacked one by one from a mapped file, torch's modules and attention, AdamW as
  it comes on a CPU, clipping; nothing of our `hardware` is set.
- ours_lstm: `model=lstm_lm`, 2 layers of 256.
- plain_lstm: the same network in a plain loop with the same optimizer as ours.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from side import TEXT, Claim, Worker, ask_in_turn, compose_ours, fit_seconds, make_parser, serve, write_json

SIDES = ("ours", "plain", "ours_lstm", "plain_lstm")
BATCH_SIZE, CONTEXT, WIDTH, LAYERS, HEADS = 12, 64, 128, 4, 4
SETTING = [
    "task=char_lm", f"dataset.batch_size={BATCH_SIZE}", f"dataset.context={CONTEXT}", "task.num_samples=0",
    "task.optimizer.lr=1e-3", "trainer.selection.monitor=null",
]  # fmt: skip
MODELS = {"gpt": ["model.positions=learned"], "lstm": ["model=lstm_lm"]}
Action = Callable[[], Any]


def build_parts(config: Any) -> tuple[Any, Any]:
    """Task and data set of a config."""
    import torch

    from aiexp.config.objects.build import build
    from aiexp.experiment import build_task

    torch.manual_seed(0)
    dataset = build(config["dataset"])
    return build_task(config, dataset), dataset


def ours(kind: str, steps: int, threads: int) -> Action:
    """Through the shipped Trainer, Task and Dataset; nothing is special to the benchmark."""
    words = [*SETTING, *MODELS[kind], f"trainer.steps={steps}", f"hardware.threads={threads}"]
    config, hardware = compose_ours(words)
    task, dataset = build_parts(config)
    return lambda: fit_seconds(config, task, dataset, hardware)


def plain_gpt(vocab_size: int) -> Any:
    """The network as one would write it, with a module for each part."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)

        def forward(self, x: Any) -> Any:
            b, t, c = x.size()
            q, k, v = self.qkv(x).split(c, dim=2)
            q, k, v = (y.view(b, t, HEADS, c // HEADS).transpose(1, 2) for y in (q, k, v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.proj(y.transpose(1, 2).contiguous().view(b, t, c))

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)
            self.attention = Attention()
            self.wide, self.narrow = (
                nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)
            )  # fmt: skip

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norm_1(x))
            return x + self.narrow(F.gelu(self.wide(self.norm_2(x))))

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(vocab_size, WIDTH), nn.Embedding(CONTEXT, WIDTH)
            self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
            self.norm = nn.LayerNorm(WIDTH, bias=False)
            self.head = nn.Linear(WIDTH, vocab_size, bias=False)
            self.head.weight = self.tokens.weight

        def forward(self, x: Any) -> Any:
            hidden = self.tokens(x) + self.places(torch.arange(x.size(1)))
            for block in self.blocks:
                hidden = block(hidden)
            return self.head(self.norm(hidden))

    return Plain()


def plain_lstm(vocab_size: int) -> Any:
    """The network of `model=lstm_lm`."""
    from torch import nn

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.head = nn.Embedding(vocab_size, 256), nn.Linear(256, vocab_size)
            self.layers = nn.LSTM(256, 256, 2, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.head(self.layers(self.tokens(x))[0])

    return Plain()


def plain(kind: str, steps: int, threads: int) -> Action:
    """A loop for this network and text alone."""
    import numpy as np
    import torch
    import torch.nn.functional as F

    from aiexp.config.compose import compose

    torch.set_num_threads(threads)
    task, dataset = build_parts(compose([*SETTING, *MODELS[kind], "tracker=none"]).config)
    made = (plain_gpt if kind == "gpt" else plain_lstm)(task.tokenizer.get_vocab_size())
    if sum(p.numel() for p in made.parameters()) != sum(p.numel() for p in task.model.parameters()):
        raise SystemExit("the networks differ")
    path = Path(tempfile.mkdtemp()) / "train.bin"
    rows = [batch["targets"].flatten() for batch in dataset.eval_batches("train")]
    torch.cat(rows).numpy().astype(np.uint16).tofile(path)
    matrices, others = ([p for p in made.parameters() if (p.dim() >= 2) is wide] for wide in (True, False))
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0}]
    settings: dict[str, Any] = {"lr": 1e-3, "betas": (0.9, 0.99), "weight_decay": 0.1}
    optimizer = torch.optim.AdamW(groups, fused=kind == "lstm" or None, **settings)

    def batch() -> tuple[Any, Any]:
        data = np.memmap(path, dtype=np.uint16, mode="r")
        places = torch.randint(len(data) - CONTEXT, (BATCH_SIZE,)).tolist()
        x = torch.stack([torch.from_numpy(data[i : i + CONTEXT].astype(np.int64)) for i in places])
        y = torch.stack([torch.from_numpy(data[i + 1 : i + 1 + CONTEXT].astype(np.int64)) for i in places])
        return x, y

    def train() -> float:
        start = time.perf_counter()
        for _ in range(steps):
            x, y = batch()
            logits = made(x)
            loss = F.cross_entropy(logits.view(-1, logits.size(-1)), y.view(-1))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(made.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - start

    return train


def claims(result: dict[str, Any]) -> list[Claim]:
    """What the numbers mean, for `docs/benchmarks.md`."""
    seconds, ratios = result["step_seconds"], result["ratios"]
    load = f"; {result['threads']} thread, load {result['load']:.1f} on {result['cores']} cores"
    ratio, overhead = ratios["plain"], 100 * (1 / ratios["plain_lstm"] - 1)
    times = f"{1000 * seconds['ours']:.0f} against {1000 * seconds['plain']:.0f} ms"
    return [
        Claim(
            field=TEXT,
            what="`char_lm` with nanoGPT's setting for a CPU (fp32), a step, against a plain loop",
            measured=f"{times}, {ratio:.2f}x{load}",
            goal="1.5x", is_met=ratio >= 1.5,
        ),
        Claim(
            field=TEXT, what="`char_lm model=lstm_lm`, a step, over a plain loop of that network",
            measured=f"{overhead:+.1f} %{load}", goal="3 %", is_met=overhead <= 3,
        ),
    ]  # fmt: skip


def main() -> None:
    """Compares the sides, or is one of them."""
    parser = make_parser(__doc__, SIDES, rounds=9, needs_all=True)
    parser.add_argument("--steps", type=int, default=20, help="in a round")
    parser.add_argument("--threads", type=int, default=1, help="of each side, which is alone at work")
    arguments = parser.parse_args()
    if arguments.worker:
        kind = "lstm" if arguments.worker.endswith("lstm") else "gpt"
        make = ours if arguments.worker.startswith("ours") else plain
        serve(lambda: {"train": make(kind, arguments.steps, arguments.threads)})
        return
    sizes = ["--steps", str(arguments.steps), "--threads", str(arguments.threads)]
    command = [__file__, *sizes, "--worker"]
    answers = ask_in_turn({side: Worker([*command, side]) for side in SIDES}, "train", arguments.rounds)
    step_seconds = {side: median(each) / arguments.steps for side, each in answers.items()}
    ratios = {
        other: median(b / a for a, b in zip(answers[own], answers[other], strict=True))
        for own, other in (("ours", "plain"), ("ours_lstm", "plain_lstm"))
    }
    for side, seconds in step_seconds.items():
        print(f"{side:12} {1000 * seconds:7.1f} ms a step")
    print({name: round(ratio, 3) for name, ratio in ratios.items()}, "load", os.getloadavg())
    cores = len(os.sched_getaffinity(0))
    result = {"step_seconds": step_seconds, "ratios": ratios, "threads": arguments.threads}
    result |= {"load": os.getloadavg()[1], "cores": cores}
    write_json(arguments.json, result)


if __name__ == "__main__":
    main()
