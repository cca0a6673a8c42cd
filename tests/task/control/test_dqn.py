import copy
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from aiexp.checkpoint.state import seed_everything
from aiexp.config.objects.partners import check_partners
from aiexp.errors import AiexpError, CheckpointError, ConfigError, DataError
from aiexp.model.control.q_network import QCnn, QMlp
from aiexp.model.few_shot.sine_mlp import SineMlp
from aiexp.rundir.directory import RunDirectory
from aiexp.session.session import Session
from aiexp.task.control.dqn import DQN
from aiexp.task.control.exploration import Exploration
from aiexp.task.control.replay import Replay
from aiexp.task.control.replay_buffer import NOTHING
from aiexp.task.control.report import LINE, captioned
from aiexp.task.control.rollout import Rollout
from aiexp.trainer.selection import Selection
from tests.counting_env import environments
from tests.endings import die_at, digest
from tests.forks import in_fork
from tests.toys import NO_AVERAGE, Points, make_hardware, make_trainer, new_run

STEPS = 12


def make_task(dataset: Any = None, **changes: Any) -> DQN:
    torch.manual_seed(0)
    replay: dict[str, Any] = {
        "size": 60, "num_steps": 1, "alpha": 0.0, "beta": 0.4, "beta_steps": 20,
    }  # fmt: skip
    rollout: dict[str, Any] = {"train_freq": 8, "gradient_steps": 3, "learning_starts": 20}
    replay |= {k: changes.pop(k) for k in list(changes) if k in replay}
    rollout |= {k: changes.pop(k) for k in list(changes) if k in rollout}
    settings: dict[str, Any] = {
        "model": QMlp(hidden_sizes=[16], dueling=False),
        "optimizer": lambda p: torch.optim.Adam(p, lr=0.01),
        "discount": 0.9, "double": False, "target_interval": 8, "tau": 1.0,
        "exploration": Exploration(start=1.0, end=0.1, steps=60, repetition=None),
    }  # fmt: skip
    return DQN(
        dataset=dataset or environments("CartPole-v1"), replay=Replay(**replay), rollout=Rollout(**rollout),
        **(settings | changes),
    )  # fmt: skip


def learn(task: DQN, dataset: Any, steps: int) -> list[float]:
    """The trainer's loop in three lines; the losses."""
    optimizer, batches, losses = task.make_optimizers()["model"], task.batches(dataset, 0), []
    for _ in range(steps):
        for update in task.train_step(next(batches)):
            optimizer.zero_grad()
            update.loss.backward()
            optimizer.step()
            losses.append(update.loss.item())
    return losses


