"""Learning CartPole-v1 within 50,000 steps: ours against Stable-Baselines3 with RL-Zoo's hyper-parameters.

    .venv/bin/python -m pip install --group bench
    .venv/bin/python scripts/bench/dqn_cartpole.py --json outputs/dqn_cartpole.json

Each side is a process of its own; the sides take turns for every seed. Seconds are those of training, for
`ours` with its evaluations and the choice of the best checkpoint; returns are means over 100 greedy episodes
afterwards, whose time counts for no side.

- ours: `aiexp run task=dqn_cartpole`.
- same: ours with RL-Zoo's hyper-parameters, the same number of updates, one environment, no evaluations.
- sb3: Stable-Baselines3's DQN with the same hyper-parameters.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from side import AGENTS, Claim, TrainOnly, Worker, compose_ours, make_parser, ratio_claim, serve, write_json

SIDES = ("ours", "same", "sb3")
# RL-Zoo, hyperparams/dqn.yml, CartPole-v1.
SAME = [
    "dataset.num_envs=1", "dataset.batch_size=64", "model.hidden_sizes=[256,256]", "model.dueling=false",
    "task.optimizer.lr=2.3e-3", "task.discount=0.99", "task.double=false", "task.target_interval=10",
    "task.tau=1.0", "task.exploration.start=1.0", "task.exploration.end=0.04",
    "task.exploration.steps=8000", "task.rollout.train_freq=256", "task.rollout.gradient_steps=128",
    "task.rollout.learning_starts=1000", "task.replay.size=100000", "task.replay.num_steps=1",
    "task.replay.alpha=0.0", "trainer.clip=10.0", "trainer.schedule.shape=constant",
    "trainer.selection.monitor=null",
]  # fmt: skip
Result = dict[str, float]


def ours(seed: int, same_updates: int | None, threads: int) -> Result:
    """Through the shipped config, Trainer, Task and Dataset; nothing is special to the benchmark."""
    changes = [] if same_updates is None else [*SAME, f"trainer.steps={same_updates}"]
    fixed = ["task=dqn_cartpole", "hardware=cpu", f"hardware.threads={threads}", f"seed={seed}"]
    config, hardware = compose_ours([*fixed, *changes])
    import torch

    from aiexp.checkpoint.state import seed_everything
    from aiexp.config.objects.build import build
    from aiexp.rundir.directory import RunDirectory
    from aiexp.session.session import Session

    seed_everything(seed)
    dataset = build(config["dataset"])
    task = build(config["task"], model=build(config["model"]), dataset=dataset)
    trainer = build(config["trainer"])
    with tempfile.TemporaryDirectory() as folder:
        directory = RunDirectory.create(Path(folder), "")
        directory.write_config({"seed": seed}, {}, [])
        with Session(directory, directory.read_config()) as session:
            start = time.perf_counter()
            shown: Any = dataset if same_updates is None else TrainOnly(dataset)
            testing = time_of_test(task)
            metrics = trainer.fit(task, shown, hardware, session)
            seconds = time.perf_counter() - start - sum(testing)
    if same_updates is not None:
        with torch.inference_mode():
            metrics = {f"test/{k}": v for k, v in task.evaluate(dataset, "test").metrics.items()}
    return {
        "seconds": seconds, "return_mean": metrics["test/return_mean"],
        "env_steps": task.actor.num_steps, "updates": trainer.total_steps(dataset),
    }  # fmt: skip


def time_of_test(task: Any) -> list[float]:
    """Where the seconds of evaluations with a report, such as the final test, will be."""
    original, seconds = task.evaluate, []

    def evaluate(dataset: Any, split: str, *, report: bool = False) -> Any:
        start = time.perf_counter()
        evaluation = original(dataset, split, report=report)
        if report:
            seconds.append(time.perf_counter() - start)
        return evaluation

    task.evaluate = evaluate
    return seconds


def sb3(seed: int, env_steps: int) -> Result:
    import gymnasium
    from stable_baselines3 import DQN
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor

    model = DQN(
        "MlpPolicy", Monitor(gymnasium.make("CartPole-v1")), learning_rate=2.3e-3, batch_size=64,
        buffer_size=100_000, learning_starts=1000, gamma=0.99, target_update_interval=10, train_freq=256,
        gradient_steps=128, exploration_fraction=0.16 * 50_000 / env_steps, exploration_final_eps=0.04,
        policy_kwargs={"net_arch": [256, 256]}, seed=seed, device="cpu",
    )  # fmt: skip
    start = time.perf_counter()
    model.learn(env_steps)
    seconds = time.perf_counter() - start
    mean, _ = evaluate_policy(model, Monitor(gymnasium.make("CartPole-v1")), 100)
    return {
        "seconds": seconds, "return_mean": float(mean),  # pyright: ignore[reportArgumentType]
        "env_steps": model.num_timesteps, "updates": model._n_updates,
    }  # fmt: skip


def actions(side: str, seeds: int, env_steps: int, threads: int) -> dict[str, Callable[[], Result]]:
    import torch

    torch.set_num_threads(threads)
    # Whole turns of 256 steps; learning begins after the fourth, and the last ends with updates.
    turns = env_steps // 256
    updates = (turns - 3) * 128
    sides: dict[str, Callable[[int], Result]] = {
        "ours": lambda seed: ours(seed, None, threads),
        "same": lambda seed: ours(seed, updates, threads),
        "sb3": lambda seed: sb3(seed, turns * 256),
    }
    return {str(seed): lambda s=seed: sides[side](s) for seed in range(seeds)}


def claims(result: dict[str, Any]) -> list[Claim]:
    """For `docs/benchmarks.md`."""
    sides = result["sides"]
    returns = ", ".join(f"{run['return_mean']:.0f}" for run in sides["ours"])
    what = "`dqn_cartpole`: mean return of 100 greedy episodes (500 is the most there is) of each seed"
    found = [Claim(field=AGENTS, what=what, measured=returns)]
    names = {"ours": ("", 3.0), "same": (" with the same settings and number of updates", 1.8)}
    for side, (how, goal) in names.items():
        pairs = list(zip(sides.get(side, []), sides.get("sb3", []), strict=False))
        if pairs:
            ratio = median(other["seconds"] / run["seconds"] for run, other in pairs)
            ours, peer = (median(run["seconds"] for run in each) for each in zip(*pairs, strict=True))
            times = f"{ours:.0f} against {peer:.0f} s"
            said = f"`dqn_cartpole`, 50,000 steps{how}, against Stable-Baselines3"
            found.append(ratio_claim(AGENTS, said, f"{times}, {ratio:.2f}x", ratio, goal))
    return found


def main() -> None:
    parser = make_parser(__doc__, SIDES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--peer-seeds", type=int, default=5, help="`same` and `sb3` only run the first ones")
    parser.add_argument("--env-steps", type=int, default=50_000, help="of `same` and `sb3`")
    parser.add_argument("--threads", type=int, default=1, help="of torch, the same for all")
    options = parser.parse_args()
    if options.worker:
        return serve(lambda: actions(options.worker, options.seeds, options.env_steps, options.threads))
    arguments = ["--seeds", options.seeds, "--env-steps", options.env_steps, "--threads", options.threads]
    workers = {side: Worker([__file__, "--worker", side, *map(str, arguments)]) for side in options.sides}
    results: dict[str, list[Result]] = {side: [] for side in options.sides}
    for seed in range(options.seeds):
        for side, worker in workers.items():
            if side == "ours" or seed < options.peer_seeds:
                results[side].append(worker.ask(str(seed)))
        print(f"seed {seed} done", file=sys.stderr)
    for worker in workers.values():
        worker.close()
    print(table(results))
    result = {"env_id": "CartPole-v1", "threads": options.threads, "sides": results}
    write_json(options.json, result, "gymnasium", "stable-baselines3")


def table(results: dict[str, list[Result]]) -> str:
    lines = [
        f"{'side':6} {'seconds':>8} {'against sb3':>12} {'updates':>8} {'steps':>7}  mean return of each seed"
    ]
    for side, runs in results.items():
        seconds = median(run["seconds"] for run in runs)
        pairs = zip(runs, results.get("sb3", []), strict=False)
        ratios = [other["seconds"] / run["seconds"] for run, other in pairs]
        ratio = f"{median(ratios):.2f}x" if ratios else ""
        returns = " ".join(f"{run['return_mean']:.0f}" for run in runs)
        last = runs[-1]
        lines.append(
            f"{side:6} {seconds:8.1f} {ratio:>12} {last['updates']:8.0f} {last['env_steps']:7.0f}  {returns}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
