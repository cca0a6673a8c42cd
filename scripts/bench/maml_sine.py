"""Tasks per second of MAML on sine waves: ours, vmapped, and the plain double loop over tasks and steps.

    .venv/bin/python scripts/bench/maml_sine.py --json outputs/maml_sine.json

Each side is a process of its own, as a user would start it, and the sides take turns in every round. A first
round warms everything up and is not counted; the median over the other rounds is printed, and the median of
ours over the other side in the same round. Saving and logging are off on both sides; network, batches,
optimizer and threads are those of the shipped config, without the pretrained baseline.

- ours: `aiexp run task=maml_sine`, the shipped Trainer, Task and Dataset.
- loop: the same batches, one task after another, with `torch.autograd.grad(create_graph=True)`.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from side import (
    FEW_SHOT,
    Claim,
    Worker,
    ask_in_turn,
    compose_ours,
    fit_seconds,
    make_parser,
    serve,
    write_json,
)

SIDES = ("ours", "loop")
Action = Callable[[], Any]


def build_parts(steps: int, overrides: list[str]) -> tuple[Any, Any, Any, Any]:
    """Config, hardware, model and data set of the shipped config."""
    fixed = ["task=maml_sine", f"trainer.steps={steps}", "task.baseline=null"]
    config, hardware = compose_ours([*fixed, *overrides])
    import torch

    from aiexp.config.objects.build import build

    torch.manual_seed(0)
    return config, hardware, build(config["model"]), build(config["dataset"])


def ours(steps: int, overrides: list[str]) -> Action:
    """Through the shipped Trainer, Task and Dataset; nothing is special to the benchmark."""
    config, hardware, model, dataset = build_parts(steps, overrides)
    from aiexp.config.objects.build import build

    task = build(config["task"], model=model, dataset=dataset)
    return lambda: fit_seconds(config, task, dataset, hardware)


def loop(steps: int, overrides: list[str]) -> Action:
    """As one would write algorithm 2 of the paper."""
    config, hardware, model, dataset = build_parts(steps, overrides)
    import torch
    import torch.nn.functional as F
    from torch import nn
    from torch.func import functional_call

    task = config["task"]
    net = nn.Sequential(model, nn.Linear(model.feature_size, 1)).to(hardware.device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    names, shared = zip(*net.named_parameters(), strict=True)

    def loss_of_task(batch: dict[str, Any], i: int) -> Any:
        own = list(shared)
        for _ in range(task["inner_steps"]):
            outputs = functional_call(net, dict(zip(names, own, strict=True)), (batch["support_x"][i],))
            loss = F.mse_loss(outputs, batch["support_y"][i])
            gradients = torch.autograd.grad(loss, own, create_graph=True)
            own = [p - task["inner_lr"] * g for p, g in zip(own, gradients, strict=True)]
        outputs = functional_call(net, dict(zip(names, own, strict=True)), (batch["query_x"][i],))
        return F.mse_loss(outputs, batch["query_y"][i])

    def train() -> float:
        batches = dataset.train_batches(0)
        start = time.perf_counter()
        for _ in range(steps):
            batch = {k: v.to(hardware.device) for k, v in next(batches).items()}
            count = len(batch["support_x"])
            loss = sum(loss_of_task(batch, i) for i in range(count)) / count
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()
        return time.perf_counter() - start

    return train


def claims(result: dict[str, Any]) -> list[Claim]:
    """For `docs/benchmarks.md`."""
    ours, loop, ratio = (*result["medians"].values(), result["ours_over_loop"])
    measured = f"{ours:,.0f} against {loop:,.0f} tasks/s, {ratio:.1f}x"
    return [
        Claim(field=FEW_SHOT, what="`maml_sine`, training, against the plain double loop", measured=measured)
    ]


def main() -> None:
    parser = make_parser(__doc__, SIDES, rounds=7, needs_all=True)
    parser.add_argument("--steps", type=int, default=100, help="training steps of a round")
    parser.add_argument("overrides", nargs="*", help="for example task.inner_steps=5 dataset.shots=5")
    options = parser.parse_args()
    if options.worker:
        make = ours if options.worker == "ours" else loop
        return serve(lambda: {"train": make(options.steps, options.overrides)})
    result = compare(options.rounds, options.steps, options.overrides)
    print(table(result))
    write_json(options.json, result)


def compare(rounds: int, steps: int, overrides: list[str]) -> dict[str, Any]:
    """Tasks a second of every round and side, and their medians."""
    from importlib.metadata import version

    config, _ = compose_ours(["task=maml_sine", *overrides])
    tasks = steps * config["dataset"]["batch_size"]
    workers = {s: Worker([__file__, "--worker", s, "--steps", str(steps), *overrides]) for s in SIDES}
    answers = ask_in_turn(workers, "train", rounds)
    speeds = {side: [tasks / seconds for seconds in times] for side, times in answers.items()}
    ratios = [mine / other for mine, other in zip(speeds["ours"], speeds["loop"], strict=True)]
    return {
        "torch": version("torch"), "steps": steps, "overrides": overrides, "tasks_per_second": speeds,
        "medians": {side: median(values) for side, values in speeds.items()},
        "ours_over_loop": median(ratios),
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    lines = [f"torch {result['torch']}, medians of {len(result['tasks_per_second']['ours'])} rounds"]
    lines += [f"{side:6} {speed:9.0f} tasks/s" for side, speed in result["medians"].items()]
    return "\n".join([*lines, f"ours is {result['ours_over_loop']:.1f}x as fast"])


if __name__ == "__main__":
    main()
