"""`aiexp run`: reads the flags, composes and checks, then runs a job, a sweep, or only prints the config."""

import gc
from dataclasses import dataclass, field

from aiexp.errors import ConfigError, nearest
from aiexp.text.terminal import out_lines, say

_SWITCHES = {
    "-m": "multirun",
    "--multirun": "multirun",
    "-h": "help",
    "--help": "help",
    "--resolve": "resolve",
    "--resume": "resume",
    "--hydra-help": "hydra-help",
}
_VALUED = {
    "-c": "cfg",
    "--cfg": "cfg",
    "-p": "package",
    "--package": "package",
    "-cd": "config-dir",
    "--config-dir": "config-dir",
    "-i": "info",
    "--info": "info",
}
_CFG = ("job", "hydra", "all")
_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
FLAGS = tuple(f for f in (*_SWITCHES, *_VALUED, "--trust") if f.startswith("--"))
_ONE_PRIMARY = "aiexp has one primary file; write a file in conf/task and choose it with task=NAME"
_INSTEAD = {
    "--config-name": _ONE_PRIMARY,
    "-cn": _ONE_PRIMARY,
    "--config-path": "use --config-dir DIR or AIEXP_CONF=DIR",
    "-cp": "use --config-dir DIR or AIEXP_CONF=DIR",
    "--experimental-rerun": "use aiexp resume RUN",
    "--run": "leave it out; without -m it is one run",
    "-r": "leave it out; without -m it is one run",
    "--shell-completion": "use aiexp completion bash",
    "-sc": "use aiexp completion bash",
}


@dataclass
class Line:
    """A command line taken apart.

    Args:
        overrides: What is not a flag.
        flags: Flag to value; "" for switches.
    """

    overrides: list[str] = field(default_factory=lambda: [])
    flags: dict[str, str] = field(default_factory=lambda: {})

    @property
    def config_dir(self) -> str | None:
        """Value of `--config-dir`."""
        return self.flags.get("config-dir")


def main(argv: list[str]) -> int:
    """Runs what `argv` asks for; returns the exit code."""
    line = split(argv)
    if "help" in line.flags:
        from aiexp.command.help import run_page

        out_lines(run_page())
        return 0
    # Composing makes many small objects that live on; the collector would go through them again and again.
    gc.disable()
    if "hydra-help" in line.flags or "info" in line.flags:
        from aiexp.command.show import show_hydra

        return show_hydra(line.flags, line.overrides)
    if "cfg" in line.flags:
        from aiexp.command.show import show_config

        return show_config(line.flags, line.overrides)
    if "multirun" in line.flags:
        from aiexp.sweep.sweep import sweep

        return sweep(line.overrides, config_dir=line.config_dir, resume="resume" in line.flags)
    if "resume" in line.flags:
        fix = "type aiexp resume RUN, or add -m for a sweep"
        raise ConfigError("--resume goes with -m", where="command line", fix=fix)
    return _run_one(line)


def _run_one(line: Line) -> int:
    """Composes and runs one job."""
    from aiexp.config.compose import compose, shadow_notes
    from aiexp.config.folders import conf_dirs

    composed = compose(line.overrides, config_dir=line.config_dir)
    for note in shadow_notes(composed, conf_dirs(line.config_dir)):
        say(f"note: {note}")
    # The collector works again, for what is made from now on.
    gc.freeze()
    gc.enable()
    from aiexp.run import run

    return run(composed, None)


def split(argv: list[str]) -> Line:
    """Flags, in any order among the overrides, and the overrides in theirs.

    Raises:
        ConfigError: An unknown flag, or one without its value.
    """
    line = Line()
    words = iter(argv)
    for word in words:
        name, has_value, value = word.partition("=")
        if not word.startswith("-") or word == "-":
            line.overrides.append(word)
        elif word in _SWITCHES:
            line.flags[_SWITCHES[word]] = ""
        elif name in _VALUED:
            flag = _VALUED[name]
            if not has_value and flag == "info":
                rest = list(words)
                # Its value may be left out.
                value, rest = (rest[0], rest[1:]) if rest and rest[0] in _INFO else ("all", rest)
                words = iter(rest)
            elif not has_value:
                value = next(words, "")
            line.flags[flag] = _checked(flag, value)
        else:
            fix = _INSTEAD.get(name) or f"flags are {' '.join(FLAGS)}"
            raise ConfigError(f"unknown flag '{word}'.{nearest(name, FLAGS)}", where="command line", fix=fix)
    return line


def _checked(flag: str, value: str) -> str:
    """The value of a flag, if it is one of those allowed."""
    allowed = {"cfg": _CFG, "info": _INFO}.get(flag, ())
    if not value or (allowed and value not in allowed):
        what = f"--{flag} takes {'|'.join(allowed) or 'a value'}, not '{value}'.{nearest(value, allowed)}"
        raise ConfigError(
            what, where="command line", fix=f"type --{flag} {allowed[0] if allowed else 'VALUE'}"
        )
    return value
