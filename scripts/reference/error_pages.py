"""Pages of errors: exit codes and kinds with cause and cure, and every message that the source has."""

from collections.abc import Iterator

from aiexp import errors
from reference import docstrings
from reference.markdown import code, prose, table
from reference.raised import Raised

HEAD = """\
# Errors and exit codes

An error is one line: what is wrong, where, what to type. On a terminal the wrong word is marked and the parts
have lines of their own; in a pipe and in `run.log` it is

    error[KIND]: what is wrong | where | fix: what to type

with the exit code of its kind. Several problems of a config are said together. None has a traceback; whatever
has one is a bug of aiexp or of your own code, exit code 1, and is kept in `error.log` of the run.

"""


def kinds() -> dict[str, type[errors.AiexpError]]:
    """The class of each kind that the user can meet, by exit code."""
    found = [
        cls
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, errors.AiexpError) and "kind" in vars(cls)
    ]
    return {cls.kind: cls for cls in found if cls is not errors.AiexpError}


def pages(raised: list[Raised]) -> Iterator[tuple[str, str]]:
    """Name and text of every page, from what `read_all` returns."""
    yield "errors/index.md", _index(raised)
    for kind, cls in kinds().items():
        own = [each for each in raised if each.kind == kind]
        yield f"errors/{kind}.md", _kind(kind, cls, own)


def _index(raised: list[Raised]) -> str:
    counts = {kind: sum(each.kind == kind for each in raised) for kind in kinds()}
    rows = [
        ["0", "", "All is well; a pruned run too."],
        ["1", "bug", "A bug of aiexp, or an exception in your own code."],
    ]
    rows += [
        [str(cls.exit_code), f"[{code(kind)}]({kind}.md)", prose(docstrings.parse(cls.__doc__ or "").summary)]
        for kind, cls in kinds().items()
        if kind != "stopped"
    ]
    rows += [["130", "[`stopped`](stopped.md)", "Ctrl-C, after a checkpoint."]]
    rows += [["143", "[`stopped`](stopped.md)", "SIGTERM, SIGHUP or SIGUSR1, after a checkpoint."]]
    parts = [HEAD, "## Exit codes", "", table(["code", "kind", "when"], rows)]
    parts += [
        "A sweep ends with 9 when a job failed; several problems at once with the highest of their codes.",
        "",
    ]
    parts += ["## Kinds", ""]
    for kind, cls in kinds().items():
        parts += [
            f"### {kind}",
            "",
            *_cause_and_cure(cls),
            f"[Messages of this kind: {counts[kind]}]({kind}.md)",
            "",
        ]
    return "\n".join(parts)


def _cause_and_cure(cls: type[errors.AiexpError]) -> list[str]:
    said = docstrings.parse(cls.__doc__ or "")
    cure = said.texts["Cure"]
    return [f"**Cause.** {prose(said.summary)}", "", f"**Cure.** {prose(cure[0].upper() + cure[1:])}", ""]


def _kind(kind: str, cls: type[errors.AiexpError], raised: list[Raised]) -> str:
    number = "130 and 143" if kind == "stopped" else str(cls.exit_code)
    parts = [f"# {kind}", "", f"Exit code {number}.", "", *_cause_and_cure(cls), "## Messages", ""]
    parts += [
        "Read from the source; `<name>` stands for a value of yours. The last column is the room it is from.",
        "",
    ]
    rows = [
        [prose(e.what), prose(e.where), prose(e.fix), code(e.room)]
        for e in sorted(raised, key=lambda e: e.what.lower())
    ]
    return "\n".join([*parts, table(["message", "where", "fix", "from"], rows)])
