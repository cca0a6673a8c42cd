"""Steps a second of `Actor` with random actions against a bare loop over gymnasium's vector environment.

    .venv/bin/python scripts/bench/environment_throughput.py --json outputs/environment_throughput.json

The bare loop draws random actions and steps; ours also begins each episode from a seed of its own, remembers
its actions, checks what comes back, adds up returns and fills the replay buffer. Each side is a process of
its own and they take turns; a first round is not counted and medians are printed. Time is the process's own,
so that other work on the machine matters less. Only real steps count, not those in which an environment
resets.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from side import AGENTS, Claim, Worker, ask_in_turn, make_parser, serve, write_json

SIDES = ("ours", "bare")
Action = Callable[[], Any]


def ours(env_id: str, num_envs: int, count: int) -> Action:
    import numpy as np

    from aiexp.dataset.environment.dataset import Environments
    from aiexp.task.control.acting import Actor
    from aiexp.task.control.exploration import Exploration
    from aiexp.task.control.replay import Replay

    dataset = Environments(
        env_id=env_id, num_envs=num_envs, batch_size=64, num_eval_episodes=1, num_test_episodes=1,
        frame_stack=1, max_episode_steps=None, env_options={}, seed=0,
    )  # fmt: skip
    replay = Replay(size=100_000, num_steps=1, alpha=0.0, beta=0.4, beta_steps=1)
    spaces = dataset.spaces
    replay.prepare(num_envs=num_envs, shape=spaces.shape, dtype=spaces.dtype, frame_stack=1, discount=0.99)
    actor = Actor(
        dataset=dataset, replay=replay, exploration=Exploration(start=1.0, end=1.0, steps=1, repetition=None),
        learning_starts=0, random=np.random.default_rng(0),
    )  # fmt: skip

    def act() -> float:
        before, start = actor.num_steps, time.process_time()
        for _ in range(count // 32):
            actor.act(lambda seen: np.zeros(len(seen), np.int64), 32)
        return (actor.num_steps - before) / (time.process_time() - start)

    return act


def bare(env_id: str, num_envs: int, count: int) -> Action:
    import gymnasium
    import numpy as np

    envs = gymnasium.make_vec(env_id, num_envs=num_envs, vectorization_mode="sync")
    envs.reset(seed=0)
    random: Any = np.random.default_rng(0)
    num_actions = envs.single_action_space.n  # pyright: ignore[reportAttributeAccessIssue]

    def act() -> float:
        start, resets = time.process_time(), 0
        for _ in range(count):
            _, _, terminated, truncated, _ = envs.step(random.integers(num_actions, size=num_envs))
            resets += int(np.count_nonzero(terminated | truncated))
        return (count * num_envs - resets) / (time.process_time() - start)

    return act


def claims(result: dict[str, Any]) -> list[Claim]:
    """For `docs/benchmarks.md`."""
    found: list[Claim] = []
    for num_envs, speeds in result["steps_per_second"].items():
        pairs = zip(speeds["ours"], speeds["bare"], strict=True)
        overhead = median(bare / ours - 1 for ours, bare in pairs)
        what = (
            f"stepping {num_envs} x {result['env_id']} against a bare gymnasium vector loop, processor time"
        )
        measured = f"{overhead:.1%} more"
        found.append(Claim(field=AGENTS, what=what, measured=measured, goal="15 %", is_met=overhead <= 0.15))
    return found


def main() -> None:
    parser = make_parser(__doc__, SIDES, rounds=5, needs_all=True)
    parser.add_argument("--count", type=int, default=3200, help="steps of the vector environment in a round")
    parser.add_argument("--env", default="CartPole-v1")
    parser.add_argument("--num-envs", type=int, nargs="+", default=[1, 8])
    options = parser.parse_args()
    if options.worker:
        make = {"ours": ours, "bare": bare}[options.worker]
        return serve(lambda: {"act": make(options.env, options.num_envs[0], options.count)})
    result: dict[str, Any] = {"env_id": options.env, "steps_per_second": {}}
    print(f"{options.env:16} {'bare':>9} {'ours':>9} steps/s   overhead")
    for num_envs in options.num_envs:
        speeds = compare(options.env, num_envs, options.rounds, options.count)
        result["steps_per_second"][num_envs] = speeds
        ours_speed, bare_speed = (median(speeds[side]) for side in SIDES)
        # Of pairs measured one after the other: a busy machine slows both.
        overhead = median(b / o - 1 for o, b in zip(speeds["ours"], speeds["bare"], strict=True))
        print(f"{num_envs:4} at once     {bare_speed:9.0f} {ours_speed:9.0f}         {overhead:9.1%}")
    write_json(options.json, result, "gymnasium")


def compare(env_id: str, num_envs: int, rounds: int, count: int) -> dict[str, list[float]]:
    """Steps a second of every counted round and side."""
    arguments = ["--env", env_id, "--num-envs", str(num_envs), "--count", str(count)]
    workers = {side: Worker([__file__, "--worker", side, *arguments]) for side in SIDES}
    return ask_in_turn(workers, "act", rounds)


if __name__ == "__main__":
    main()
