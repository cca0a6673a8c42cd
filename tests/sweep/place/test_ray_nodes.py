"""A job on several machines of Ray, by a stand-in for it: a bundle on each, started and ended together."""

import sys
import types
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aiexp.session.node import Node
from aiexp.sweep.place.ray_places import Machine, RayPlaces


class RayError(Exception):
    """As Ray raises for a process that is gone."""


class StandIn(types.ModuleType):
    """Takes calls down; a test says how each ends."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.settings: dict[str, Any] = {}
        self.calls: list[tuple[Any, int, Any]] = []  # of what group, on which bundle, what
        self.groups: list[tuple[list[dict[str, float]], str]] = []
        self.removed: list[int] = []
        self.cancelled: list[int] = []
        self.ends: dict[int, Any] = {}
        self.exceptions = types.SimpleNamespace(
            RayError=RayError, RayTaskError=type("T", (RayError,), {}),
            TaskCancelledError=type("C", (RayError,), {}),
        )  # fmt: skip
        strategies = types.SimpleNamespace(PlacementGroupSchedulingStrategy=dict[str, Any])
        self.util = types.SimpleNamespace(
            placement_group=self.group, remove_placement_group=self.removed.append,
            scheduling_strategies=strategies,
        )  # fmt: skip

    def init(self, **_: Any) -> None: ...

    def remote(self, **settings: Any) -> Any:
        self.settings = settings

        def options(scheduling_strategy: Any) -> Any:
            return types.SimpleNamespace(remote=partial(self.call, scheduling_strategy))

        remote = types.SimpleNamespace(remote=partial(self.call, None), options=options)
        return lambda called: remote if called else None  # pyright: ignore[reportUnknownLambdaType]

    def group(self, bundles: list[dict[str, float]], strategy: str) -> int:
        self.groups.append((bundles, strategy))
        return len(self.groups) - 1

    def call(self, where: Any, call: Any, log: str, folder: str) -> int:
        bundle: dict[str, Any] = where or {"placement_group": None, "placement_group_bundle_index": 0}
        self.calls.append((bundle["placement_group"], bundle["placement_group_bundle_index"], call))
        return len(self.calls) - 1

    def wait(self, references: list[int], num_returns: int, timeout: float) -> tuple[list[int], list[int]]:
        ready = [reference for reference in references if reference in self.ends][:num_returns]
        return ready, [reference for reference in references if reference not in ready]

    def get(self, reference: int) -> Any:
        if isinstance(self.ends[reference], Exception):
            raise self.ends[reference]
        return self.ends[reference]

    def cancel(self, reference: int, *, force: bool) -> None:
        self.cancelled.append(reference)


def noted(node: Node | None = None) -> None: ...


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    return stand_in


def places(folder: Path, count: int, restarts: int = 1) -> RayPlaces:
    machine = Machine(cpus=4, gpus=8 * (count > 1), count=count, meetings=folder / "nodes")
    return RayPlaces(address="auto", n_jobs=2, machine=machine, restarts=restarts)


def test_each_machine_gets_a_bundle_and_the_same_file(ray: StandIn, tmp_path: Path) -> None:
    many = places(tmp_path, 2)
    many.start(7, noted, tmp_path / "log")
    assert ray.groups == [([{"CPU": 4, "GPU": 8}] * 2, "STRICT_SPREAD")]
    assert ray.settings["max_retries"] == 0
    nodes = [call.keywords["node"] for _, _, call in ray.calls]
    assert (
        [(node.number, node.count) for node in nodes] == [(0, 2), (1, 2)] == [(*c[1:2], 2) for c in ray.calls]
    )
    assert nodes[0].meeting == nodes[1].meeting
    many.stop()
    assert ray.cancelled == [0, 1]
    ray.ends = {0: "result", 1: None}
    (ended,) = many.wait(0)
    assert (ended.index, ended.message) == (7, (True, "result"))
    assert ray.removed == [0]
    assert many.num_running == 0


def test_all_start_again_when_one_machine_is_lost(ray: StandIn, tmp_path: Path) -> None:
    many = places(tmp_path, 2)
    many.start(7, noted, tmp_path / "log")
    ray.ends = {0: "another rank has ended", 1: RayError("node died")}
    assert many.wait(0) == []
    assert [(group, bundle) for group, bundle, _ in ray.calls[2:]] == [(1, 0), (1, 1)]
    assert ray.calls[2][2].keywords["node"].meeting != ray.calls[0][2].keywords["node"].meeting
    ray.ends = {2: RayError("node died"), 3: None}
    (ended,) = many.wait(0)  # as often as `restarts` says
    assert ended.message is None
    assert "node died" in ended.why


def test_a_job_on_one_machine_is_ray_s_alone(ray: StandIn, tmp_path: Path) -> None:
    one = places(tmp_path, 1, restarts=3)
    one.start(0, noted, tmp_path / "log")
    assert (ray.groups, ray.settings["max_retries"], ray.calls) == ([], 3, [(None, 0, noted)])
