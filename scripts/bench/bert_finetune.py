"""Examples a second when fine-tuning and evaluating MiniLM: ours against Hugging Face's Trainer.

    .venv/bin/python scripts/bench/bert_finetune.py --json outputs/bert_finetune.json

Each side is a process of its own, as a user would start it, and the sides take turns in every round: one
epoch over the same texts (batch size 32), then one pass of evaluation over the same other texts. A first
round warms everything up and is not counted; the median over the other rounds is printed. The share of the
peak counts the multiplications of real tokens only, against a large bfloat16 product in the same round.

- hf: Trainer as it comes: fp32, random order, each batch padded to its longest text; evaluation batch 32.
- hf_best: bf16, texts of like length grouped (all of the epoch at once, its own groups are smaller here),
  fused AdamW; bf16 evaluation of sorted texts in batches of 128.
- hf_128: fp32, padded to 128 tokens.
- ours: `aiexp run task=bert_finetune`.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from side import TEXT, Claim, Worker, compose_ours, fit_seconds, make_parser, serve, write_json

SIDES = ("ours", "hf", "hf_best", "hf_128")
BATCH_SIZE, MAX_TOKENS = 32, 128
OVERRIDES = [
    "task=bert_finetune", f"dataset.batch_size={BATCH_SIZE}", "trainer.epochs=1",
    "trainer.selection.monitor=null",
]  # fmt: skip
Texts = tuple[list[str], list[int]]
Side = tuple[Callable[[], float], Callable[[], float]]  # seconds of an epoch, seconds of an evaluation


def ours(limit: int) -> tuple[Side, dict[str, Any]]:
    """Through the shipped config, Trainer, Task and Dataset; nothing is special to the benchmark."""
    from aiexp.config.objects.build import build

    config, hardware = compose_ours([*OVERRIDES, f"dataset.limit={limit}"])
    import torch

    torch.manual_seed(0)
    dataset = build(config["dataset"])
    task = build(config["task"], model=build(config["model"]), dataset=dataset)

    def train() -> float:
        return fit_seconds(config, task, dataset, hardware)

    def evaluate() -> float:
        task.eval()
        start = time.perf_counter()
        with torch.inference_mode(), hardware.autocast():
            task.evaluate(dataset, "test")
        return time.perf_counter() - start

    return (train, evaluate), work(task.model, dataset)


def work(model: Any, dataset: Any) -> dict[str, Any]:
    """Texts, tokens and floating-point operations of one epoch; also the texts themselves for the others."""
    shape, result = model.shape, {}
    H, I = shape.hidden_size, shape.intermediate_size  # noqa: E741 (widths, as in the paper)
    for split in ("train", "test"):
        texts, labels = dataset.texts(split), dataset.labels(split).tolist()
        lengths = [min(len(e.ids), MAX_TOKENS) for e in model.tokenizer.encode_batch(texts)]
        tokens, squares = sum(lengths), sum(n * n for n in lengths)
        full = shape.num_layers * (tokens * 2 * (4 * H * H + 2 * H * I) + squares * 4 * H)
        # The last layer's queries, scores, output and feed-forward block are needed for one token a text.
        spared = (tokens - len(texts)) * 2 * (2 * H * H + 2 * H * I) + (squares - tokens) * 4 * H
        factor = 3 if split == "train" else 1  # backwards, each product becomes two
        result[split] = {
            "texts": texts, "labels": labels, "examples": len(texts), "tokens": tokens,
            "flop": factor * full, "flop_needed": factor * (full - spared),
        }  # fmt: skip
    return result


def hugging_face(name: str, limit: int) -> tuple[Side, dict[str, Any]]:
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )
    from transformers.trainer_pt_utils import LengthGroupedSampler
    from transformers.utils import logging

    from aiexp.source.fetch import fetch

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    best, padding = name == "hf_best", "max_length" if name == "hf_128" else False
    folder = str(fetch("minilm"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    collator = DataCollatorWithPadding(tokenizer)
    data = json.loads(sys.stdin.readline())

    def rows(split: str, by_length: bool) -> list[dict[str, Any]]:
        encoded = tokenizer(data[split]["texts"], truncation=True, max_length=MAX_TOKENS, padding=padding)
        keys = ("input_ids", "attention_mask")
        columns = [{k: encoded[k][i] for k in keys} for i in range(len(encoded["input_ids"]))]
        result = [{**c, "labels": y} for c, y in zip(columns, data[split]["labels"], strict=True)]
        return sorted(result, key=lambda r: -len(r["input_ids"])) if by_length else result

    train_rows, test_rows = rows("train", False), rows("test", best)

    class Grouped(Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            if not best:
                return super()._get_train_sampler(train_dataset)
            sampler = LengthGroupedSampler(BATCH_SIZE, lengths=[len(r["input_ids"]) for r in train_rows])
            order = sorted(range(len(train_rows)), key=lambda i: sampler.lengths[i])
            batches = [order[i : i + BATCH_SIZE] for i in range(0, len(order), BATCH_SIZE)]
            return [i for k in torch.randperm(len(batches)).tolist() for i in batches[k]]

    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(), num_train_epochs=1, use_cpu=True, bf16=best,
        per_device_train_batch_size=BATCH_SIZE, per_device_eval_batch_size=128 if best else BATCH_SIZE,
        save_strategy="no", report_to="none", logging_strategy="no", disable_tqdm=True,
        dataloader_pin_memory=False,
    )  # fmt: skip

    def trainer() -> Trainer:
        return Grouped(
            model=model,
            args=arguments,
            train_dataset=train_rows,
            eval_dataset=test_rows,
            data_collator=collator,
        )

    class Clock(TrainerCallback):
        seconds = 0.0

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.seconds = -time.perf_counter()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.seconds += time.perf_counter()

    def train() -> float:
        peer, clock = trainer(), Clock()
        peer.add_callback(clock)
        peer.train()
        return clock.seconds

    def evaluate() -> float:
        peer = trainer()
        start = time.perf_counter()
        peer.evaluate()
        return time.perf_counter() - start

    return (train, evaluate), {}


def peak_flops() -> float:
    """Floating-point operations a second of bfloat16 matrix products, 2048 x 2048: the median of 15."""
    import torch

    a, b = (torch.randn(2048, 2048).bfloat16() for _ in range(2))
    seconds: list[float] = []
    for _ in range(17):
        start = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - start)
    return 2 * 2048**3 / median(seconds[2:])


def actions(name: str, limit: int) -> dict[str, Callable[[], Any]]:
    (train, evaluate), facts = ours(limit) if name == "ours" else hugging_face(name, limit)
    return {"train": train, "eval": evaluate, "peak": peak_flops, "facts": lambda: facts}


def claims(result: dict[str, Any]) -> list[Claim]:
    """For `docs/benchmarks.md`."""
    names = {
        "hf": "Trainer as it comes (fp32)",
        "hf_128": "Trainer, padded to 128 tokens",
        "hf_best": "Trainer at its best (bf16, texts sorted by length, fused AdamW)",
    }
    found: list[Claim] = []
    for what in ("train", "eval"):
        speeds = {side: row[f"{what}_examples_per_second"] for side, row in result["sides"].items()}
        for side, name in names.items():
            if side in speeds:
                ratio = speeds["ours"] / speeds[side]
                measured = f"{speeds['ours']:.0f} against {speeds[side]:.0f} examples/s, {ratio:.1f}x"
                said = f"MiniLM on movie reviews, batch 32, {what}, against {name}"
                goal = {"goal": "2x", "is_met": ratio >= 2} if side == "hf_best" else {}
                found.append(Claim(field=TEXT, what=said, measured=measured, **goal))
    return found


def main() -> None:
    parser = make_parser(__doc__, SIDES, rounds=3)
    parser.add_argument("--limit", type=int, default=320, help="texts of an epoch and of an evaluation")
    options = parser.parse_args()
    if options.worker:
        return serve(lambda: actions(options.worker, options.limit))
    result = compare(options.sides, options.rounds, options.limit)
    print(table(result))
    write_json(options.json, result, "transformers", "accelerate")


def compare(sides: list[str], rounds: int, limit: int) -> dict[str, Any]:
    """Seconds of every round and side, and what they amount to."""
    commands = {s: [__file__, "--worker", s, "--limit", str(limit)] for s in (*sides, "ours")}
    first = Worker(commands["ours"])
    facts = first.ask("facts")
    workers = {s: first if s == "ours" else Worker(commands[s], json.dumps(facts)) for s in sides}
    workers.setdefault("ours", first)
    seconds: dict[str, dict[str, list[float]]] = {s: {"train": [], "eval": []} for s in sides}
    peaks: list[float] = []
    for number in range(rounds + 1):
        for side in sides:
            for what in ("train", "eval"):
                taken = workers[side].ask(what)
                if number:
                    seconds[side][what].append(taken)
        peaks.append(workers["ours"].ask("peak"))
        print(f"round {number} of {rounds} done", file=sys.stderr)
    for worker in workers.values():
        worker.close()
    for part in facts.values():
        del part["texts"], part["labels"]
    return summarise(seconds, facts, median(peaks))


def summarise(
    seconds: dict[str, dict[str, list[float]]], facts: dict[str, Any], peak: float
) -> dict[str, Any]:
    from importlib.metadata import version

    result: dict[str, Any] = {
        "versions": {name: version(name) for name in ("torch", "transformers", "accelerate")},
        "batch_size": BATCH_SIZE, "peak_bf16_flops": peak, "work": facts, "seconds": seconds, "sides": {},
    }  # fmt: skip
    for side, by_kind in seconds.items():
        train, test = median(by_kind["train"]), median(by_kind["eval"])
        result["sides"][side] = {
            "train_examples_per_second": facts["train"]["examples"] / train,
            "eval_examples_per_second": facts["test"]["examples"] / test,
            "train_share_of_peak": facts["train"]["flop"] / train / peak,
            "train_share_of_peak_needed": facts["train"]["flop_needed"] / train / peak,
            "eval_share_of_peak": facts["test"]["flop"] / test / peak,
        }
    return result


def table(result: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    ours_row = result["sides"].get("ours")
    lines = [versions, f"bf16 matrix product 2048: {result['peak_bf16_flops'] / 1e12:.2f} Tflop/s"]
    lines.append(
        f"{'side':8} {'train ex/s':>11} {'ours is':>8} {'of peak':>8} {'eval ex/s':>10} {'ours is':>8}"
    )
    for side, row in result["sides"].items():
        train, test = row["train_examples_per_second"], row["eval_examples_per_second"]
        ratios = ["", ""]
        if ours_row is not None:
            ratios = [
                f"{ours_row[f'{k}_examples_per_second'] / v:.2f}x"
                for k, v in (("train", train), ("eval", test))
            ]
        share = f"{row['train_share_of_peak']:.1%}"
        lines.append(f"{side:8} {train:11.1f} {ratios[0]:>8} {share:>8} {test:10.1f} {ratios[1]:>8}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
