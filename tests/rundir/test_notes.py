"""What people say of a run: its file, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from aiexp.errors import ConfigError
from aiexp.rundir.notes import Notes, read_notes, write_notes
from aiexp.rundir.record import read_record
from aiexp.rundir.seal import make_seal
from aiexp.runs.filter import check_filters, split_words, values_of
from tests.compare.page_runs import write_run


def test_notes_are_read_back_and_no_seal_covers_them(tmp_path: Path) -> None:
    record = write_run(tmp_path, "one", lr=0.1, seed=0, score=0.5)
    status = json.loads((record.path / "status.json").read_text())
    status["seal"] = make_seal(record.path, status["metrics"])
    (record.path / "status.json").write_text(json.dumps(status))
    notes = Notes(title="A", note="b\nc", tags=("x", "y"), hidden=True)
    write_notes(record.path, notes)
    found = read_record(record.path, is_sealed=True)
    assert (found.state, found.notes) == ("finished", notes)


@pytest.mark.parametrize("content", ["{", "[]", '{"title": 5}', '{"tags": [1]}', '{"hidden": "yes"}', ""])
def test_a_damaged_file_says_nothing_and_harms_nothing(tmp_path: Path, content: str) -> None:
    record = write_run(tmp_path, "one", lr=0.1, seed=0, score=0.5)
    (record.path / "notes.json").write_text(content)
    found = read_record(record.path, is_sealed=True)
    assert (found.state, found.notes) == ("finished", Notes())
    (record.path / "notes.json").write_text('{"title": null, "tags": null, "later": 1}')
    assert read_notes(record.path) == Notes()


@pytest.mark.parametrize(
    ("found", "what"),
    [
        ([], "the whole is a list, not a mapping"),
        ({"note": 1}, "note is"),
        ({"title": "x" * 201}, "a title has at most 200 characters, not 201"),
        ({"tags": ["x" * 51]}, "a tag has at most 50 characters"),
        ({"tags": [str(i) for i in range(31)]}, "at most 30 tags"),
    ],
)
def test_what_is_refused(found: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        Notes.checked(found)


def test_runs_are_found_by_their_tags(tmp_path: Path) -> None:
    records = [write_run(tmp_path, name, lr=0.1, seed=0, score=0.5) for name in ("a", "b")]
    write_notes(records[0].path, Notes(tags=("base", "old")))
    records = [read_record(record.path) for record in records]

    def accepted(word: str) -> list[str]:
        (condition,), _ = split_words([word])
        check_filters([condition], records)
        return [record.name for record in records if condition.accepts(record, "finished")]

    assert accepted("tag=old") == ["a"]
    assert accepted("tag=o*,none") == ["a"]
    assert accepted("tag!=base") == ["b"]
    assert values_of("tag", records, ["finished"] * 2) == ["base", "old"]
