from typing import Any

import numpy as np
import pytest

from aiexp.checkpoint.state import join, split
from aiexp.errors import CheckpointError, ConfigError, MemoryFullError
from aiexp.task.control.prioritized_replay import PrioritizedReplay, SumTree
from aiexp.task.control.replay_buffer import NOTHING, RUNNING, TERMINATED, TRUNCATED, ReplayBuffer


def make_buffer(**changes: Any) -> ReplayBuffer:
    settings: dict[str, Any] = {
        "size": 40, "num_envs": 2, "shape": (2,), "dtype": np.dtype(np.float32), "frame_stack": 1,
        "num_steps": 1, "discount": 0.5,
    }  # fmt: skip
    return ReplayBuffer(**(settings | changes))


class Story:
    """Environments whose episodes are written down; observation (episode, step), reward = step + 1.

    Environment e ends its episode k after `lengths[(e + k) % len]` steps, terminated if k is even.
    """

    def __init__(self, buffer: ReplayBuffer, lengths: tuple[int, ...] = (3, 5)) -> None:
        self.buffer, self.lengths = buffer, lengths
        self.at = [(100 * e, 0) for e in range(buffer.num_envs)]
        self.over = [False] * buffer.num_envs
        self.added: list[np.ndarray[Any, Any]] = []
        self.dropped: list[np.ndarray[Any, Any]] = []
        buffer.begin(np.array(self.at, np.float32))

    def tell(self, count: int) -> None:
        shape = (count, self.buffer.num_envs)
        actions, rewards = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
        kinds, observations = np.zeros(shape, np.uint8), np.zeros((*shape, 2), np.float32)
        for k in range(count):
            for e in range(self.buffer.num_envs):
                episode, step = self.at[e]
                if self.over[e]:
                    self.at[e], self.over[e] = (episode + 1, 0), False
                    kinds[k, e] = NOTHING
                else:
                    number = episode - 100 * e
                    ended = step + 1 == self.lengths[(e + number) % len(self.lengths)]
                    end = TRUNCATED if number % 2 else TERMINATED
                    kinds[k, e] = end if ended else RUNNING
                    rewards[k, e], actions[k, e] = step + 1, step % 2
                    self.at[e], self.over[e] = (episode, step + 1), ended
                observations[k, e] = self.at[e]
        added, dropped = self.buffer.extend(actions, rewards, kinds, observations)
        self.added.append(added)
        self.dropped.append(dropped)

    def expected(self, episode: float, step: float, num_steps: int) -> tuple[float, float, float]:
        """Return, following step and discount, computed the long way."""
        env, number = divmod(int(episode), 100)
        length = self.lengths[(env + number) % len(self.lengths)]
        total, factor, at = 0.0, 1.0, int(step)
        for _ in range(num_steps):
            total += factor * (at + 1)
            factor *= 0.5
            at += 1
            if at == length:
                return total, at, (factor if number % 2 else 0.0)
        return total, at, factor


