import pytest

from aiexp.command.flags import Flag, Flags
from aiexp.errors import ConfigError

FLAGS = Flags(
    "toy",
    Flag("--yes", "do it", "-y"),
    Flag("--no", "do not"),
    Flag("--by", "a key", "-cb", "KEY"),
    Flag("--format", "how it is shown", choices=("table", "csv")),
    Flag("--info", "some " * 20, "-i", "WHAT", ("all", "plugins"), "all"),
    Flag("--html", "the page", value="FILE.html", otherwise="page.html", ending=".html"),
    instead={"--before": "use --by"},
)


@pytest.mark.parametrize(
    ("typed", "words", "flags"),
    [
        ("a -y b", ["a", "b"], {"yes": ""}),
        ("a --by lr b", ["a", "b"], {"by": "lr"}),
        ("--by=lr=1 -", ["-"], {"by": "lr=1"}),
        ("--by=-lr", [], {"by": "-lr"}),
        ("-cb=x -cb y", [], {"by": "y"}),
        ("--format csv key=--x", ["key=--x"], {"format": "csv"}),
        ("--info task=x", ["task=x"], {"info": "all"}),
        ("--info plugins x", ["x"], {"info": "plugins"}),
        ("--info", [], {"info": "all"}),
        ("--html outputs", ["outputs"], {"html": "page.html"}),
        ("--html my.html outputs", ["outputs"], {"html": "my.html"}),
        ("--html=elsewhere", [], {"html": "elsewhere"}),
        ("-1.5 -.5 -y", ["-1.5", "-.5"], {"yes": ""}),
        ("-y a -- --no -x", ["a", "--no", "-x"], {"yes": ""}),
        ("--html --yes", [], {"html": "page.html", "yes": ""}),
    ],
)
def test_flags_and_words_in_any_order(typed: str, words: list[str], flags: dict[str, str]) -> None:
    assert FLAGS.parse(typed.split()) == (words, flags)


def test_of_switches_that_exclude_each_other_the_last_typed_comes_last() -> None:
    assert [*FLAGS.parse(["--yes", "--no", "--yes"])[1]] == ["no", "yes"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (
            "--formt csv",
            "unknown flag '--formt'. Did you mean '--format'? | command line: --formt | fix: flags are --yes",
        ),
        ("--before x", "| command line: --before | fix: use --by"),
        ("--by", "--by takes a value, not ''. | aiexp toy | fix: type --by KEY"),
        ("--by --yes", "--by takes a value"),
        ("--by=", "--by takes a value"),
        ("--format cvs", "--format takes table|csv, not 'cvs'. Did you mean 'csv'? | aiexp toy | fix: type"),
        ("--info=al", "--info takes all|plugins, not 'al'. Did you mean 'all'?"),
        ("--yes=no", "--yes takes no value | aiexp toy | fix: type --yes"),
    ],
)
def test_a_wrong_flag_is_one_line(typed: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FLAGS.parse(typed.split())
    assert expected in caught.value.line()


def test_lines_of_the_help_page() -> None:
    page = "\n".join(flag.help_lines() for flag in FLAGS.all).splitlines()
    assert page[0] == "  -y, --yes             do it"
    assert page[3:5] == [
        "  --format table|csv    how it is shown",
        "  -i, --info [WHAT]     " + " ".join(["some"] * 11),
    ]
    assert page[5].split() == ["some"] * 9
    assert page[-1] == "  -h, --help            this page"


@pytest.mark.parametrize(
    ("before", "word", "expected"),
    [
        ([], "--f", ["--yes", "--no", "--by", "--format", "--info", "--html", "--help"]),
        (["--format"], "", ["table", "csv"]),
        ([], "--format=t", ["--format=table"]),
        (["--by"], "x", []),
        (["--info"], "pl", ["plugins"]),
        (["--info"], "task=", None),
        (["--yes"], "x", None),
        ([], "x", None),
    ],
)
def test_what_completes_a_flag(before: list[str], word: str, expected: list[str] | None) -> None:
    assert FLAGS.candidates(before, word) == expected
