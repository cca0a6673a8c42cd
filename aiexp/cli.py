"""The `aiexp` command: finds the sub-command, imports only that, turns errors into lines and exit codes."""

import importlib
import os
import signal
import sys
from collections.abc import Callable

from aiexp.command import COMMANDS, module_of
from aiexp.command.help import overview, page
from aiexp.errors import TYPED, AiexpError, ConfigError, StorageError, nearest
from aiexp.limits import limit_error
from aiexp.text.problem import say_problems
from aiexp.text.terminal import out, out_lines, say, say_lines
from aiexp.world.torchrun import hush_follower, tell_torchrun
from aiexp.world.world import RANK


def main(argv: list[str] | None = None) -> int:
    """Runs one command line; returns its exit code.

    Args:
        argv: Arguments without the program's name; None for those of the process.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    hush_follower()
    os.environ.pop(RANK, None)  # of a rank that has run this command: it is no rank itself
    # Python processes that libraries start (`python -c ...`) would import from the working directory first.
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        if argv is None and signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # see `__main__`
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return _dispatch(arguments)
    except AiexpError as error:
        return _refuse(error, arguments)
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except BrokenPipeError:
        _drop_output()  # the reader (`| head`) has left
        return 0
    except Exception as error:
        problem = limit_error(error)
        return _report_bug(arguments) if problem is None else _refuse(problem, arguments)


def _refuse(error: AiexpError, argv: list[str]) -> int:
    """Says what is wrong; returns the exit code."""
    say_problems(error, argv)
    tell_torchrun(error.lines()[0])
    if isinstance(error, StorageError):
        _drop_output()
    return error.exit_code


def _drop_output() -> None:
    """Lets go of what stdout has not taken: Python would try again at its end, and fail again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(argv: list[str]) -> int:
    """The exit code of the command that `argv` names."""
    if argv[:1] == ["help"] and len(argv) > 1:
        argv = [*argv[1:], "--help"]
    if not argv or argv[0] in ("-h", "--help", "help"):
        out_lines(overview())
        return 0 if argv else 2
    if argv[0] in ("--version", "-V", "-v", "version"):
        from aiexp import __version__

        out(f"aiexp {__version__}")
        return 0
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        hint = nearest(name, COMMANDS)
        if "=" in name:
            hint = f" To run it, type: aiexp run {' '.join(argv)}"
        raise ConfigError(
            f"unknown command '{name}'.{hint}", where=f"{TYPED}{name}", fix="commands are", options=COMMANDS,
            see="aiexp help",
        )  # fmt: skip
    if {"-h", "--help"} & set(rest):
        out_lines(page(name))
        return 0
    main_of: Callable[[list[str]], int] = importlib.import_module(module_of(name)).main
    return main_of(_take_trust(rest))


def _take_trust(argv: list[str]) -> list[str]:
    """`argv` without `--trust PACKAGE`, which is put into the environment so that child processes know it."""
    rest: list[str] = []
    trusted = [p for p in os.environ.get("AIEXP_TRUST", "").split(",") if p]
    words = iter(argv)
    for word in words:
        if word != "--trust" and not word.startswith("--trust="):
            rest.append(word)
            continue
        package = next(words, "") if word == "--trust" else word.partition("=")[2]
        if not package.isidentifier():
            raise ConfigError(
                f"'{package}' is not the name of a package", where="--trust", fix="type --trust PACKAGE"
            )
        trusted.append(package)
    if trusted:
        os.environ["AIEXP_TRUST"] = ",".join(dict.fromkeys(trusted))
    return rest


def _report_bug(argv: list[str]) -> int:
    """Prints the traceback of an error nobody expected, with what a report needs; returns 1."""
    import platform
    import traceback

    from aiexp import __version__

    say_lines(traceback.format_exc())
    say("this is a bug in aiexp or in your own code; if it is ours, please report the lines above with")
    say(
        f"  aiexp {__version__}, Python {platform.python_version()}, {platform.system()}: "
        f"aiexp {' '.join(argv)}"
    )
    return 1
