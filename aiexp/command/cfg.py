"""`aiexp run --cfg`, `--info` and `--hydra-help`: shows what would be run, and runs nothing.

Everything shown is redacted, for it ends up in terminals, logs and bug reports.
"""

import contextlib
import io
import re
from collections.abc import Generator

from omegaconf import DictConfig, ListConfig, OmegaConf

from aiexp.config.compose import check_hydra_settings, compose
from aiexp.config.composed import prepare
from aiexp.config.folders import PRIMARY, conf_dirs
from aiexp.config.resolve import keys_of
from aiexp.errors import ConfigError, nearest
from aiexp.text.secrets import MASK, is_secret_name, redact, redact_text
from aiexp.text.terminal import out, out_lines

_YAML_PAIR = re.compile(r"(?P<key>^\s*(?:- )?(?P<name>[\w.\-]+): )(?P<value>[^\s|>$].*)$", re.MULTILINE)


def show_config(flags: dict[str, str], overrides: list[str]) -> int:
    """Prints the checked config of one job as YAML, for `--cfg job`; Hydra's with it for the others."""
    if "multirun" in flags:
        raise ConfigError("--cfg shows one job, not a sweep", where="command line", fix="leave out -m")
    composed = compose(overrides, config_dir=flags.get("config-dir"))
    if flags["cfg"] != "job":
        return show_hydra(flags, overrides)
    package = flags.get("package", "_global_")
    part = composed.config if package == "_global_" else OmegaConf.select(composed.config, package)
    if part is None:
        keys = keys_of(composed.config)
        raise ConfigError(
            f"no key '{package}'.{nearest(package, keys)}", where="--package", fix="aiexp show says all keys"
        )
    is_container = isinstance(part, DictConfig | ListConfig)
    plain = OmegaConf.to_container(part, resolve="resolve" in flags) if is_container else part
    shown = redact({package: plain})[package]  # the key of the part itself may name a secret
    if is_container:
        out_lines(OmegaConf.to_yaml(OmegaConf.create(shown)))
    else:
        out(str(shown))
    return 0


def show_hydra(flags: dict[str, str], overrides: list[str]) -> int:
    """Lets Hydra print its own view: `--info`, `--hydra-help`, `--cfg hydra|all`."""
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import get_args_parser
    from hydra.types import RunMode

    from aiexp.config.loader import make_loader

    dirs = conf_dirs(flags.get("config-dir"))
    prepare()
    check_hydra_settings(overrides, dirs)
    if "info" in flags:
        compose(overrides, config_dir=flags.get("config-dir"))
    hydra = Hydra(task_name="aiexp", config_loader=make_loader(dirs))
    with _redacted_output(flags.get("package", "")):
        if "hydra-help" in flags:
            parser = get_args_parser()
            hydra.hydra_help(config_name=PRIMARY, args_parser=parser, args=parser.parse_args([]))
        elif "info" in flags:
            mode = RunMode.MULTIRUN if "multirun" in flags else RunMode.RUN
            hydra.show_info(flags["info"], config_name=PRIMARY, overrides=overrides, run_mode=mode)
        else:
            package, is_resolved = flags.get("package"), "resolve" in flags
            hydra.show_cfg(PRIMARY, overrides, cfg_type=flags["cfg"], package=package, resolve=is_resolved)
    return 0


@contextlib.contextmanager
def _redacted_output(package: str) -> Generator[None]:
    """Holds back what is printed inside, and prints it with the values of secret keys masked.

    Args:
        package: Key of what is printed, when it is a part of the config.
    """
    held = io.StringIO()
    try:
        with contextlib.redirect_stdout(held):
            yield
    finally:
        text = held.getvalue()
        if is_secret_name(package):
            text = f"{MASK}\n"
        text = _YAML_PAIR.sub(lambda m: f"{m['key']}{MASK}" if is_secret_name(m["name"]) else m[0], text)
        out_lines(redact_text(text))