@pytest.mark.parametrize("double", [False, True])
def test_an_update_is_the_one_written_by_hand(double: bool) -> None:
    dataset = environments(num_envs=1)
    task = make_task(dataset, double=double)
    batch = next(task.batches(dataset, 0))
    with torch.no_grad():
        for p in task.target.parameters():
            p.add_(torch.randn_like(p) * 0.3)
    total = torch.tensor(0.0)
    for row in range(16):
        value = task.model(batch["observations"][row : row + 1])[0, batch["actions"][row]]
        after = batch["next_observations"][row : row + 1]
        targets = task.target(after)[0].detach()
        best = task.model(after)[0].argmax() if double else targets.argmax()
        # The environment terminates after step 5, and pays the number of the step for action 1.
        step = batch["next_observations"][row, 0, 1].item()
        reward = step * batch["actions"][row].item()
        wanted = reward + (0.0 if step == 5 else 0.9 * targets[best].item())
        error = (value - wanted).abs()
        total = total + torch.where(error < 1, 0.5 * error**2, error - 0.5)
    gradients = torch.autograd.grad(total / 16, list(task.model.parameters()))
    update = next(task.train_step(batch))
    assert update.loss.item() == pytest.approx(total.item() / 16, rel=1e-5)
    ours = torch.autograd.grad(update.loss, list(task.model.parameters()))
    for one, other in zip(ours, gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    ends = batch["next_observations"][:, 0, 1] == 5
    assert ends.any()
    assert torch.equal(ends, batch["discounts"] == 0)


def test_truncation_bootstraps() -> None:
    dataset = environments(num_envs=1, max_episode_steps=4, env_options={"length": None})
    task = make_task(dataset)
    task.act()
    rows = np.flatnonzero(task.replay.buffer.kinds.array[:20, 0] != NOTHING)
    batch = task.replay.buffer.gather(rows)
    assert {*batch["next_observations"][:, 0, 1].tolist()} == {1, 2, 3, 4}
    assert (batch["discounts"] == np.float32(0.9)).all()
    assert (batch["next_observations"][:, 0, 0] == batch["observations"][:, 0, 0]).all()  # the same episode


@pytest.mark.parametrize("first", [0, 7])
def test_actions_are_numbered_as_the_environment_does(first: int) -> None:
    dataset = environments(env_options={"first": first})
    task = make_task(dataset)
    batch = next(task.batches(dataset, 0))
    rewards = batch["next_observations"][:, 0, 1] * batch["actions"]
    assert torch.equal(batch["rewards"], rewards)
    assert task.evaluate(dataset, "eval").metrics["episode_length"] == 5


def test_weights_of_prioritised_replay_scale_the_loss() -> None:
    dataset = environments()
    task = make_task(dataset, alpha=0.6)
    batch = next(task.batches(dataset, 0))
    values = task.model(batch["observations"]).gather(1, batch["actions"][:, None]).squeeze(1)
    targets = task.targets(batch)
    batch["weights"] = torch.rand(16)
    losses = F.smooth_l1_loss(values, targets, reduction="none")
    generator = task.train_step(batch)
    update = next(generator)
    assert update.loss.item() == pytest.approx((losses * batch["weights"]).mean().item(), rel=1e-6)
    assert next(generator, None) is None  # the errors are known now
    assert task.replay.priorities is not None
    weights = task.replay.priorities.tree.get(batch["rows"].numpy())
    wanted = ((targets - values).abs().detach().numpy() + 1e-6) ** 0.6
    assert weights == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(("rate", "interval"), [(1.0, 8), (0.1, 4), (1.0, 24)])
def test_the_target_network_follows_in_its_own_time(rate: float, interval: int) -> None:
    task = make_task(environments(env_options={"length": 1000}), tau=rate, target_interval=interval)
    task.act()
    moved = 0
    for _ in range(6):
        with torch.no_grad():
            for p in task.model.parameters():
                p.add_(1.0)
        old = [p.clone() for p in task.target.parameters()]
        before = task.actor.num_steps
        task.act()
        times = task.actor.num_steps // interval - before // interval
        moved += times
        for p, o, m in zip(task.target.parameters(), old, task.model.parameters(), strict=True):
            for _ in range(times):
                o = o + rate * (m - o)
            assert torch.allclose(p, o, atol=1e-5)
    assert moved == 48 // interval
    optimized = {id(p) for g in task.make_optimizers()["model"].param_groups for p in g["params"]}
    assert not optimized & {id(p) for p in task.target.parameters()}


def test_learns_a_picture_in_a_moment() -> None:
    dataset = environments("Squares-v0", num_eval_episodes=8, frame_stack=2)
    task = make_task(
        dataset, model=QCnn(hidden_size=16, dueling=True), size=400, discount=0.0, train_freq=16,
        gradient_steps=8, learning_starts=64, optimizer=lambda p: torch.optim.Adam(p, lr=1e-3),
    )  # fmt: skip
    before = task.evaluate(dataset, "eval").metrics["return_mean"]
    learn(task, dataset, 50)
    assert task.evaluate(dataset, "eval").metrics["return_mean"] == 8 > before


@pytest.mark.parametrize("changes", [{}, {"double": True, "num_steps": 3}, {"alpha": 0.6}, {"tau": 0.2}])
def test_learns_values_that_are_known(changes: dict[str, Any]) -> None:
    """Paying 1 + 2 + ... + 5, each by action 1, discounted by 0.5; several steps count as explored."""
    dataset = environments(num_envs=4, env_options={"length": 5})
    task = make_task(
        dataset, size=400, train_freq=16, gradient_steps=8, learning_starts=100, discount=0.5,
        model=QMlp(hidden_sizes=[32], dueling=True),
        exploration=Exploration(start=1, end=0.5, steps=200, repetition=None),
        **changes,
    )  # fmt: skip
    # Only the step matters; the other number (the seed) is noise of another size.
    original = task.replay.buffer._states
    mask = np.array([0, 1], np.float32)
    task.replay.buffer._states = lambda rows: original(rows) * mask
    learn(task, dataset, 240)
    states = torch.tensor([[[0.0, float(step)]] for step in range(5)])
    values = task.model(states).amax(1).tolist()
    num_steps = changes.get("num_steps", 1)
    known = [0.0] * 8
    for step in range(4, -1, -1):
        known[step] = step + 1 + 0.5**num_steps * known[step + num_steps]
        for k in range(1, min(num_steps, 5 - step)):
            known[step] += 0.5**k * (step + k + 1) * 0.75  # the others are explored: a quarter is wrong
    known = known[:5]
    assert values == pytest.approx(known, abs=0.8)
    assert task.model(states).argmax(1).tolist() == [1] * 5


def train(directory: RunDirectory, changes: dict[str, Any], kind: str = "CartPole-v1") -> None:
    """One process's share of a run: from the newest checkpoint to the end."""
    hardware = make_hardware()
    with Session(directory, directory.read_config()) as session:
        seed_everything(0)
        frames = changes.get("frame_stack", 1)
        dataset = environments(kind, frame_stack=frames)
        model = (
            QCnn(hidden_size=8, dueling=False)
            if kind == "Squares-v0"
            else QMlp(hidden_sizes=[16], dueling=True)
        )
        task = make_task(dataset, model=model, **{k: v for k, v in changes.items() if k != "frame_stack"})
        selection = Selection(monitor="eval/return_mean", mode="max", patience=None, average=NO_AVERAGE)
        trainer = make_trainer(steps=STEPS, selection=selection)
        session.finish(trainer.fit(task, dataset, hardware, session))


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("CartPole-v1", {"num_steps": 3, "alpha": 0.6, "frame_stack": 2, "double": True}),
        ("Squares-v0", {"frame_stack": 3}),
    ],
)
def test_killed_and_resumed_it_ends_in_the_same_bytes(
    tmp_path: Path, kind: str, changes: dict[str, Any]
) -> None:
    reference = new_run(tmp_path, "reference")
    train(reference, changes, kind)
    expected = digest(reference)
    for number in (2, 6, 11):
        directory = new_run(tmp_path, f"killed-{number}")

        def killed(number: int = number, directory: RunDirectory = directory) -> None:
            die_at(number)
            train(directory, changes, kind)

        assert in_fork(killed, tmp_path).code == -signal.SIGKILL
        assert in_fork(lambda d=directory: train(d, changes, kind), tmp_path).code == 0
        assert digest(directory) == expected, f"killed at step {number}"


