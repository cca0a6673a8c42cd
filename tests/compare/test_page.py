"""What the page holds: small, whole, harmless; without a browser."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from aiexp.compare.page import render
from aiexp.compare.page.content import compact, make_content
from aiexp.compare.page.curves import make_curves, read_points
from aiexp.compare.page.detail import PARTS, read_part
from aiexp.compare.page.document import embed
from aiexp.compare.page.pictures import BUDGET_BYTES, make_pictures
from tests.compare.page_runs import make_comparison, make_records, png, write_run

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\u2028"


def content_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_page_is_one_file_with_everything_in_it(tmp_path: Path) -> None:
    records = make_records(tmp_path)
    html = render(make_comparison(records), records)
    content = content_of(html)
    assert content["runs"]["seed"] == [0, 1, 2, 0, 1, 2]
    assert content["runs"]["group"] == [0, 0, 0, 1, 1, 1]
    assert content["metrics"]["test/accuracy"] == [0.9, 0.91, 0.92, 0.8, 0.81, 0.82]
    assert (
        content["groups"][0] | {"low": 0.89, "high": 0.93, "count": 3, "values": ["0.001"]}
        == content["groups"][0]
    )
    assert {key["key"] for key in content["keys"]} == {"task.optimizer.lr", "seed"}
    assert content["common"]["trainer.steps"] == "20"
    number, steps, values = content["curves"]["metrics"]["eval/accuracy"][0]
    assert number == 0
    assert content["curves"]["steps"][steps] == list(range(1, 21))
    assert values[-1] == 0.9
    assert str(tmp_path) not in html
    head = html.split("<style>")[0]
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#)", head.replace('href="data:,"', ""))


def test_what_a_run_is_called_is_never_html(tmp_path: Path) -> None:
    record = write_run(tmp_path, "evil", lr=0.1, seed=0, score=0.5, tag=EVIL, error=EVIL, state="failed")
    other = write_run(tmp_path, "good", lr=0.1, seed=1, score=0.6)
    html = render(make_comparison([record, other]), [record, other])
    assert html.count("<script>alert") == html.count("<img src=x") == 0
    assert "\u2028" not in html.partition('id="content">')[2].partition("</script>")[0]
    content = content_of(html)
    assert EVIL in content["runs"]["problem"]  # it is all there, as text
    assert EVIL in next(key for key in content["keys"] if key["key"] == "tag")["values"]


@pytest.mark.parametrize(
    "text", ["<!--", "]]>", "</SCRIPT>", "@@SCRIPT@@", "@@POLICY@@", "\\u003c/script>", "&lt;"]
)
def test_embedded_json_cannot_leave_its_element(text: str) -> None:
    inside = embed({text: [text]})
    assert not set("<>&") & set(inside)
    assert json.loads(inside) == {text: [text]}


def test_a_name_like_a_mark_of_the_template_stays_a_name(tmp_path: Path) -> None:
    records = [write_run(tmp_path, f"@@SCRIPT@@{i}", lr=0.1, seed=i, score=0.5) for i in range(2)]
    html = render(make_comparison(records), records)
    assert content_of(html)["runs"]["name"] == ["@@SCRIPT@@0", "@@SCRIPT@@1"]


def test_the_policy_allows_these_scripts_and_no_request(tmp_path: Path) -> None:
    records = make_records(tmp_path)
    html = render(make_comparison(records), records)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    scripts = re.findall(r"<script(?: type=\"text/plain\" id=\"plotly\")?>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy[1]
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe-inline" not in rules["script-src"]
    assert "connect-src" not in rules
    assert rules["img-src"] == "data: blob:"


def test_nan_and_damaged_runs_are_shown_as_missing(tmp_path: Path) -> None:
    records = make_records(tmp_path)
    broken = write_run(tmp_path, "zz_damaged", lr=0.1, seed=0, score=0.1)
    (broken.path / "status.json").write_text("{")
    from aiexp.rundir.record import read_record

    nan = write_run(tmp_path, "zz_nan", lr=0.1, seed=1, score=float("nan"))
    content = make_content(make_comparison(records), [*records, read_record(broken.path), nan])
    assert content["runs"]["state"][-2:] == ["damaged", "finished"]
    assert content["metrics"]["test/accuracy"][-2:] == [None, None]
    assert content["runs"]["group"][-2:] == [None, None]
    assert "trainer.steps" in content["common"]  # the run without a config does not make every key differ
    json.dumps(content, allow_nan=False)


def test_long_curves_keep_their_ends_and_their_mean(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [
        json.dumps({"step": i, "train/loss": 1.0 if i % 2 else 3.0, "other": i}) for i in range(1, 10_002)
    ]
    path.write_text("\n".join(rows) + '\n{"step": 10002, "train/lo')
    points, is_cut = read_points(path, ["train/loss", "missing"], 101)
    steps, values = points["train/loss"]
    assert is_cut
    assert (len(steps), steps[0], steps[-1]) == (101, 1, 10_001)
    assert steps == sorted(steps)
    assert set(values) <= {1.0, 3.0}
    assert points["missing"] == ([], [])


def test_damaged_lines_and_values_that_are_no_numbers(tmp_path: Path) -> None:
    lines = [
        '{"step":1,"a":0.5}',
        '{"step":2,"a":NaN}',
        '{broken "a":',
        '{"step":3,"a":"text"}',
        '[1, "a"]',
        '{"step":4,"a":0.25}',
    ]
    (tmp_path / "m").write_text("\n".join(lines) + "\n")
    assert read_points(tmp_path / "m", ["a"], 50)[0]["a"] == ([1, 2, 4], [0.5, None, 0.25])


def test_a_line_of_two_objects_is_no_point(tmp_path: Path) -> None:
    (tmp_path / "m").write_text('{"step":1,"a":0.5}\n{"step":2,"a":1},{"step":3,"a":1}\n')
    assert read_points(tmp_path / "m", ["a"], 50)[0]["a"] == ([1], [0.5])


def test_curves_of_many_runs_fit_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("aiexp.compare.page.curves"), "MOST_NUMBERS", 600)
    records = make_records(tmp_path)
    found = make_curves(records, "test/accuracy")
    numbers = sum(len(row[2]) for rows in found["metrics"].values() for row in rows)
    assert found["names"][0] == next(iter(found["metrics"])) == "eval/accuracy"
    assert numbers <= 600


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1 / 3, "0.333333"), (1e-10 / 3, "3.33333e-11"), (2.0, "2"), (float("inf"), "null")],
)
def test_numbers_are_short(value: float, expected: str) -> None:
    assert json.dumps(compact(value)) == expected


def test_the_newest_picture_of_each_kind_and_earlier_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = make_records(tmp_path)[0]
    figures = record.path / "figures"
    (figures / "test").mkdir(parents=True)
    (figures / "test/matrix_step-00000010.png").write_bytes(png(4, 4))
    (figures / "test/matrix_step-00000020.png").write_bytes(png(5, 5))
    (figures / "plain.png").write_bytes(png(6, 6))
    (figures / "no_picture.png").write_text("<svg onload=alert(1)>")
    (figures / "script.svg").write_text("<svg onload=alert(1)>")
    (tmp_path / "secret.png").write_bytes(png(7, 7))
    (figures / "link.png").symlink_to(tmp_path / "secret.png")
    found = {
        (p["name"], step): base64.b64decode(source.partition(",")[2])
        for p in make_pictures([record], [0])
        for step, source in zip(p["steps"], p["sources"], strict=True)
    }
    matrices = {("test/matrix", 10): png(4, 4), ("test/matrix", 20): png(5, 5)}
    assert found == {**matrices, ("plain", 0): png(6, 6)}
    monkeypatch.setattr(import_module("aiexp.compare.page.pictures"), "BUDGET_BYTES", len(png(6, 6)) * 2 + 40)
    assert [p["steps"] for p in make_pictures([record], [0])] == [[0], [20]]  # the newest come first


@pytest.mark.parametrize("name", ["run.log", "error.log", "git.diff", "config.yaml", "environment.json"])
def test_a_link_in_a_foreign_run_leads_nowhere(tmp_path: Path, name: str) -> None:
    run = make_records(tmp_path)[0].path
    (tmp_path / "private").write_text('{"platform": "a secret"}\n')
    (run / name).unlink(missing_ok=True)
    (run / name).write_bytes((tmp_path / "private").read_bytes())
    assert "a secret" in json.dumps([read_part(run, part) for part in PARTS])
    (run / name).unlink()
    (run / name).symlink_to(tmp_path / "private")
    assert "a secret" not in json.dumps([read_part(run, part) for part in PARTS])


def test_pictures_fit_a_budget_and_every_group_comes_first(tmp_path: Path) -> None:
    records = make_records(tmp_path)
    for record in records:
        (record.path / "figures").mkdir()
        noise = os.urandom(1)  # not compressible, so large
        (record.path / "figures/a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + noise * 149_000)
    found = make_pictures(records * 3, [i % 2 for i in range(18)])
    assert [p["run"] for p in found[:2]] == [0, 1]
    assert sum(len(source) * 3 // 4 for p in found for source in p["sources"]) <= BUDGET_BYTES


def test_a_large_picture_is_drawn_smaller(tmp_path: Path) -> None:
    from io import BytesIO

    import numpy as np
    from PIL import Image

    record = make_records(tmp_path)[0]
    (record.path / "figures").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (400, 1300, 3), np.uint8)
    Image.fromarray(pixels).save(record.path / "figures/large.png")
    ((source,),) = [p["sources"] for p in make_pictures([record], [0])]
    with Image.open(BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
        assert image.size[0] == 640


def test_no_plotly_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiexp.errors import HardwareError

    monkeypatch.setattr(import_module("aiexp.compare.page.document"), "find_spec", lambda name: None)
    records = make_records(tmp_path)
    with pytest.raises(HardwareError, match="pip install plotly"):
        render(make_comparison(records), records)


def test_torch_wandb_and_plotly_are_not_imported() -> None:
    heavy = "{'torch', 'wandb', 'plotly', 'PIL'} & set(sys.modules)"
    program = f"import sys, aiexp.compare.page.document; sys.exit(str({heavy} or ''))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == ""


def test_the_wheel_holds_the_files_of_the_page(tmp_path: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    from aiexp.compare.page.document import SCRIPTS

    builder = WheelBuilder(str(Path(__file__).parents[2]))
    packed = {file.distribution_path for file in builder.recurse_included_files()}
    assert {f"aiexp/compare/page/{name}" for name in (*SCRIPTS, "page.html", "page.css")} <= packed
