import json
from pathlib import Path

import pytest

from aiexp import cli
from aiexp.command.looking.data import main
from aiexp.errors import ConfigError, DataError
from aiexp.source.prepared import prepared
from tests.source.toy import archive, entry, wheel


def test_list_shows_the_whole_catalog(capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for word in ("minilm", "83.5 MB", "Apache-2.0", "no", str(data_dir)):
        assert word in shown
    assert main(["list", "hutto_icwsm_2014"]) == 0
    assert "from pypi: vaderSentiment-3.3.2.tar.gz" in capsys.readouterr().out


def test_list_for_programs(add_entry, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_entry(entry(archive(wheel())))
    assert main(["list", "--format", "json"]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["toy"]["cached"] is False
    assert found["minilm"]["bytes"] > 8e7
    assert list(found) == sorted(found)


def test_fetch_then_path(add_entry, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = archive(wheel())
    add_entry(entry(source))
    with pytest.raises(DataError, match=r"'toy' is not in the cache .* aiexp data fetch toy"):
        main(["path", "toy"])
    (data_dir / "archives").mkdir(parents=True)
    (data_dir / "archives" / source.filename).write_bytes(wheel())
    assert main(["fetch", "toy"]) == 0
    capsys.readouterr()
    assert main(["path", "toy"]) == 0
    folder = Path(capsys.readouterr().out.rstrip("\n"))
    assert (folder / "words.txt").is_file()
    main(["list", "toy"])
    assert "yes" in capsys.readouterr().out.splitlines()[1]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["fetch", "minilm", "newsgroup"], r"called 'newsgroup'\. Did you mean 'newsgroups'"),
        (["path", "hutto"], "no data set or model called 'hutto'"),
        (["list", "nothing"], "called 'nothing'"),
        (["get", "minilm"], "no `aiexp data get`"),
        (["fetch"], "needs a name"),
        (["path"], "needs a name"),
    ],
)
def test_wrong_words_stop_before_anything_is_fetched(argv: list[str], message: str, data_dir: Path) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        main(argv)
    assert caught.value.exit_code == 2
    assert not data_dir.exists()


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in ([], ["--help"], ["fetch", "-h"]):
        assert cli.main(["data", *argv]) == 0
        assert "usage: aiexp data list" in capsys.readouterr().out


def test_what_was_fetched_or_prepared_is_listed_and_removed(
    add_entry, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = archive(wheel())
    add_entry(entry(source))
    (data_dir / "archives").mkdir(parents=True)
    (data_dir / "archives" / source.filename).write_bytes(wheel())
    main(["fetch", "toy"])
    name = prepared("texts", {}, "reviews.csv", lambda writer: {"classes": []}).folder.name
    capsys.readouterr()
    main(["list"])
    shown = capsys.readouterr().out
    assert f"{name}  0.0 MB  prepared, last used " in shown
    assert "reviews.csv" in shown
    with pytest.raises(ConfigError, match="there is no 'texts-'"):
        main(["rm", "toy", "texts-"])
    assert main(["rm", "toy", name]) == 0
    assert "toy: removed" in capsys.readouterr().out
    main(["list"])
    assert name not in capsys.readouterr().out
    with pytest.raises(DataError, match="'toy' is not in the cache"):
        main(["path", "toy"])
    main(["rm", "toy"])
    assert capsys.readouterr().out == "toy: not in the cache\n"
