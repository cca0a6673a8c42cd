"""Deep Q-learning: act, remember, and learn the value of every action from what is remembered."""

import copy
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any, Protocol, cast, final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from aiexp.dataset.base import Dataset, EnvironmentData
from aiexp.errors import ConfigError
from aiexp.prediction.network import Network
from aiexp.prediction.observations import Observations
from aiexp.prediction.prediction import SHOWN_DIGITS, Prediction
from aiexp.ranges import PositiveInt, Probability, Range
from aiexp.task.base import Metric, OptimizerFactory, Task, Update
from aiexp.task.control.acting import Actor
from aiexp.task.control.exploration import Exploration
from aiexp.task.control.replay import Replay
from aiexp.task.control.report import Episode, play, report_episodes, run_episodes
from aiexp.task.control.rollout import Rollout
from aiexp.task.report import Better, Evaluation
from aiexp.world.world import World

BETTER: dict[str, Better] = {"return_mean": "max", "return_min": "max"}

# Tensor letters: B batch, E environments, S stacked frames, A actions; "..." one observation.


class QNetwork(Protocol):
    """What this task needs of a model, which is a module: see `aiexp.model.control.q_network`."""

    def build(self, observation_shape: tuple[int, ...], num_actions: int) -> None:
        """Makes the layers for (S, ...) observations; called once, before anything else."""
        ...

    def __call__(self, observations: Tensor) -> Tensor:
        """(B, A) float values of (B, S, ...) observations, uint8 or float32."""
        ...