@pytest.mark.parametrize("num_steps", [1, 3])
@pytest.mark.parametrize("frame_stack", [1, 3])
@pytest.mark.parametrize("chunk", [1, 7])
def test_no_transition_joins_two_episodes(num_steps: int, frame_stack: int, chunk: int) -> None:
    buffer = make_buffer(num_steps=num_steps, frame_stack=frame_stack)
    story, random = Story(buffer), np.random.default_rng(0)
    for _ in range(140 // chunk):  # several times around the ring
        story.tell(chunk)
        if not len(buffer.drawable()):
            continue
        batch = buffer.gather(buffer.draw(64, random))
        for row in range(64):
            episode, step = batch["observations"][row, -1]
            reward, at, discount = story.expected(episode, step, num_steps)
            assert batch["rewards"][row] == reward
            assert batch["discounts"][row] == discount
            assert batch["actions"][row] == step % 2
            for frames, last in ((batch["observations"][row], step), (batch["next_observations"][row], at)):
                wanted = [[episode, max(last - back, 0)] for back in range(frame_stack)][::-1]
                assert frames.tolist() == wanted


def test_all_transitions_are_drawn_alike() -> None:
    buffer = make_buffer()
    story = Story(buffer)
    for _ in range(5):
        story.tell(10)
    rows = buffer.draw(40_000, np.random.default_rng(0))
    there, counts = np.unique(rows, return_counts=True)
    kinds = buffer.kinds.array.reshape(-1)
    slots = np.array([slot % buffer.slots for slot in buffer.drawable()])
    wanted = [r for r in range(len(kinds)) if kinds[r] != NOTHING and r // 2 in slots]
    assert there.tolist() == wanted
    assert abs(counts / counts.mean() - 1).max() < 0.15


def test_added_and_dropped_rows_are_those_that_can_be_drawn() -> None:
    buffer = make_buffer(num_steps=3, frame_stack=2)
    story = Story(buffer)
    present: set[int] = set()
    for chunk in (1, 2, 9, 4, 20, 1, 1, 20, 5):
        story.tell(chunk)
        present = (present - set(story.dropped[-1].tolist())) | set(story.added[-1].tolist())
        assert present == set(buffer.draw(3000, np.random.default_rng(0)).tolist()) if present else True


def test_a_saved_buffer_goes_on_as_before() -> None:
    buffer, other = make_buffer(num_steps=2), make_buffer(num_steps=2)
    story = Story(buffer)
    story.tell(15)
    skeleton, tensors, blocks = split(buffer.state())
    other.load_state(join(skeleton, tensors, blocks))
    draws = [b.gather(b.draw(50, np.random.default_rng(1))) for b in (buffer, other)]
    for name, values in draws[0].items():
        assert np.array_equal(values, draws[1][name])
    with pytest.raises(CheckpointError, match="holds"):
        make_buffer(size=50).load_state(buffer.state())


def test_too_large_and_too_small() -> None:
    with pytest.raises(MemoryFullError) as error:
        make_buffer(size=10**12)
    assert "GB" in error.value.what
    assert error.value.fix.startswith("Replay.size=")
    with pytest.raises(ConfigError, match="too small"):
        make_buffer(size=3)


def test_a_sum_tree_is_the_running_sum() -> None:
    random = np.random.default_rng(0)
    for size in (1, 2, 5, 100):
        tree, weights = SumTree(size), np.zeros(size)
        for _ in range(5):
            rows = random.integers(size, size=max(size // 2, 1))
            rows = np.unique(rows)
            weights[rows] = random.random(len(rows)) * (random.random(len(rows)) > 0.3)
            weights[0] += 0.1
            tree.set(rows, weights[rows])
            tree.set(np.array([0]), weights[:1])
            assert tree.total == pytest.approx(weights.sum())
            sums = random.random(200) * tree.total
            wanted = np.searchsorted(np.cumsum(weights), sums, side="right")
            assert tree.find(sums).tolist() == wanted.tolist()


def test_a_row_without_weight_is_never_found() -> None:
    tree = SumTree(8)
    tree.set(np.array([2, 5]), np.array([1.0, 2.0]))
    assert set(tree.find(np.linspace(0, 3.0, 100)).tolist()) == {2, 5}  # 3.0 itself, by rounding


def test_priorities_are_a_power_of_the_error_and_corrected_for() -> None:
    replay = PrioritizedReplay(size=4, alpha=0.5, beta=0.4, beta_steps=10)
    rows = np.arange(4)
    replay.change(rows, rows[:0])
    replay.update(rows, np.array([1.0, -4.0, 9.0, 0.0]))
    weights = np.array([1.0, 2.0, 3.0, 0.001])
    assert replay.tree.get(rows) == pytest.approx(weights, rel=1e-3)
    random = np.random.default_rng(0)
    drawn, corrections = replay.draw(20_000, random)
    shares = np.bincount(drawn, minlength=4) / 20_000
    assert shares == pytest.approx(weights / weights.sum(), abs=0.01)
    wanted = (weights / weights[drawn].min()) ** -0.4
    assert corrections == pytest.approx(wanted[drawn], rel=1e-3)
    replay.num_drawn = 10  # beta is 1 by now
    drawn, corrections = replay.draw(1000, random)
    assert (corrections * weights[drawn]).std() < 1e-4


def test_new_rows_come_first_and_dropped_ones_never() -> None:
    replay = PrioritizedReplay(size=4, alpha=1.0, beta=1.0, beta_steps=0)
    replay.change(np.array([0, 1]), np.array([], np.int64))
    replay.update(np.array([0, 1]), np.array([7.0, 0.1]))
    replay.change(np.array([2]), np.array([0]))
    assert replay.tree.get(np.arange(4)).tolist() == pytest.approx([0, 0.1, 7.0, 0], rel=1e-4)
    replay.update(np.array([0]), np.array([5.0]))  # overwritten since it was drawn
    assert replay.tree.get(np.array([0])).tolist() == [0]
