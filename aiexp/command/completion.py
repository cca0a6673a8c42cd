"""`aiexp completion SHELL`: prints its script, which asks `aiexp completion --words LINE` for candidates.

`--described LINE` adds what each candidate is, after a tab.
"""

import importlib
from collections.abc import Iterable
from pathlib import Path

from aiexp.command import COMMANDS, module_of
from aiexp.command.flags import Flags
from aiexp.errors import AiexpError, ConfigError, nearest
from aiexp.text.terminal import out_lines, visible

HELP = """\
usage: aiexp completion bash|zsh|fish

Prints the completion script. Add the line for your shell to its start-up file:
  bash  eval "$(aiexp completion bash)"
  zsh   eval "$(aiexp completion zsh)"        (after compinit)
  fish  aiexp completion fish | source
"""
FLAGS = Flags("completion")

# bash splits words at `=` too and replaces only what stands after it, so that part is cut off the candidates.
_BASH = r"""
_aiexp() {
  local line="${COMP_LINE:0:COMP_POINT}" word IFS=$'\n'
  word="${line##* }"
  COMPREPLY=($("${COMP_WORDS[0]}" completion --words "$line" 2>/dev/null))
  if [[ "$word" == *=* ]]; then COMPREPLY=("${COMPREPLY[@]#"${word%=*}="}"); fi
  if [[ "${COMPREPLY[0]}" == *[=./] ]]; then compopt -o nospace; fi
}
complete -F _aiexp aiexp
"""
_ZSH = r"""
_aiexp() {
  local line word tab=$'\t'
  local -a closed open closed_shown open_shown
  for line in "${(@f)$("${words[1]}" completion --described "${(j: :)words[1,CURRENT]}" 2>/dev/null)}"; do
    word="${line%%$tab*}"
    [[ -n "$word" ]] || continue
    [[ "$line" == *$tab* ]] && line="${(r:28:)word} -- ${line#*$tab}"
    line="${line[1,COLUMNS-1]}"
    if [[ "$word" == *[=./] ]]; then
      open+=("$word"); open_shown+=("$line")
    else
      closed+=("$word"); closed_shown+=("$line")
    fi
  done
  compadd -Q -l -S '' -d open_shown -a open
  compadd -Q -l -d closed_shown -a closed
}
compdef _aiexp aiexp
alias aiexp='noglob aiexp'
"""
_FISH = r"""
complete -c aiexp -e
complete -c aiexp -f -a '(aiexp completion --described (commandline -cp | string collect) 2>/dev/null)'
"""
_RUNS_BELOW = ("*/status.json", "*/*/status.json", "*/*/*/status.json")
ON_RUNS = (
    "resume", "doctor", "runs", "compare", "board", "branch", "reproduce",
    "predict", "evaluate", "explain", "export", "serve",
)  # fmt: skip
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def main(argv: list[str]) -> int:
    """Prints a script, or the candidates for a line."""
    if argv[:1] in (["--words"], ["--described"]):
        line = argv[1] if len(argv) > 1 else ""
        found = candidates(line)
        texts = described(line, found) if argv[0] == "--described" else {}
        for word in found:
            out_lines(f"{word}\t{texts[word]}" if word in texts else word)
        return 0
    words, _ = FLAGS.parse(argv)
    shell = words[0] if words else ""
    if shell not in SCRIPTS or len(words) > 1:
        what = f"no completion for '{' '.join(words)}'.{nearest(shell, SCRIPTS)}" if words else "which shell?"
        raise ConfigError(what, where="aiexp completion", fix="type aiexp completion bash, zsh or fish")
    out_lines(SCRIPTS[shell].strip())
    return 0


def candidates(line: str) -> list[str]:
    """Every word that can complete the last word of a command line; whole words, sorted."""
    words = line.split(" ")
    before, word = [w for w in words[1:-1] if w], words[-1] if len(words) > 1 else ""
    try:
        found = _for_command(before, word) if before else [*COMMANDS, "help", "--help", "--version"]
    except AiexpError:
        return []
    return [w for w in dict.fromkeys(found) if w.startswith(word) and w == visible(w)]


