"""The view of W&B: what is in it, without a network; saving it, to the server on loopback."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiexp.compare.workspace import (
    Place,
    check_round_trip,
    config_keys,
    find_place,
    make_workspace,
    save_workspace,
)
from aiexp.errors import ConfigError, HardwareError
from tests.compare.page_runs import make_comparison, make_records
from tests.tracker.conftest import home, server  # noqa: F401  fixtures
from tests.tracker.fake_wandb import FakeWandb

pytest.importorskip("wandb_workspaces", reason="needs the extra `workspace`")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:wandb_workspaces.*"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
]
PLACE = Place(entity="me", project="lab", group="2026-01-01_sweep_abc")


class FakeViews(FakeWandb):
    """A server that also takes views."""

    def __init__(self) -> None:
        super().__init__()
        self.views: list[dict[str, Any]] = []

    def on_UpsertView2(self, values: dict[str, Any]) -> dict[str, Any]:
        self.views.append(values | {"spec": json.loads(values["spec"])})
        return {"upsertView": {"view": {"id": "view1", "name": values["name"]}, "inserted": True}}


@pytest.fixture
def views(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeViews]:  # noqa: F811
    with FakeViews() as fake:
        for name, value in fake.env().items():
            monkeypatch.setenv(name, value)
        yield fake


def as_json(workspace: Any) -> dict[str, Any]:
    return json.loads(workspace._to_model().model_dump_json(by_alias=True, exclude_none=True))


def panels_of(view: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    sections = view["spec"]["section"]["panelBankConfig"]["sections"]
    return [(panel["viewType"], panel["config"]) for section in sections for panel in section["panels"]]


def test_the_view_holds_the_panels_that_suit_the_comparison(tmp_path: Path) -> None:
    records = make_records(tmp_path)
    view = as_json(make_workspace(PLACE, make_comparison(records), records))
    assert (view["entity"], view["project"]) == ("me", "lab")
    panels = panels_of(view)
    curves = [config for kind, config in panels if kind == "Run History Line Plot"]
    assert [config["metrics"] for config in curves] == [["eval/accuracy"], ["train/loss"]]
    assert {config["xAxis"] for config in curves} == {"step"}
    assert {config["groupBy"] for config in curves} == {"task.value.optimizer.lr"}
    others = {kind: config for kind, config in panels if kind != "Run History Line Plot"}
    assert [c["accessor"] for c in others["Parallel Coordinates Plot"]["columns"]] == [
        "config:task.value.optimizer.lr",
        "summary:test/accuracy",
    ]
    assert others["Parallel Coordinates Plot"]["columns"][0]["log"] is True  # 0.001 to 0.01
    assert "test/accuracy" in json.dumps(others["Parameter Importance"])
    assert {"Run Comparer", "Scatter Plot"} <= set(others)
    assert PLACE.group in json.dumps(view["spec"]["section"]["runSets"][0]["filters"])


def test_a_view_that_the_library_reads_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = make_records(tmp_path)
    workspace = make_workspace(PLACE, make_comparison(records), records)
    kind = type(workspace)
    read = kind._from_model

    def forget(model: Any) -> Any:
        found = read(model)
        found.sections = found.sections[:1]
        return found

    monkeypatch.setattr(kind, "_from_model", forget)
    with pytest.raises(HardwareError, match="does not read the view"):
        check_round_trip(workspace)


def test_the_place_is_as_typed_or_as_the_runs_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = make_records(tmp_path)
    for name in ("WANDB_ENTITY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    assert find_place("a/b/c", records) == Place(entity="a", project="b", group="c")
    assert find_place("c", records) == Place(entity="", project="aiexp", group="c")
    monkeypatch.setenv("WANDB_PROJECT", "named")
    assert find_place("c", records).project == "named"
    tracker = {"tracker": {"project": "mine", "entity": "team"}}
    (records[1].path / "environment.json").write_text(json.dumps(tracker))
    assert find_place("c", records) == Place(entity="team", project="mine", group="c")
    for wrong in ("a/b", "", "a//c", "a/b/c/d"):
        with pytest.raises(ConfigError, match="ENTITY/PROJECT/GROUP"):
            find_place(wrong, records)


def test_a_choice_of_a_group_stands_in_the_config_as_its_class(tmp_path: Path) -> None:
    records = make_records(tmp_path)
    for record in records:
        record.config["model._target_"] = "lab.Model"
    comparison = make_comparison(records)
    comparison.differing[:] = ["model", "task.optimizer.lr", "gone"]
    assert config_keys(comparison, records) == ["model._target_", "task.optimizer.lr"]


def test_saving(tmp_path: Path, views: FakeViews) -> None:
    records = make_records(tmp_path)
    url = save_workspace("me/lab/some_sweep", make_comparison(records), records)
    (view,) = views.views
    assert (view["entityName"], view["projectName"]) == ("me", "lab")
    assert len(panels_of(view)) == 6
    assert "me/lab" in url
    assert views.unknown == []


@pytest.mark.parametrize(
    ("fault", "expected"), [("fail", "answered HTTP 500"), ("close", "not reachable"), ("key", "no W&B key")]
)
def test_what_hinders_saving_is_one_line(
    tmp_path: Path, views: FakeViews, monkeypatch: pytest.MonkeyPatch, fault: str, expected: str
) -> None:
    if fault == "fail":
        views.fail = 500
    elif fault == "close":
        views.close()
    else:
        monkeypatch.delenv("WANDB_API_KEY")
    records = make_records(tmp_path)
    with pytest.raises(HardwareError, match=expected) as caught:
        save_workspace("me/lab/g", make_comparison(records), records)
    assert len(caught.value.lines()) == 1


def test_without_the_extra_the_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces.workspaces", None)
    records = make_records(tmp_path)
    with pytest.raises(HardwareError, match=r"pip install 'aiexp\[workspace\]'"):
        make_workspace(PLACE, make_comparison(records), records)
