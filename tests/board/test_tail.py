"""metrics.jsonl while it grows: what is read, and what a file that is not the same any more leads to."""

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aiexp.board import tail
from aiexp.board.tail import Tail
from aiexp.compare.page.curves import points_in


def line(step: int, **values: float) -> str:
    return json.dumps({"step": step, **values}, separators=(",", ":")) + "\n"


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def points(followed: Tail, name: str = "a") -> list[tuple[int, float | None]]:
    return list(zip(*followed.curves[name].points(), strict=True))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_only_what_was_appended_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("".join(line(i, a=i / 7) for i in range(1000)))
    followed = Tail(path, 5000)
    followed.look(1)
    followed.ask(["a"], 1)
    sizes: list[int] = []

    def counted(*where: Any) -> bytes:
        sizes.append(len(found := read_from(*where)))
        return found

    read_from = tail.read_from
    monkeypatch.setattr(tail, "read_from", counted)
    assert followed.look(2) == set()
    assert sizes == []
    append(path, line(1000, a=0.5))
    assert followed.look(3) == {"step", "a"}
    assert sum(sizes) < 200
    assert points(followed)[-2:] == [(999, 142.71), (1000, 0.5)]
    assert followed.changed == {"a": 3}


def test_a_torn_line_waits_for_its_end(path: Path) -> None:
    path.write_text(line(1, a=1.0) + '{"step":2,"a"')
    followed = Tail(path, 50)
    followed.look(1)
    followed.ask(["a"], 1)
    assert points(followed) == [(1, 1.0)]
    append(path, ":2.0}")
    assert followed.look(2) == set()
    append(path, "\n")
    assert followed.look(3) == {"step", "a"}
    assert points(followed) == [(1, 1.0), (2, 2.0)]


def test_a_file_that_a_resumed_run_has_cut_is_read_anew(path: Path) -> None:
    path.write_text("".join(line(i, a=1.0) for i in range(10)))
    followed = Tail(path, 50)
    followed.look(1)
    followed.ask(["a"], 1)
    content = path.read_text().splitlines(keepends=True)
    with path.open("r+") as file:  # the same file, cut and grown beyond what it was between two looks
        file.truncate(len("".join(content[:5])))
        file.seek(0, 2)
        file.write("".join(line(i, a=2.0) for i in range(5, 12)))
    assert "a" in followed.look(2)
    assert points(followed) == [(i, 1.0 if i < 5 else 2.0) for i in range(12)]
    with path.open("r+") as file:
        file.truncate(len("".join(content[:2])))
    followed.look(3)
    assert points(followed) == [(0, 1.0), (1, 1.0)]
    assert followed.changed == {"a": 3}


def test_another_file_of_that_name_is_read_anew(path: Path) -> None:
    path.write_text(line(1, a=1.0) + line(2, a=2.0))
    followed = Tail(path, 50)
    followed.look(1)
    followed.ask(["a"], 1)
    other = path.with_name("other")
    other.write_text(line(1, a=1.0) + line(2, a=2.0) + line(3, a=3.0))
    other.replace(path)
    followed.look(2)
    assert points(followed) == [(1, 1.0), (2, 2.0), (3, 3.0)]
    path.unlink()
    assert followed.look(3) == set()  # its last points stay: the run may be moved about
    path.write_text(line(1, a=9.0))
    followed.look(4)
    assert points(followed) == [(1, 9.0)]


def test_a_complete_file_is_read_when_its_curves_are_asked_for(path: Path) -> None:
    path.write_text(line(1, a=1.0, b=2.0))
    followed = Tail(path, 50)
    followed.skip()
    assert followed.look(1) == set()
    followed.ask(["a", "missing"], 2)
    assert points(followed) == [(1, 1.0)]
    assert points(followed, "missing") == []
    append(path, line(2, a=3.0, missing=1.0))
    followed.look(3)
    assert points(followed) == [(1, 1.0), (2, 3.0)]
    assert points(followed, "missing") == [(2, 1.0)]


@pytest.mark.parametrize("seed", range(5))
def test_many_points_stay_few_evenly_spread_and_true(path: Path, seed: int) -> None:
    draw = random.Random(seed)
    path.write_text("")
    followed = Tail(path, 60)
    followed.look(0)
    followed.ask(["a"], 0)
    step = 0
    for version in range(40):
        for _ in range(draw.randrange(60)):
            step += 1
            append(path, line(step, a=step * 2.0))
        followed.look(version + 1)
        kept = points(followed)
        assert kept[-1:] == ([(step, step * 2.0)] if step else [])
        assert all(value == at * 2.0 for at, value in kept)
        assert len(kept) <= 62
    gaps = [b - a for (a, _), (b, _) in pairwise(kept)][:-1]
    assert max(gaps) <= 2 * min(gaps)


def test_lines_that_are_none_are_passed_over(path: Path) -> None:
    path.write_text('[1]\n{"step":1,"a":"text"}\n{broken\n{"step":"x","a":1}\n{"a":2}\n' + line(4, a=5.0))
    followed = Tail(path, 50)
    followed.ask(["a"], 0)
    append(path, '{"step":true}\nnull\n\n{"step":5,"a":NaN}\n')
    followed.look(1)
    assert points(followed) == [(4, 5.0), (5, None)]
    assert points_in(path.read_bytes(), ["a"], 50)[0]["a"] == ([4, 5], [5.0, None])