def test_an_environment_that_does_something_else_is_not_resumed() -> None:
    dataset = environments(env_options={"is_random": True})
    task = make_task(dataset)
    next(task.batches(dataset, 0))
    with pytest.raises(CheckpointError, match="not deterministic"):
        make_task(dataset).load_extra_state(copy.deepcopy(task.extra_state()))


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        ("step", "raised in step: RuntimeError: no power"),
        ("reset", "raised in reset: RuntimeError: no power"),
        ("nan", "returned observations that are not finite"),
        ("reward", "returned rewards that are not finite"),
    ],
)
def test_a_failing_environment_leaves_the_buffer_clean(fails: str, words: str) -> None:
    dataset = environments(env_options={"fails": fails}, num_envs=4)
    task = make_task(dataset, size=400)
    batches = task.batches(dataset, 0)
    with pytest.raises(DataError) as error:
        [next(batches) for _ in range(300)]
    line = error.value.line()
    assert words in line
    assert all(word in line for word in ("Counting-v0", "episode ", "step ", "seed "))
    buffer = task.replay.buffer
    assert np.isfinite(buffer.observations.array).all()
    assert np.isfinite(buffer.rewards.array).all()


@pytest.mark.parametrize("fails", ["step", "reset", "reward"])
def test_a_failure_in_evaluation_says_where(fails: str) -> None:
    dataset = environments(env_options={"fails": fails}, num_eval_episodes=20)
    task = make_task(dataset)
    with torch.no_grad():
        list(task.model.parameters())[-1].copy_(torch.tensor([-1e6, 1e6]))
    with pytest.raises(DataError, match=r"evaluation, step .*seed"):
        task.evaluate(dataset, "eval")


