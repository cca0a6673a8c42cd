"""What completes the last word of a command line: the one door to this room."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from aiexp.command import COMMANDS, module_of
from aiexp.command.completing import Found
from aiexp.config.folders import conf_dirs
from aiexp.errors import AiexpError
from aiexp.text.terminal import visible

SHELLS = ("bash", "zsh", "fish")
MOST_TOLD = 50  # runs of which it is said what they are
_ONE_RUN = ("show", "resume", "branch", "doctor", "reproduce", "predict", "explain", "export")
_RUNS = ("evaluate", "serve", "compare", "board", "runs")
_ALSO_SWEEPS = ("resume", "doctor", "compare", "board", "runs")
_FILES = ("predict", "explain")  # which take files after a run
_TAKE_RUNS = ("start_from", "model.path", "dataset.vocabulary")  # keys whose value may be a run
_CHANGES = ("resume", "branch", "evaluate")  # which take KEY=VALUE of a run


def candidates(line: str) -> Found:
    """Every word that can complete the last word of a command line, whole, in the order to be shown.

    Args:
        line: Up to the cursor; the last word may begin with a quote, of which the shell takes care.
    """
    words = line.split(" ")
    before = [w.strip("'\"") for w in words[1:-1] if w]
    word = words[-1].lstrip("'\"") if len(words) > 1 else ""
    try:
        found = _for_command(before, word) if before else _commands()
    except AiexpError:
        return {}
    return {w: text for w, text in found.items() if w.startswith(word) and w == visible(w)}


def described(found: Found) -> dict[str, str]:
    """What candidates are; "" for those of which there is nothing to be said."""
    told = 0
    texts: dict[str, str] = {}
    for word, text in found.items():
        if isinstance(text, Path):
            from aiexp.command.completing import runs

            told += 1
            text = runs.told(text) if told <= MOST_TOLD else ""
        texts[word] = visible(" ".join(text.split()))
    return texts


def _commands() -> Found:
    return {**COMMANDS, "help": "the page of a command", "--help": "what there is", "--version": ""}


def _for_command(before: list[str], word: str) -> Found:
    """Candidates for an argument of the command `before[0]`: flags, their values, or words."""
    command, rest = before[0], before[1:]
    if command == "help":
        return {} if rest else dict(COMMANDS)
    if command not in COMMANDS:
        return {}
    module = importlib.import_module(module_of(command))
    words, flags = _parsed(module, rest)
    if (values := _of_flag(command, rest, words, word)) is not None:
        return values
    named: list[str] | None = module.FLAGS.candidates(rest, word)
    if named is not None:
        texts = {flag.name: " ".join((flag.shown_value, flag.text)).strip() for flag in module.FLAGS.all}
        return {name: texts.get(name, "") for name in named}
    return _word(command, module, words, word, flags.get("config-dir"))


def _parsed(module: ModuleType, rest: list[str]) -> tuple[list[str], dict[str, str]]:
    """Words and flags before the one that is typed, as far as they can be read."""
    try:
        words, flags = module.FLAGS.parse(rest)
    except AiexpError:
        return [w for w in rest if not w.startswith("-")], {}
    return words, flags


def _of_flag(command: str, rest: list[str], words: Sequence[str], word: str) -> Found | None:
    """Values of flags that only the runs know: `--metric`, `--by`, `--step`; None elsewhere."""
    name, equals, _ = word.partition("=")
    flag = name if equals and word.startswith("--") else rest[-1] if rest else ""
    if command in ("compare", "board", "runs") and flag in ("--metric", "--by"):
        from aiexp.command.completing.filters import differing, metrics, read_runs

        records = read_runs(w for w in words if "=" not in w)
        found = metrics(records) if flag == "--metric" else differing(records)
    elif flag == "--step":
        from aiexp.command.completing.runs import first_run, steps

        run = first_run(words)
        found = steps(run) if run is not None else {}
    else:
        return None
    return {f"{flag}={value}": text for value, text in found.items()} if equals else found


def _word(command: str, module: ModuleType, words: list[str], word: str, config_dir: str | None) -> Found:
    """Candidates for a word that is no flag."""
    if command in ("run", "check"):
        return _overrides(words, word, config_dir)
    if command in _ONE_RUN or command in _RUNS:
        return _runs(command, module, words, word, config_dir)
    if command == "list":
        return _list(words)
    if command == "data":
        return _data(words) if words else dict.fromkeys(module.ACTIONS, "")
    if command == "schema" and not words:
        return dict.fromkeys(conf_dirs().files(), "")
    if command == "new" and not words:
        return dict.fromkeys(module.ACTIONS, "")
    return dict.fromkeys(SHELLS, "") if command == "completion" and not words else {}


def _overrides(words: list[str], word: str, config_dir: str | None) -> Found:
    """Groups, keys and values; runs where one is the value."""
    from aiexp.command.completing.overrides import overrides

    name, equals, value = word.partition("=")
    key = name.lstrip("+")
    if equals and (key in _TAKE_RUNS or (key.startswith("start_from.") and key != "start_from.strict")):
        from aiexp.command.completing.runs import run_words

        found = {f"{name}={run}": path for run, path in run_words(value, has_sweeps=False).items()}
        return found | overrides(words, word, conf_dirs(config_dir))
    if word.startswith("hydra.launcher.") and not any(w.startswith("hydra/launcher=") for w in words):
        words = [*words, "hydra/launcher=local"]  # as sweeps take it
    return overrides(words, word, conf_dirs(config_dir))


def _runs(command: str, module: ModuleType, words: list[str], word: str, config_dir: str | None) -> Found:
    """Names of runs, and what may stand beside them."""
    from aiexp.command.completing.runs import files, first_run, keys_of_run, run_words

    has_sweeps = command in _ALSO_SWEEPS
    found: Found = {}
    if command == "runs":
        from aiexp.command.completing.filters import filters

        found = dict.fromkeys(module.ACTIONS, "") if not words else {}
        found |= filters(word, conf_dirs())
        return found if "=" in word else found | run_words(word)
    if command == "show" and any("=" in w for w in words):
        return _overrides(words, word, config_dir)
    run = first_run(words)
    if run is not None and command in _CHANGES and (word or command != "evaluate"):
        found = keys_of_run(command, run, word, conf_dirs())
    if words and command in _ONE_RUN:
        return found or (files(word) if command in _FILES else {})
    runs = run_words(word, is_to_resume=command == "resume", has_sweeps=has_sweeps)
    found |= {name: path for name, path in runs.items() if name not in words}
    return found | (_overrides(words, word, config_dir) if command == "show" else {})


def _list(words: list[str]) -> Found:
    """Groups, then the options of one."""
    options = conf_dirs().options()
    if not words:
        return {group: f"{len(names)} to choose from" for group, names in options.items()}
    from aiexp.command.completing.overrides import option_texts

    return option_texts(words[0], options.get(words[0], {}), conf_dirs())


def _data(words: list[str]) -> Found:
    """Names of the catalogue that an action can be done to."""
    from aiexp.source import cache
    from aiexp.source.catalog.entries import ENTRIES
    from aiexp.source.prepared import list_prepared

    action = words[0]
    if action not in ("list", "fetch", "path", "rm"):
        return {}
    names = sorted(ENTRIES)
    if action in ("path", "rm"):
        names = [name for name in names if cache.is_complete(ENTRIES[name], is_quick=True)]
    found: Found = {name: f"{ENTRIES[name].size_bytes / 1e6:.1f} MB, {ENTRIES[name].what}" for name in names}
    if action == "rm":
        found |= {one.name: one.what for one in list_prepared()}
    return {name: text for name, text in found.items() if name not in words}