@final
class DQN(Task):
    """Learns the value of each action by one-step (or multi-step) targets from a target network.

    Source: Mnih et al. 2015 (doi 10.1038/nature14236), algorithm 1; double: van Hasselt et al. 2015 (arXiv
    1509.06461), equation 4; replay: `ReplayBuffer`, `PrioritizedReplay`.
    Departures: Adam instead of RMSProp is the preset's choice; several updates in a row, after several steps
    of several environments (RL-Zoo); rewards are not clipped; the target network may follow smoothly
    (Lillicrap et al. 2015, arXiv 1509.02971); a truncated episode is not taken for a terminated one.
    Networks compute in float32 whatever hardware.precision says: bf16 would round away the differences
    between actions.

    Ranks share out dataset.num_envs, dataset.batch_size and replay.size; each acts in environments of its own
    and learns from what it has seen there. Whatever counts steps counts those of all.

    Logs: train/loss (Huber), train/q_value (mean value of the actions taken); env/steps (so far),
    env/epsilon, env/return and env/episode_length (means over turns of acting in which episodes ended),
    time/env_steps_per_second (while acting); eval/ and test/: return_mean, return_std, return_min,
    episode_length of greedy episodes; test/ also a table of episodes and an animated picture of the first.

    Args:
        model: See `QNetwork`.
        dataset: `Environments` with discrete actions.
        optimizer: Makes an optimizer from parameters.
        discount: Factor on the reward of the next step, in [0, 1].
        double: Choose the next action by the network itself, and only judge it by the target network.
        target_interval: Steps of the environments, over all copies, between updates of the target network.
        tau: How far the target network then moves: 1 copies, less follows smoothly.
        exploration: Probability of random actions.
        rollout: How acting and learning take turns.
        replay: The memory.

    Raises:
        ConfigError: the environment's actions are not discrete, or the memory is too small.
    """

    shares_batches = False

    def __init__(
        self,
        *,
        model: QNetwork,
        dataset: EnvironmentData,
        optimizer: OptimizerFactory,
        discount: Probability,
        double: bool,
        target_interval: PositiveInt,
        tau: Annotated[float, Range("(0, 1]")],
        exploration: Exploration,
        rollout: Rollout,
        replay: Replay,
    ) -> None:
        super().__init__()
        num_actions = check_actions(dataset)
        model.build(dataset.observation_shape, num_actions)
        self.model = cast(nn.Module, model)
        self.target = copy.deepcopy(self.model).requires_grad_(False)
        self.optimizer, self.is_double, self.rollout, self.replay = optimizer, double, rollout, replay
        self.target_interval, self.tau = target_interval, tau
        self.dataset, self.exploration, self.discount = dataset, exploration, discount
        self.steps_each = rollout.steps_each(dataset.num_envs)
        check_size(replay, rollout)
        self.prepare()
        self.batches_left = 0  # of this turn of learning
        self.acting_metrics: dict[str, Metric] = {}  # about the last turn of acting, to be logged

    def join(self, world: World) -> None:
        """Keeps this rank's share of the environments, the memory and the batch, and acts by itself."""
        before = self.world.size
        super().join(world)
        if world.size != before:
            self.prepare()

    def prepare(self) -> None:
        """Makes environments and memory, as far as they are this rank's."""
        dataset, spaces, world = self.dataset, self.dataset.spaces, self.world
        self.batch_size = world.part(dataset.batch_size, "dataset.batch_size")
        self.replay.prepare(
            size=world.part(self.replay.size, "task.replay.size"),
            num_envs=world.part(dataset.num_envs, "dataset.num_envs"),
            shape=spaces.shape, dtype=spaces.dtype, frame_stack=dataset.frame_stack, discount=self.discount,
        )  # fmt: skip
        self.random = np.random.default_rng([dataset.seed, world.rank])
        self.actor = Actor(
            dataset=dataset, replay=self.replay, exploration=self.exploration,
            learning_starts=self.rollout.learning_starts, random=self.random, world=world,
        )  # fmt: skip

    def batches(self, dataset: Dataset, start: int) -> Iterator[dict[str, Tensor]]:
        """Batches drawn from memory; each turn's first is preceded by acting."""
        while True:
            if not self.batches_left:
                self.act()
                self.batches_left = self.rollout.gradient_steps
            self.batches_left -= 1
            yield self.replay.draw(self.batch_size, self.random)

    def act(self) -> None:
        """One turn in the environments (the first goes on until learning starts); then the target follows."""
        device = self.device  # looked up once: a search through all modules

        def policy(observations: NDArray[Any]) -> NDArray[np.int64]:
            return self.best_actions(observations, device)

        while True:
            before = self.actor.num_steps
            with torch.inference_mode():
                self.acting_metrics |= self.actor.act(policy, self.steps_each)
            steps = self.actor.num_steps
            self.update_target(steps // self.target_interval - before // self.target_interval)
            if steps > self.rollout.learning_starts and len(self.replay.buffer.drawable()):
                return
            if self.world.size > 1:  # alone it is interrupted at any point, before the first step
                self.world.before_batch()

    def best_actions(
        self, observations: NDArray[Any], device: torch.device | None = None
    ) -> NDArray[np.int64]:
        """(E,) the actions of highest value, counted from 0, for (E, S, ...) observations.

        Args:
            observations: On the CPU.
            device: The network's, if it is known.
        """
        states = torch.from_numpy(observations).to(device or self.device)
        return self.model(states).argmax(1).cpu().numpy()

    @torch.no_grad()
    def update_target(self, times: int) -> None:
        """Moves the target network towards the trained one, as often as that."""
        if not times:
            return
        share = 1 - (1 - self.tau) ** times
        for target, trained in zip(self.target.parameters(), self.model.parameters(), strict=True):
            target.lerp_(trained, share) if share < 1 else target.copy_(trained)

    def train_step(self, batch: dict[str, Tensor]) -> Iterator[Update]:
        """One update towards the targets of a batch."""
        observations = batch["observations"]
        with torch.autocast(observations.device.type, enabled=False):
            values = self.model(observations)  # (B, A)
            values = values.gather(1, batch["actions"][:, None]).squeeze(1)
            targets = self.targets(batch)
            if "weights" in batch:
                loss = (F.smooth_l1_loss(values, targets, reduction="none") * batch["weights"]).mean()
            else:
                loss = F.smooth_l1_loss(values, targets)
        taken = values.detach()
        yield Update(loss=loss, metrics={"q_value": taken.mean()})
        if "rows" in batch:
            self.replay.learn(batch["rows"], targets - taken)

    @property
    def capturable(self) -> bool:
        """Whether a CUDA graph may record a step: priorities are read after each."""
        return self.replay.priorities is None

    def take_metrics(self) -> dict[str, Metric]:
        """About the last turn of acting, once."""
        metrics, self.acting_metrics = self.acting_metrics, {}
        return metrics

    @torch.no_grad()
    def targets(self, batch: dict[str, Tensor]) -> Tensor:
        """(B,) rewards plus the discounted value of the state they lead to."""
        next_values = self.target(batch["next_observations"])  # (B, A)
        if self.is_double:
            best = self.model(batch["next_observations"]).argmax(1, keepdim=True)
            next_values = next_values.gather(1, best).squeeze(1)
        else:
            next_values = next_values.amax(1)
        return batch["rewards"] + batch["discounts"] * next_values

    def make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One, for the trained network."""
        return {"model": self.optimizer(self.model.parameters())}

    def evaluate(self, dataset: Dataset, split: str, *, report: bool = False) -> Evaluation:
        """Returns of greedy episodes; as a report also a table of them and a picture of the first."""
        environments: Any = dataset
        with torch.autocast(self.device.type, enabled=False):
            batches = [batch["seeds"].tolist() for batch in self.dealt(dataset, split)]
            played = [run_episodes(environments, seeds, self.best_actions) for seeds in batches]
            parts = self.gathered([[asdict(episode) for episode in episodes] for episodes in played])
            episodes = [Episode(**episode) for part in parts for episode in part]
            returns = np.array([episode.total for episode in episodes])
            metrics = {
                "return_mean": returns.mean(),
                "return_std": returns.std(),
                "return_min": returns.min(),
                "episode_length": np.mean([episode.length for episode in episodes]),
            }
            metrics = {name: float(value) for name, value in metrics.items()}
            if not report:
                return Evaluation(metrics=metrics, better=BETTER)
            pictures, tables = report_episodes(environments, episodes, self.best_actions)
        return Evaluation(metrics=metrics, better=BETTER, pictures=pictures, tables=tables)

    def inputs(self) -> Observations:
        """Seeds of episodes to play, or observations."""
        return Observations(self.dataset.observation_shape, self.dataset.spaces.dtype)

    def predict(self, batch: dict[str, Any]) -> list[Prediction]:
        """Of an observation the best action and the values of all, of a seed an episode played greedily."""
        with torch.autocast(self.device.type, enabled=False):
            values = self.model(batch["observations"]).tolist()
            return [
                self.chosen(row) if seed is None else self.played(seed)
                for row, seed in zip(values, batch["seeds"], strict=True)
            ]

    def chosen(self, values: list[float]) -> Prediction:
        """The action of highest value."""
        best = int(np.argmax(values))
        action, value = best + self.dataset.spaces.first_action, values[best]
        return Prediction(
            line=f"action {action}  {value:.{SHOWN_DIGITS}f}",
            values={"action": action, "value": value, "values": values},
        )

    def played(self, seed: int) -> Prediction:
        """An episode, with an animation if the environment can be drawn."""
        episode, animation = play(self.dataset, seed, self.best_actions)
        return Prediction(
            line=f"return {episode.total:g}  {episode.length} steps, {episode.ended}",
            values={"seed": seed, "return": episode.total, "length": episode.length, "ended": episode.ended},
            pictures={} if animation is None else {"episode": animation},
        )

    def networks(self) -> dict[str, Network]:
        """The network of action values."""
        return {
            "q_network": Network(
                module=self.model, inputs=self.inputs().ports(), outputs=("values",),
                text="the value of each action (batch, actions)",
            )
        }  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """The environment."""
        spaces = self.actor.spaces
        return {
            "env_id": self.actor.dataset.env_id,
            "observation_shape": list(spaces.shape),
            "num_actions": spaces.num_actions,
        }

    def extra_state(self) -> dict[str, Any]:
        """The memory, the episodes in progress, and what is left of this turn."""
        return {
            "replay": self.replay.state(),
            "actor": self.actor.state(),
            "random": self.random.bit_generator.state,
            "batches_left": self.batches_left,
        }

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Restores what `extra_state` returned; episodes in progress are played again."""
        self.replay.load_state(state["replay"])
        self.actor.load_state(state["actor"])
        self.random.bit_generator.state = state["random"]
        self.batches_left = state["batches_left"]


def check_actions(dataset: EnvironmentData) -> int:
    """The number of actions.

    Raises:
        ConfigError: there are infinitely many.
    """
    count = dataset.spaces.num_actions
    if count is None:
        raise ConfigError(
            f"DQN chooses one of several actions, and those of {dataset.env_id} are {dataset.spaces.actions}",
            where="dataset", fix="an environment with a Discrete action space, e.g. dataset=cartpole",
        )  # fmt: skip
    return count


def check_size(replay: Replay, rollout: Rollout) -> None:
    """Raises `ConfigError` if a turn of acting is more than fits into the buffer."""
    if replay.size < rollout.train_freq:
        raise ConfigError(
            f"a buffer of {replay.size} transitions is smaller than one turn of {rollout.train_freq} steps",
            where="replay.size", fix=f"replay.size={rollout.train_freq} or more",
        )  # fmt: skip