def test_greedy_episodes_a_table_and_an_animated_picture() -> None:
    import io

    from PIL import Image, ImageSequence

    dataset = environments(num_test_episodes=3)
    task = make_task(dataset)
    with torch.no_grad():
        for p in task.model.parameters():
            p.zero_()
        list(task.model.parameters())[-1].copy_(torch.tensor([0.0, 1.0]))
    evaluation = task.evaluate(dataset, "test", report=True)
    assert evaluation.metrics == {
        "return_mean": 15.0, "return_std": 0.0, "return_min": 15.0, "episode_length": 5.0,
    }  # fmt: skip
    table = evaluation.tables["episodes"]
    assert [row[1:] for row in table.rows] == [[15.0, 5, "terminated"]] * 3
    picture: Any = Image.open(io.BytesIO(evaluation.pictures["episode"]))
    assert (picture.format, picture.n_frames, picture.size) == ("GIF", 6, (180, 120 + LINE))
    captions = [np.asarray(frame.convert("L"))[120:] for frame in ImageSequence.Iterator(picture)]
    for number, caption in enumerate(captions):
        wanted = captioned(np.zeros((40, 60, 3), np.uint8), f"step {number}   return {3 * number}", 1)
        assert np.array_equal(caption < 128, np.asarray(wanted.convert("L"))[120:] < 128)
    assert not task.evaluate(dataset, "eval").pictures


def test_without_a_picture_the_result_stays(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from gymnasium.error import DependencyNotInstalled

    from tests.counting_env import Counting

    def render(self: Any) -> Any:
        raise DependencyNotInstalled(
            'pygame is not installed, run `pip install "gymnasium[classic_control]"`'
        )

    monkeypatch.setattr(Counting, "render", render)
    dataset = environments()
    evaluation = make_task(dataset).evaluate(dataset, "test", report=True)
    assert "no picture of an episode: Counting-v0 needs a package: pygame" in caplog.text
    assert not evaluation.pictures
    assert evaluation.tables


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: make_task(environments("Pendulum-v1")), "dataset"),
        (lambda: check_partners(DQN, {"dataset": Points()}), "dataset"),
        (lambda: check_partners(DQN, {"model": SineMlp(input_size=1, hidden_sizes=[2])}), "model"),
        (lambda: make_task(train_freq=7), "Rollout.train_freq"),
        (lambda: make_task(train_freq=100), "replay.size"),
        (lambda: make_task(model=QCnn(hidden_size=8, dueling=False)), "model"),
    ],
)
def test_bad_input(make: Any, where: str) -> None:
    with pytest.raises(AiexpError) as error:
        make()
    assert isinstance(error.value, ConfigError)
    assert error.value.where == where
