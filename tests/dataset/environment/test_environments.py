import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

from aiexp.dataset.environment.dataset import check_module
from aiexp.errors import AiexpError, CheckpointError, ConfigError, DataError, HardwareError, SecurityError
from tests.counting_env import environments


def test_sizes_come_from_the_spaces() -> None:
    dataset = environments("CartPole-v1", frame_stack=3)
    assert (dataset.observation_shape, dataset.spaces.num_actions) == ((3, 4), 2)
    pictures = environments("Squares-v0", env_options={"channels": 3})
    assert (pictures.observation_shape, pictures.spaces.dtype) == ((1, 36, 36, 3), np.uint8)
    assert pictures.spaces.is_image
    one_hot = environments("FrozenLake-v1")
    assert (one_hot.observation_shape, one_hot.spaces.num_actions) == ((1, 16), 4)
    assert environments("Pendulum-v1").spaces.num_actions is None
    assert environments(env_options={"first": 7}).spaces.first_action == 7


def test_episodes_of_evaluation_are_fixed_and_no_training_episodes() -> None:
    first, other = environments(seed=0), environments(seed=5)
    seeds = {
        split: [s for b in first.eval_batches(split) for s in b["seeds"].tolist()]
        for split in ("eval", "test")
    }
    assert seeds["eval"] == [s for b in other.eval_batches("eval") for s in b["seeds"].tolist()]
    assert [first.num_examples(s) for s in ("train", "eval", "test")] == [2, 2, 3]
    assert [len(seeds["eval"]), len(seeds["test"])] == [2, 3]
    training: list[int] = []
    for dataset in (first, other):
        envs: Any = dataset.training_envs()
        envs.reset()
        for _ in range(30):
            envs.step(np.array([0, 1]))
            training += [e.seed for e in envs.episodes]
    everything = [*seeds["eval"], *seeds["test"], *set(training)]
    assert len(everything) == len(set(everything))
    assert len(set(training)) == 2 * 2 * 6  # each episode its own: 2 data sets, 2 copies, 5 steps + 1


def test_many_evaluation_episodes_come_in_parts() -> None:
    sizes = [len(b["seeds"]) for b in environments(num_test_episodes=120).eval_batches("test")]
    assert sizes == [50, 50, 20]


def test_an_episode_can_be_played_again() -> None:
    dataset = environments("CartPole-v1", seed=3)
    envs, again = dataset.training_envs(), dataset.training_envs()
    random = np.random.default_rng(0)
    seen = envs.reset()
    for _ in range(57):
        seen, *_ = envs.step(random.integers(2, size=2))
    for old, new in zip(envs.episodes, again.episodes, strict=True):
        new.load_state(old.state())
    assert np.array_equal(again.reset(), seen)
    for _ in range(100):  # through ends of episodes
        actions = random.integers(2, size=2)
        for one, other in zip(envs.step(actions), again.step(actions), strict=True):
            assert np.array_equal(one, other)


def test_copies_step_as_gymnasiums_vector_environment_does() -> None:
    import gymnasium
    from gymnasium.vector import AutoresetMode, SyncVectorEnv

    from aiexp.dataset.environment.dataset import episode_seed

    class Seeded(gymnasium.Wrapper[Any, Any, Any, Any]):
        """Begins its episodes from the seeds of ours."""

        def __init__(self, env: Any, number: int) -> None:
            super().__init__(env)
            self.number, self.episode = number, -1

        def reset(self, **_: Any) -> Any:
            self.episode += 1
            return self.env.reset(seed=episode_seed(3, self.number, self.episode))

    dataset = environments("CartPole-v1", seed=3, num_envs=3, max_episode_steps=20)
    makers = [lambda n=n: Seeded(dataset.make(), n) for n in range(3)]
    theirs, ours = SyncVectorEnv(makers, autoreset_mode=AutoresetMode.NEXT_STEP), dataset.training_envs()
    random = np.random.default_rng(0)
    assert np.array_equal(ours.reset(), theirs.reset()[0])
    kinds = np.zeros(2, int)
    for _ in range(400):
        actions = random.integers(2, size=3)
        results = ours.step(actions)
        for one, other in zip(results, theirs.step(actions)[:4], strict=True):
            assert np.array_equal(one, other)
        kinds += [results[2].sum(), results[3].sum()]
    assert kinds.min() > 10  # episodes of both kinds of end


def test_an_episode_restored_at_its_end_is_followed_by_a_reset() -> None:
    dataset = environments(num_envs=1)
    envs, again = dataset.training_envs(), dataset.training_envs()
    envs.reset()
    for _ in range(5):
        terminated = envs.step(np.array([1]))[2]
    assert terminated.all()
    again.episodes[0].load_state(envs.episodes[0].state())
    again.reset()
    for one, other in zip(envs.step(np.array([1])), again.step(np.array([1])), strict=True):
        assert np.array_equal(one, other)


def test_an_episode_that_ends_sooner_is_not_the_same() -> None:
    dataset = environments(num_envs=1)
    episodes: Any = dataset.training_envs().episodes[0]
    with pytest.raises(CheckpointError, match="not deterministic"):
        episodes.load_state({"episode": 0, "actions": np.zeros(9, np.int64)})