def _for_command(before: list[str], word: str) -> Iterable[str]:
    """Candidates for an argument of the command `before[0]`: flags, their values, or words."""
    command, rest = before[0], before[1:]
    if command == "help":
        return COMMANDS
    if command not in COMMANDS:
        return []
    module = importlib.import_module(module_of(command))
    found: list[str] | None = module.FLAGS.candidates(rest, word)
    if found is not None:
        return found
    if command in ("run", "check"):
        return _overrides(rest, word)
    if command == "list":
        from aiexp.config.folders import conf_dirs

        options = conf_dirs().options()
        return options.get(rest[0], {}) if rest else options
    if command == "runs" and "=" in word:
        return _filters(word.partition("=")[0])
    actions = getattr(module, "ACTIONS", ()) if not rest else ()
    if command == "show":
        return [*_run_directories(word), *_overrides(rest, word)]
    if command in ON_RUNS:
        filters = ["state=", "task=", "tag="] if command == "runs" and word else []
        return [*actions, *filters, *_run_directories(word)]
    if command == "data":
        return actions or _data(rest)
    if command == "schema":
        from aiexp.config.folders import conf_dirs

        return conf_dirs().files() if not rest else []
    if command == "new":
        return actions
    return list(SCRIPTS) if command == "completion" and not rest else []


def _filters(key: str) -> list[str]:
    """What `aiexp runs` may ask of a key."""
    from aiexp.config.folders import conf_dirs
    from aiexp.rundir.state import State

    values = {"state": list(State), "task": conf_dirs().options()["task"]}
    return [f"{key}={value}" for value in values.get(key, ())]


def _overrides(before: list[str], word: str) -> list[str]:
    """Groups and their options, keys and the values that a key allows."""
    from aiexp.config.folders import conf_dirs

    dirs = conf_dirs()
    options: dict[str, Iterable[str]] = {**dirs.options(), **dirs.hydra_options()}
    name, equals, value = word.partition("=")
    if equals and name.lstrip("+") in options:
        done = value.rpartition(",")[0]
        start = f"{name}={done}," if done else f"{name}="
        return [f"{start}{o}" for o in options[name.lstrip("+")]]
    from aiexp.config.described.suggest import key_values, keys

    typed = [w for w in before if "=" in w]
    if equals:
        return [f"{name}={v}" for v in key_values(name, typed, dirs)]
    return [*(f"{g}=" for g in options), *_next_part(keys(typed, dirs), word)]


def described(line: str, found: list[str]) -> dict[str, str]:
    """What candidates are: commands, flags and options; others are left out.

    Args:
        line: The command line.
        found: Its candidates.
    """
    words = [word for word in line.split(" ") if word]
    is_command = len(words) < 2 or (len(words) == 2 and not line.endswith(" "))
    texts: dict[str, str] = dict(COMMANDS) if is_command else {}
    if len(words) > 1 and words[1] in COMMANDS:
        module = importlib.import_module(module_of(words[1]))
        texts |= {flag.name: flag.text for flag in module.FLAGS.all}
    named = {word: word.lstrip("+").partition("=")[::2] for word in found if "=" in word[:-1]}
    if words[1:2] == ["list"] and len(words) > 2:
        named |= {word: (words[2], word) for word in found}
    if named:
        from aiexp.config.described.header import read_header
        from aiexp.config.folders import conf_dirs

        files = conf_dirs().files()
        for word, (group, name) in named.items():
            option = files.get(group, {}).get(name.rpartition(",")[2])
            if option is not None:
                texts[word] = read_header(option, files[group]).purpose
    return {word: visible(texts[word]) for word in found if word in texts}


def _next_part(keys: list[str], word: str) -> list[str]:
    """Keys cut after the part being typed: `trainer.` first, then `trainer.steps=`."""
    depth = word.count(".")
    found: list[str] = []
    for key in keys:
        parts = key.split(".")
        if len(parts) > depth:
            has_more = len(parts) > depth + 1
            found.append(".".join(parts[: depth + 1]) + ("." if has_more else "="))
    nodes = {f[:-1] for f in found if f.endswith(".")}
    return [f for f in found if f.endswith(".") or f[:-1] not in nodes]


def _run_directories(word: str) -> list[str]:
    """Folders on the way to run directories, and those themselves, below what is typed."""
    from aiexp.rundir.named import known_names
    from aiexp.storage.mark import is_run_directory

    names = [] if "/" in word else known_names()
    parent = Path(word.rpartition("/")[0] or ".")
    start = word.rpartition("/")[0]
    prefix = f"{start}/" if start or word.startswith("/") else ""
    found: list[str] = [*names] if word else []
    for path in sorted(p for p in parent.iterdir() if p.is_dir()) if parent.is_dir() else []:
        if is_run_directory(path):
            found.append(f"{prefix}{path.name}")
        elif not path.name.startswith(".") and any(any(path.glob(p)) for p in _RUNS_BELOW):
            found.append(f"{prefix}{path.name}/")
    return found


def _data(before: list[str]) -> Iterable[str]:
    """Names of the catalogue, after an action that takes them."""
    if before[0] not in ("fetch", "path"):
        return []
    from aiexp.source.catalog.entries import ENTRIES

    return sorted(ENTRIES)
