"""`aiexp completion SHELL`: prints its script, which asks `aiexp completion --words LINE` for candidates.

`--described LINE` adds what each candidate is, after a tab.
"""

from aiexp.command.completing.words import candidates, described
from aiexp.command.flags import Flags
from aiexp.errors import ConfigError, nearest
from aiexp.text.terminal import out_lines

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
  local line="${COMP_LINE:0:COMP_POINT}" word found
  word="${line##* }"
  COMPREPLY=()
  while IFS= read -r found; do
    COMPREPLY+=("$found")
  done < <("${COMP_WORDS[0]}" completion --words "$line" 2>/dev/null)
  if [[ "$word" == [^\'\"]*=* ]]; then COMPREPLY=("${COMPREPLY[@]#"${word%=*}="}"); fi
  if [[ "${COMPREPLY[0]}" == *[=./,[] ]]; then compopt -o nospace; fi
  compopt -o nosort 2>/dev/null
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
    if [[ "$word" == *[=./,[] ]]; then
      open+=("$word"); open_shown+=("$line")
    else
      closed+=("$word"); closed_shown+=("$line")
    fi
  done
  compadd -Q -l -V closed -d closed_shown -a closed
  compadd -Q -l -V open -S '' -d open_shown -a open
}
compdef _aiexp aiexp
alias aiexp='noglob aiexp'
"""
_FISH = r"""
complete -c aiexp -e
complete -c aiexp -f -k -a '(aiexp completion --described (commandline -cp | string collect) 2>/dev/null)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def main(argv: list[str]) -> int:
    """Prints a script, or the candidates for a line."""
    if argv[:1] in (["--words"], ["--described"]):
        line = argv[1] if len(argv) > 1 else ""
        found = candidates(line)
        texts = described(found) if argv[0] == "--described" else {}
        for word in found:
            out_lines(f"{word}\t{text}" if (text := texts.get(word)) else word)
        return 0
    words, _ = FLAGS.parse(argv)
    shell = words[0] if words else ""
    if shell not in SCRIPTS or len(words) > 1:
        what = f"no completion for '{' '.join(words)}'.{nearest(shell, SCRIPTS)}" if words else "which shell?"
        raise ConfigError(what, where="aiexp completion", fix="type aiexp completion bash, zsh or fish")
    out_lines(SCRIPTS[shell].strip())
    return 0