@pytest.mark.parametrize(
    ("env_id", "changes", "kind", "words"),
    [
        ("CartPol-v1", {}, ConfigError, ["'CartPol-v1'", "Did you mean 'CartPole-v1'?"]),
        ("CartPole-v7", {}, ConfigError, ["'CartPole-v7'", "Did you mean 'CartPole-v1'?"]),
        ("ALE/Pong-v5", {}, ConfigError, ["'ALE/Pong-v5'"]),
        ("LunarLander-v3", {}, HardwareError, ["Box2D", 'pip install "gymnasium[box2d]"']),
        ("CartPole-v1", {"env_options": {"gravity": 3}}, ConfigError, [".env_options", "gravity"]),
        ("json:CartPole-v1", {}, SecurityError, ["'json'"]),
        ("sys:CartPole-v1", {}, SecurityError, ["'sys'"]),
        ("no_such_module:X-v0", {}, ConfigError, ["no_such_module"]),
    ],
)
def test_bad_input(env_id: str, changes: dict[str, Any], kind: type[AiexpError], words: list[str]) -> None:
    if env_id == "LunarLander-v3":
        try:
            import Box2D  # noqa: F401  # pyright: ignore[reportMissingImports]
        except ImportError:
            pass
        else:
            pytest.skip("Box2D is installed")
    with pytest.raises(AiexpError) as error:
        environments(env_id, **changes)
    assert type(error.value) is kind
    line = error.value.line()
    assert "\n" not in line
    assert all(word in line for word in words), line


def test_a_module_of_ones_own_may_register_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_envs.py").write_text(
        "import gymnasium\ngymnasium.register('Mine-v0', 'gymnasium.envs.classic_control:CartPoleEnv')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    check_module("my_envs:Mine-v0")
    assert environments("my_envs:Mine-v0").spaces.num_actions == 2


def test_observations_without_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    import gymnasium
    from gymnasium.spaces import Discrete, Sequence

    from tests.counting_env import Counting

    class Talking(Counting):
        def __init__(self, render_mode: str | None = None) -> None:
            super().__init__()
            self.observation_space = Sequence(Discrete(5))

    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    gymnasium.register("Talking-v0", Talking)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="no fixed size"):
        environments("Talking-v0")


def test_there_are_no_training_batches() -> None:
    with pytest.raises(ConfigError, match="no training batches"):
        environments().train_batches(0)
    with pytest.raises(ConfigError, match="no split"):
        environments().num_examples("valid")


def test_the_fingerprint_names_the_environment() -> None:
    prints = [
        environments().fingerprint(),
        environments(env_options={"length": 6}).fingerprint(),
        environments("CartPole-v1").fingerprint(),
    ]
    assert len(set(prints)) == 3
    assert environments(seed=4).fingerprint() == prints[0]


def test_a_failure_says_where(tmp_path: Path) -> None:
    envs: Any = environments(env_options={"fails": "step"}, num_envs=6).training_envs()
    envs.reset()
    with pytest.raises(DataError) as error:
        [envs.step(np.zeros(6, np.int64)) for _ in range(50)]
    line = error.value.line()
    assert "Counting-v0 raised in step: RuntimeError: no power" in line
    assert "step 3" in line
    assert "seed" in line


class Plain(gymnasium.Env[Any, Any]):
    """Takes no render_mode, as most people's own; a Dict observation whose goal may leave its space."""

    def __init__(self, goal: int = 1) -> None:
        self.observation_space = Dict({"place": Box(-1, 1, (2,)), "goal": Discrete(3)})
        self.action_space = Discrete(2)
        self.goal = goal

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return {"place": np.zeros(2, np.float32), "goal": self.goal}, {}

    def step(self, action: Any) -> Any:
        return *self.reset(), 1.0, True, False, {}


class Sized(Plain):
    def __init__(self, size: int, *, walls: int) -> None:
        super().__init__()


def test_an_environment_that_needs_options_names_them() -> None:
    if "Sized-v0" not in gymnasium.registry:
        gymnasium.register("Sized-v0", entry_point=Sized)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match=r"Sized-v0 needs the option size .*\+dataset.env_options.size="):
        environments("Sized-v0", env_options={"walls": 1})
    with pytest.raises(ConfigError, match="Sized-v0 needs the option walls"):
        environments("Sized-v0", env_options={"size": 1})
    with pytest.raises(ConfigError, match="refuses the options"):
        environments("Sized-v0", env_options={"size": 1, "walls": 1, "doors": 1})
    assert environments("Sized-v0", env_options={"size": 1, "walls": 1}).observation_shape == (1, 5)


def plain(goal: int) -> Any:
    if "Plain-v0" not in gymnasium.registry:
        gymnasium.register("Plain-v0", entry_point=Plain)  # pyright: ignore[reportArgumentType]
    return environments("Plain-v0", env_options={"goal": goal})


@pytest.mark.filterwarnings("ignore:.*render_mode")  # gymnasium's, which `film` ignores too
def test_an_environment_that_takes_no_render_mode() -> None:
    dataset = plain(1)
    assert dataset.observation_shape == (1, 5)
    envs = dataset.training_envs()
    assert envs.reset().tolist() == [[0, 1, 0, 0, 0]] * 2
    with pytest.raises(ConfigError, match="Plain-v0 takes no render_mode, so it draws nothing"):
        dataset.make(render_mode="rgb_array")


def test_an_observation_outside_its_space_names_the_space() -> None:
    with pytest.raises(DataError, match="not in its observation space Dict") as error:
        plain(7).training_envs().reset()
    assert "'goal': 7" in error.value.line()
