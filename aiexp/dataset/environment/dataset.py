"""Environments of gymnasium as a data set: an example is an episode; the task makes its batches by acting."""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, final

import numpy as np
import torch
from torch import Tensor

from aiexp.dataset.draws import example_seeds
from aiexp.dataset.environment.copies import EnvironmentCopies
from aiexp.dataset.environment.episodes import Episodes
from aiexp.dataset.environment.space import as_arrays, has_time_limit, read_spaces
from aiexp.errors import AiexpError, ConfigError, DataError, HardwareError, SecurityError, nearest
from aiexp.ranges import NonNegativeInt, PositiveInt

if TYPE_CHECKING:
    import gymnasium

logger = logging.getLogger(__name__)

BATCHES_PER_EPOCH = 1000
# How Python says that a call lacks arguments.
MISSING = re.compile(r"missing \d+ required [\w-]+ arguments?: ('\w+'(?:(?:, and|,| and) '\w+')*)")
PLAYED_AT_ONCE = 50  # evaluation episodes
# Streams of episode seeds; training environments have those from 0 on.
STREAMS = {"eval": 1 << 32, "test": (1 << 32) + 1}


@final
class Environments:
    """Copies of one environment to act in, and fixed episodes to be evaluated on.

    There are no training batches: the task acts in `training_envs()` and learns from what it sees there. An
    evaluation batch is `seeds`: (N,) int64, one for each episode; they do not depend on the run's seed. An
    epoch is 1,000 batches, for want of anything natural: use trainer.steps.

    Args:
        env_id: As in gymnasium's registry; "package.module:Name-v0" imports the module that registers it.
        num_envs: Copies that act side by side; also what counts as training examples.
        batch_size: Transitions in a training batch.
        num_eval_episodes: Played at each evaluation; 0 for none.
        num_test_episodes: Played at the end; 0 for none.
        frame_stack: Latest observations that the network sees at once.
        max_episode_steps: After so many an episode is truncated; None: as registered, perhaps never.
        env_options: Further arguments of the environment.
        seed: Of the training episodes.

    Raises:
        ConfigError: there is no such environment.
        HardwareError: a package that the environment needs is not installed.
    """

    is_generated = True  # nothing is read, so a run need not remember it

    units = MappingProxyType({"train": "environments", "eval": "episodes", "test": "episodes"})

    def __init__(
        self,
        *,
        env_id: str,
        num_envs: PositiveInt,
        batch_size: PositiveInt,
        num_eval_episodes: NonNegativeInt,
        num_test_episodes: NonNegativeInt,
        frame_stack: PositiveInt,
        max_episode_steps: PositiveInt | None,
        env_options: dict[str, Any],
        seed: NonNegativeInt,
    ) -> None:
        self.env_id, self.num_envs, self.batch_size = env_id, num_envs, batch_size
        self.frame_stack, self.seed = frame_stack, seed
        self._num_episodes = {"eval": num_eval_episodes, "test": num_test_episodes}
        self._options = dict(env_options) | (
            {} if max_episode_steps is None else {"max_episode_steps": max_episode_steps}
        )
        self._players = [self.make()]
        self.spaces = read_spaces(self._players[0])
        if not has_time_limit(self._players[0]):
            logger.warning(
                "%s has no time limit: an episode that never ends is played for ever; "
                "dataset.max_episode_steps=1000 sets one", env_id,
            )  # fmt: skip

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """(S, ...): of what the network sees, S being `frame_stack`."""
        return (self.frame_stack, *self.spaces.shape)

    def make(self, render_mode: str | None = None) -> "gymnasium.Env[Any, Any]":
        """A new environment with array observations.

        Args:
            render_mode: None, or "rgb_array" for one that makes pictures.

        Raises:
            ConfigError: there is no such environment, or it refuses the options.
            HardwareError: a package that it needs is not installed.
        """
        import gymnasium

        check_module(self.env_id)
        try:
            # Most people's own environments take no render_mode: it is given only where it is needed.
            render = {} if render_mode is None else {"render_mode": render_mode}
            env = gymnasium.make(self.env_id, disable_env_checker=True, **render, **self._options)
        except Exception as error:
            raise explain(error, self.env_id, self._options) from error
        return as_arrays(env, self.env_id)

    def training_envs(self, numbers: Iterable[int] | None = None) -> EnvironmentCopies:
        """The copies to act in, before their first episodes.

        Args:
            numbers: Of the copies; None for all of them.
        """

        def seed_of(number: int) -> Callable[[int], int]:
            return lambda episode: episode_seed(self.seed, number, episode)

        numbers = range(self.num_envs) if numbers is None else numbers
        episodes = [Episodes(self.make(), self.env_id, seed_of(number)) for number in numbers]
        return EnvironmentCopies(episodes, self.spaces.shape, self.spaces.dtype)

    def players(self, count: int) -> list["gymnasium.Env[Any, Any]"]:
        """Environments for evaluation, kept from one to the next."""
        while len(self._players) < count:
            self._players.append(self.make())
        return self._players[:count]

    def num_examples(self, split: str) -> int:
        """Episodes of "eval" and "test"; training has no end, so its environments are counted."""
        return self.num_envs if split == "train" else self._episodes(split)

    def batches_per_epoch(self) -> int:
        """1,000, since acting has no natural epoch."""
        return BATCHES_PER_EPOCH

    def train_batches(self, start: int) -> NoReturn:
        """Raises `ConfigError`: what there is to learn from depends on how the task acts."""
        raise ConfigError(
            "environments have no training batches of their own", where="dataset",
            fix="a task that acts, for example task=dqn_cartpole",
        )  # fmt: skip

    def eval_batches(self, split: str) -> Iterator[dict[str, Tensor]]:
        """The seeds of the episodes of a split, some at a time."""
        count = self._episodes(split)
        for start in range(0, count, PLAYED_AT_ONCE):
            numbers = range(start, min(start + PLAYED_AT_ONCE, count))
            yield {"seeds": torch.tensor([episode_seed(0, STREAMS[split], n) for n in numbers])}

    def fingerprint(self) -> str:
        """sha256 (hex) over the environment, its options and gymnasium's version."""
        from gymnasium import __version__

        parts = [self.env_id, self._options, self.frame_stack, self._num_episodes, self.spaces.shape]
        text = json.dumps([__version__, *parts], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def _episodes(self, split: str) -> int:
        if split not in self._num_episodes:
            raise ConfigError(f"there is no split '{split}'", fix="train, eval or test")
        return self._num_episodes[split]


def episode_seed(seed: int, stream: int, episode: int) -> int:
    """In [0, 2^31): of an episode of an environment."""
    return int(example_seeds(np.array([episode]), seed, stream)[0]) & 0x7FFFFFFF


def check_module(env_id: str) -> None:
    """Raises `SecurityError` if an id makes gymnasium import a module that a config may not name."""
    module, colon, _ = env_id.rpartition(":")
    if not colon:
        return
    from aiexp.config.target.allowed import is_user_code, trusted_packages
    from aiexp.config.target.find import NotFoundError, locate
    from aiexp.config.target.working_directory import WORKING_DIRECTORY

    WORKING_DIRECTORY.enter()
    top = module.split(".")[0]
    try:
        is_allowed = top in trusted_packages() or is_user_code(locate(top).path)
    except NotFoundError as error:
        if error.part:
            raise ConfigError(
                f"'{env_id}' names a module that does not exist: {error}", where="Environments.env_id",
                fix="check the name, or install it",
            ) from error  # fmt: skip
        is_allowed = False  # without Python source: part of Python itself, or compiled
    if not is_allowed:
        raise SecurityError(
            f"'{env_id}' is refused: it imports '{module}'", where="Environments.env_id",
            fix=f"code below this folder, or --trust {top}",
        )  # fmt: skip
    WORKING_DIRECTORY.admit(top)


def explain(error: Exception, env_id: str, options: dict[str, Any]) -> AiexpError:
    """What a user can do about an environment that cannot be made."""
    import gymnasium
    from gymnasium import error as errors

    what = " ".join(str(error).split())
    if isinstance(error, errors.DependencyNotInstalled | ImportError):
        return HardwareError(
            f"{env_id} needs a package: {what}", where="Environments.env_id", fix=install(what)
        )
    if isinstance(error, errors.DeprecatedEnv | errors.VersionNotFound | errors.UnregisteredEnv):
        known = list(gymnasium.registry)
        return ConfigError(
            f"there is no environment '{env_id}'.{nearest(env_id, known)}", where="Environments.env_id",
            fix=what if isinstance(error, errors.DeprecatedEnv | errors.VersionNotFound) else
            f"one of {', '.join(known[:8])}, ...; others after installing their package",
        )  # fmt: skip
    if isinstance(error, TypeError) and "'render_mode'" in what:
        return ConfigError(f"{env_id} takes no render_mode, so it draws nothing", where="Environments.env_id")
    if isinstance(error, TypeError) and (needed := MISSING.search(what)):
        names = re.findall(r"'(\w+)'", needed[1])
        return ConfigError(
            f"{env_id} needs the option{'s'[: len(names) > 1]} {', '.join(names)}",
            where="Environments.env_options",
            fix=" ".join(f"+dataset.env_options.{name}=..." for name in names),
        )
    if isinstance(error, TypeError):
        return ConfigError(
            f"{env_id} refuses the options {options}: {what}", where="Environments.env_options",
            fix="only what the environment takes",
        )  # fmt: skip
    return DataError(f"{env_id} cannot be made: {type(error).__name__}: {what}", where="Environments.env_id")


def install(what: str) -> str:
    """What to type when a package is missing, from gymnasium's words."""
    extras = {"Box2D": "box2d", "box2d": "box2d", "mujoco": "mujoco", "pygame": "classic-control"}
    name = next((extra for word, extra in extras.items() if word in what), "all")
    first = "pip install swig && " if name == "box2d" else ""
    return f'{first}pip install "gymnasium[{name}]"'
