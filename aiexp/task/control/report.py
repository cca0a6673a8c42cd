"""Greedy episodes from given seeds: their returns, a table, and an animated picture of one."""

import io
import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiexp.dataset.base import EnvironmentData
from aiexp.errors import AiexpError, DataError
from aiexp.task.picture_grid import caption_font
from aiexp.task.report import Table

# Letters: N episodes, S stacked frames; "..." one observation.

MOST_FRAMES = 250  # of an animated picture; longer episodes are shown in steps
WIDTH = 300  # pixels of an animated picture at most
NARROWEST = 160  # pixels, which a caption needs; smaller ones are enlarged by a whole factor
LINE = 18  # pixels of a caption
Policy = Callable[[NDArray[Any]], NDArray[np.int64]]


@dataclass(kw_only=True, slots=True)
class Episode:
    """What became of an episode.

    Args:
        seed: It began with.
        total: Sum of the rewards.
        length: Steps.
        ended: "running", "terminated" or "truncated".
    """

    seed: int
    total: float = 0.0
    length: int = 0
    ended: str = "running"


def run_episodes(
    dataset: EnvironmentData,
    seeds: list[int],
    policy: Policy,
    *,
    envs: list[Any] | None = None,
    watch: Callable[[list[Episode]], None] | None = None,
) -> list[Episode]:
    """Plays an episode from each seed, all side by side; those that have ended drop out.

    Args:
        dataset: Where.
        seeds: (N,).
        policy: (N, S, ...) observations to (N,) actions, counted from 0.
        envs: To play in; None: those that the data set keeps for it.
        watch: Called with the episodes after the reset and after each step.

    Raises:
        DataError: an environment raised or returned a reward that is not finite.
    """
    spaces, count = dataset.spaces, len(seeds)
    envs = envs or dataset.players(count)
    episodes = [Episode(seed=seed) for seed in seeds]
    seen = np.zeros((count, *dataset.observation_shape), spaces.dtype)
    for row, env in enumerate(envs):
        seen[row] = guarded(dataset, episodes[row], "reset", lambda e=env, r=row: e.reset(seed=seeds[r]))[0]
    if watch:
        watch(episodes)
    active = np.arange(count)
    while len(active):
        # A last batch of another size would be another matrix product: all rows, every time.
        actions = policy(seen)
        for row in active.tolist():
            episode, action = episodes[row], actions[row] + spaces.first_action
            observation, reward, terminated, truncated, _ = guarded(
                dataset, episode, "step", lambda e=envs[row], a=action: e.step(a)
            )
            if dataset.frame_stack > 1:
                seen[row, :-1] = seen[row, 1:].copy()
            seen[row, -1] = observation
            episode.total += float(reward)
            episode.length += 1
            if terminated or truncated:
                episode.ended = "terminated" if terminated else "truncated"
        if watch:
            watch(episodes)
        active = np.array([row for row in active.tolist() if episodes[row].ended == "running"], np.int64)
    for episode in episodes:
        if not np.isfinite(episode.total):
            raise problem(dataset, episode, f"returned rewards that sum up to {episode.total}")
    return episodes


def guarded(dataset: EnvironmentData, episode: Episode, name: str, call: Callable[[], Any]) -> Any:
    """The result of a call into an environment; whatever it raises becomes a `DataError` that says where."""
    try:
        return call()
    except AiexpError:
        raise
    except Exception as error:
        raise problem(dataset, episode, f"raised in {name}: {type(error).__name__}: {error}") from error


def problem(dataset: EnvironmentData, episode: Episode, what: str) -> DataError:
    """An error that names the environment, the step and the seed."""
    return DataError(
        f"{dataset.env_id} {what}", where=f"evaluation, step {episode.length}, seed {episode.seed}"
    )


def report_episodes(
    dataset: EnvironmentData, episodes: list[Episode], policy: Policy
) -> tuple[dict[str, bytes], dict[str, Table]]:
    """A table of the episodes, and the first of them as an animated picture if it can be drawn."""
    rows: list[list[str | int | float]] = [[e.seed, e.total, e.length, e.ended] for e in episodes]
    tables = {"episodes": Table(columns=["seed", "return", "length", "ended"], rows=rows)}
    picture = play(dataset, episodes[0].seed, policy)[1]
    return {} if picture is None else {"episode": picture}, tables


def play(dataset: EnvironmentData, seed: int, policy: Policy) -> tuple[Episode, bytes | None]:
    """The episode from a seed, and an animated GIF of it if it can be drawn."""
    try:
        return record_animation(dataset, seed, policy)
    except AiexpError as error:  # a picture is no reason to lose the result
        logging.getLogger(__name__).warning("no picture of an episode: %s", error.what)
        return run_episodes(dataset, [seed], policy)[0], None


def record_animation(dataset: EnvironmentData, seed: int, policy: Policy) -> tuple[Episode, bytes]:
    """The episode from a seed, and an animated GIF of it.

    Raises:
        AiexpError: the environment cannot draw itself, or a package for that is missing.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame needs no screen
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    frames: list[NDArray[np.uint8]] = []
    captions: list[str] = []

    def watch(episodes: list[Episode]) -> None:
        frames.append(draw(env, dataset.env_id))
        captions.append(f"step {episodes[0].length}   return {episodes[0].total:g}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of drawing libraries
        env = dataset.make(render_mode="rgb_array")
        try:
            (episode,) = run_episodes(dataset, [seed], policy, envs=[env], watch=watch)
        finally:
            env.close()
    fps = float(env.metadata.get("render_fps") or 30)
    return episode, animate(frames, captions, fps)


def draw(env: Any, env_id: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: the environment as it is now."""
    from aiexp.dataset.environment.dataset import explain

    try:
        picture = env.render()
    except Exception as error:
        raise explain(error, env_id, {}) from error
    if not isinstance(picture, np.ndarray) or picture.ndim != 3:
        raise DataError(f"{env_id} draws no pictures", where="Environments.env_id")
    return picture


def animate(frames: list[NDArray[np.uint8]], captions: list[str], fps: float) -> bytes:
    """An animated GIF of (H, W, 3) uint8 frames, at most `MOST_FRAMES` of them, in their own speed.

    Args:
        frames: At least one.
        captions: Of each, a line below it.
        fps: Frames a second.
    """
    stride = -(-len(frames) // MOST_FRAMES)
    shrink = -(-frames[0].shape[1] // WIDTH)
    shown = [*range(0, len(frames) - 1, stride), len(frames) - 1]
    pictures = [captioned(frames[i], captions[i], shrink) for i in shown]
    file = io.BytesIO()
    milliseconds = max(round(1000 * stride / fps), 20)  # browsers slow down anything faster
    pictures[0].save(
        file, "GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, optimize=False
    )
    return file.getvalue()


def captioned(frame: NDArray[np.uint8], caption: str, shrink: int) -> Any:
    """A frame of 64 colours, so much smaller, above a line of text; all frames of a size give one size."""
    from PIL import Image, ImageDraw

    small = Image.fromarray(frame).reduce(shrink)
    factor = -(-NARROWEST // small.width)
    small = small.resize((small.width * factor, small.height * factor), Image.Resampling.NEAREST)
    sheet = Image.new("RGB", (small.width, small.height + LINE), "white")
    sheet.paste(small, (0, 0))
    ImageDraw.Draw(sheet).text((4, small.height + 2), caption, fill="black", font=caption_font())
    return sheet.quantize(64)
