"""A CSV of many texts: time to the first batch and memory, at the first start and later, beside `datasets`.

    .venv/bin/python scripts/bench/text_files.py [--rows 1000000] [--sides ours,datasets] [--json FILE]

Generates texts out of the movie reviews of `aiexp data`, 155 MB for 1,000,000 rows. Each start is a process
of its own and counts from the end of its imports (torch, tokenizers, transformers) to the first batch of
token numbers: ours reads, divides (90 % train, no duplicates), tokenizes; `datasets` loads the same file,
divides at random, tokenizes by `map` with two processes, and takes its batch from the DataLoader of
transformers' Trainer. peak_mb is VmHWM over what it was after the imports, of the process itself; cpu_seconds
are those of all its processes: on a busy machine they say more than the clock.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from itertools import chain, count
from pathlib import Path
from typing import Any

from side import write_json

BATCH, EVAL_BATCH, MAX_TOKENS, NEXT_BATCHES = 32, 64, 256, 1000


def write(path: Path, num_rows: int) -> None:
    """Rows of 10 to 36 words that follow each other in the reviews, and two that make each row different."""
    from aiexp.dataset.text.rated_sentences import read_ratings
    from aiexp.source.fetch import fetch

    reviews = read_ratings(fetch("hutto_icwsm_2014") / "movieReviewSnippets_GroundTruth.txt", 0.0)
    words = " ".join(reviews.texts).replace('"', "").split()
    different = sorted(set(words))
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        file.write("text,label\n")
        for row in range(num_rows):
            start = draw.randrange(len(words) - 36)
            text = " ".join(words[start : start + draw.randint(10, 36)])
            second, first = divmod(row, len(different))
            text += f" {different[first]} {different[second]}"
            file.write(f'"{text}",{"positive" if row % 2 else "negative"}\n')


def tokenizer_file() -> str:
    from aiexp.source.fetch import fetch

    return str(fetch("minilm") / "tokenizer.json")


def ours(path: Path) -> Any:
    from tokenizers import Tokenizer

    from aiexp.dataset.text.files import text_files

    dataset = text_files(
        train_file=str(path), eval_file=None, test_file=None, text_column="text", label_column="label",
        class_names=None, eval_fraction=0.05, test_fraction=0.05, on_bad_sample="error", batch_size=BATCH,
        eval_batch_size=EVAL_BATCH, max_tokens=MAX_TOKENS, pad_multiple=1, limit=None, shots=None,
        seed=0, num_workers=0,
    )  # fmt: skip
    dataset.tokenize(Tokenizer.from_file(tokenizer_file()), MAX_TOKENS)
    dataset.fingerprint()
    return dataset.train_batches(0)


def theirs(path: Path) -> Any:
    import datasets
    import transformers

    datasets.disable_progress_bars()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=tokenizer_file(), pad_token="[PAD]")
    table = datasets.load_dataset("csv", data_files=str(path), split="train").class_encode_column("label")
    parts = table.train_test_split(0.1, seed=0)

    def encode(rows: dict[str, Any]) -> Any:
        return tokenizer(rows["text"], truncation=True, max_length=MAX_TOKENS)

    parts = parts.map(encode, batched=True, num_proc=2, remove_columns=["text"])
    arguments = transformers.TrainingArguments(
        output_dir=str(path.parent / "out"), per_device_train_batch_size=BATCH, report_to=[], use_cpu=True
    )
    config = transformers.BertConfig(hidden_size=32, num_attention_heads=2, num_hidden_layers=1)
    trainer = transformers.Trainer(
        model=transformers.BertForSequenceClassification(config),
        args=arguments,
        train_dataset=parts["train"],
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
    )
    loader = trainer.get_train_dataloader()
    return chain.from_iterable(loader for _ in count())


def memory(key: str) -> float:
    """A line of /proc/self/status in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(key))


def start(side: str, path: Path) -> None:
    """One start, measured in this process; prints a line of JSON."""
    import tokenizers  # noqa: F401
    import torch  # noqa: F401
    import transformers

    transformers.logging.set_verbosity_error()
    if side == "datasets":
        import datasets  # noqa: F401
    else:
        import aiexp.dataset.text.files  # noqa: F401
    base, began, cpu = memory("VmHWM"), time.perf_counter(), os.times()
    batches = {"ours": ours, "datasets": theirs}[side](path)
    next(batches)
    seconds, now = time.perf_counter() - began, os.times()
    peak = memory("VmHWM") - base
    began = time.perf_counter()
    for _ in range(NEXT_BATCHES):
        next(batches)
    print(
        json.dumps(
            {
                "seconds": round(seconds, 2),
                "cpu_seconds": round(sum(now[:4]) - sum(cpu[:4]), 1),
                "peak_mb": round(peak),
                "peak_mb_after_1000_batches": round(memory("VmHWM") - base),
                "ms_a_batch": round((time.perf_counter() - began) / NEXT_BATCHES * 1000, 3),
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sides", default="ours,datasets")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--start", nargs=2, metavar=("SIDE", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.start:
        start(args.start[0], Path(args.start[1]))
        return
    results: dict[str, Any] = {
        "rows": args.rows,
        "cores": len(os.sched_getaffinity(0)),
        "versions": {name: version(name) for name in ("datasets", "transformers", "tokenizers", "torch")},
    }
    tokenizer_file()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "texts.csv")
        write(path, args.rows)
        results["file_mb"] = round(path.stat().st_size / 1e6)
        kept = os.environ | {"HF_HOME": f"{folder}/hf", "AIEXP_DATA_DIR": f"{folder}/data"}
        Path(folder, "data").mkdir()
        from aiexp.source.cache import data_dir

        Path(folder, "data", "files").symlink_to(data_dir() / "files")
        for side in args.sides.split(","):
            for when in ("first", "second"):
                command = [sys.executable, __file__, "--start", side, str(path)]
                done = subprocess.run(command, env=kept, check=True, stdout=subprocess.PIPE, text=True)
                results[f"{side} {when}"] = json.loads(done.stdout.splitlines()[-1])
                print(f"{side:>9} {when:>6} start: {results[f'{side} {when}']}", flush=True)
    write_json(args.json, results, "datasets", "transformers")


if __name__ == "__main__":
    main()
