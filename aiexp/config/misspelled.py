"""Words that are no KEY=VALUE, and what was meant: the parser's own words help nobody."""

import re
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path

from aiexp.errors import TYPED, AiexpError, ConfigError, nearest

QUOTING = "quote it: 'key=\"a b, c\"' for text, 'key=[1,2]' for lists"

# Keys of other programs, and what is typed here for them.
ELSEWHERE = {
    **dict.fromkeys(("gpus", "num_gpus", "n_gpus", "num_devices"), "hardware.devices=N"),
    **dict.fromkeys(("gpu", "cuda", "accelerator"), "hardware=gpu"),
    **dict.fromkeys(("max_epochs", "num_epochs", "num_train_epochs"), "trainer.epochs=N"),
    **dict.fromkeys(("max_steps", "num_steps"), "trainer.steps=N trainer.epochs=null"),
    **dict.fromkeys(("learning_rate", "base_lr"), "task.optimizer.lr=RATE"),
    **dict.fromkeys(("gradient_clip_val", "max_grad_norm", "grad_clip"), "trainer.clip=NORM"),
    **dict.fromkeys(("accumulate_grad_batches", "gradient_accumulation_steps"), "trainer.accumulate=N"),
    **dict.fromkeys(("ema", "ema_decay", "swa"), "average=ema or average=swa"),
    **dict.fromkeys(("scheduler", "lr_scheduler"), "schedule=NAME"),
    **dict.fromkeys(("logger", "report_to"), "tracker=NAME"),
    **dict.fromkeys(("output_dir", "out_dir", "save_dir"), "outputs=FOLDER"),
}


def known_elsewhere(name: str) -> str:
    """What is typed here for a key of another program; "" where it is none.

    Args:
        name: The last part of a key.
    """
    return f" Did you mean {ELSEWHERE[name]}?" if name in ELSEWHERE else ""


def torchvision_networks() -> frozenset[str]:
    """Names of the classification networks of torchvision, as `model.name` takes them.

    Read in its source: to import it takes seconds, and this is asked for an error.
    """
    spec = find_spec("torchvision")
    folders = spec.submodule_search_locations if spec else None
    files = [path for folder in folders or [] for path in Path(folder, "models").glob("*.py")]
    made = re.compile(r"^@register_model\(\)\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)
    return frozenset(name for path in files for name in made.findall(path.read_text("utf-8")))


def torn_apart(words: list[str]) -> tuple[frozenset[str], AiexpError | None]:
    """Words that spaces around `=` or after a comma have parted, and the error that shows them in one.

    Args:
        words: As typed.
    """
    parts: list[list[str]] = []
    for word in words:
        last = parts[-1][-1] if parts else ""
        is_parted = word.startswith("=") or (last.endswith(("=", ",")) and not word.startswith(("+", "~")))
        if parts and is_parted and "=" not in word.lstrip("="):
            parts[-1].append(word)
        else:
            parts.append([word])
    torn = [part for part in parts if len(part) > 1]
    if not torn:
        return frozenset(), None
    error = ConfigError(
        "there are spaces in it, so it reaches aiexp as several words",
        where=TYPED + " ".join(torn[0]),
        fix=f"type {''.join(torn[0])}" + (" with -m" if any("," in word for word in torn[0]) else ""),
    )
    return frozenset(word for part in torn for word in part), error


def unreadable(text: str, groups: Mapping[str, Collection[str]]) -> AiexpError:
    """The error for a word that Hydra's grammar refuses.

    Args:
        text: As typed.
        groups: Their options.
    """
    where = TYPED + text
    if "=" not in text and text in groups:
        return ConfigError(
            f"'{text}' is a group: which of its options?", where=where,
            fix=f"type {text}=OPTION; options are", options=groups[text], see=f"aiexp list {text}",
        )  # fmt: skip
    if "=" not in text:
        owners = [group for group, options in groups.items() if text in options]
        near = nearest(text, [option for options in groups.values() for option in options])
        fix = f"type {owners[0]}={text}" if owners else f"type {'KEY' if near else text}=VALUE"
        return ConfigError(f"'{text}' is not KEY=VALUE.{'' if owners else near}", where=where, fix=fix)
    key, _, value = text.partition("=")
    if value.startswith("="):
        fix = f"type {key}={value.lstrip('=')}"
        return ConfigError(f"'{text}' has more than one '='", where=where, fix=fix)
    if not value.strip():
        return ConfigError(f"'{text}' has no value", where=where, fix=f"type {key}=VALUE; null for none")
    if not set(value) & set("\"'[{("):
        return ConfigError(
            f"the value of '{key}' cannot be read as it is", where=where, fix=f"""type '{key}="{value}"'"""
        )
    return ConfigError(f"'{text}' is not KEY=VALUE", where=where, fix=QUOTING)
