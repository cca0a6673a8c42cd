"""Redaction: what is written, printed or sent goes through here, so that keys and passwords stay at home.

A string is taken for a secret when its key says so (`hf_token`, `db.password`), when an environment
variable with such a name holds it, when it looks like a known kind of key (`hf_...`, `ghp_...`), or when it
is the user part of a URL.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, cast

MASK = "***"


def words_of(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(re.findall(r"\w+", text))


SECRET_WORDS = words_of(
    "secret secrets password passwords passwd passphrase pwd credential credentials apikey authorization"
)
# `key` is a secret only after one of these: `api_key`, but not `sort_key`.
KEY_OWNERS = words_of("access account api deploy encryption license private secret signing ssh storage")
# `token` is a unit of text beside one of these: `cls_token`, `max_token_length`. The plural always is.
TEXT_WORDS = words_of(
    """additional begin bos budget class classification cls count decoder dim dimension dropout embedding
    end eos first id ids image index last length level limit loss mask max mean min new next num number pad
    padding per position prob prompt rate sep size special start stop text type unk unknown vocab vocabulary
    weight word"""
)
PLACE_WORDS = words_of("dir directory file path socket url uri")  # `TOKEN_FILE` names a place, no secret

KNOWN_KEYS = re.compile(
    r"""(?<![A-Za-z0-9])(?:
        hf_(?=[A-Za-z0-9]*[A-Z0-9])[A-Za-z0-9]{10,}
      | (?:sk|pk|rk)-(?=[\w-]*\d)[\w-]{16,}
      | gh[opsur]_[A-Za-z0-9]{16,} | github_pat_\w{16,} | glpat-[\w-]{16,}
      | xox[abprs]-[\w-]{10,} | pypi-[\w-]{32,} | npm_[A-Za-z0-9]{32,} | wandb_v\d_\w{16,}
      | A(?:KI|SI)A[0-9A-Z]{16} | AIza[\w-]{30,} | eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}
    )""",
    re.VERBOSE,
)
PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
URL_USER = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?P<user>[^\s/?#@'\"]+)@", re.IGNORECASE)
ENCLOSED = r"""\*\*\*|\$\{[^{}]*\}|\{[^{}]*\}|\[[^\[\]]*\]|"[^"]*"|'[^']*'"""
ASSIGNED = re.compile(  # dataset.token=abc, ?token=abc
    rf"""(?P<key>[\w.\-/@+~]+)(?P<sign>=)(?P<value>{ENCLOSED}|[^\s&'"{{}}\]]+)"""
)
MAPPED = re.compile(  # {token: abc}
    rf"""(?P<key>(?<=[{{,\s])['"]?[\w.\-]+['"]?)(?P<sign>\s*:\s*)(?P<value>{ENCLOSED}|[^\s,&'"{{}}\]]+)"""
)
MAPPING = re.compile(r"\{.*\}", re.DOTALL)
INTERPOLATION = re.compile(r"\$\{[^{}]*\}")
MIN_SECRET_CHARACTERS = 6  # shorter values of the environment ("1", "true") would be masked all over the text


def is_secret_name(name: str) -> bool:
    """Whether a key or environment variable with this name holds a secret.

    Args:
        name: A key, dotted path or variable name; only the part after the last dot counts.
    """
    leaf = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name.rsplit(".", 1)[-1])
    words = [word for word in re.split(r"[^A-Za-z0-9]+", leaf.lower()) if word]
    if not words or words[-1] in PLACE_WORDS:
        return False
    if not SECRET_WORDS.isdisjoint(words):
        return True
    if any(word == "key" and words[i - 1] in KEY_OWNERS for i, word in enumerate(words) if i):
        return True
    return "token" in words and TEXT_WORDS.isdisjoint(words)


def redact(value: Any, environment: Mapping[str, str] = os.environ) -> Any:
    """A copy of a config (nested dicts and lists of plain values) with every secret replaced by `***`."""
    return _redact(value, secret_values(environment), is_secret=False)


def redact_text(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """A message, path or override string with every secret in it replaced by `***`."""
    return _redact_text(text, secret_values(environment))


def secret_values(environment: Mapping[str, str]) -> list[str]:
    """The secrets held by environment variables, the longest first."""
    found = {
        value
        for name, value in environment.items()
        if len(value) >= MIN_SECRET_CHARACTERS and is_secret_name(name) and not os.path.exists(value)
    }
    return sorted(found, key=len, reverse=True)


def _redact(value: Any, known: list[str], *, is_secret: bool) -> Any:
    if isinstance(value, dict):
        items = cast(dict[Any, Any], value).items()
        return {k: _redact(v, known, is_secret=is_secret or is_secret_name(str(k))) for k, v in items}
    if isinstance(value, list | tuple):
        return [_redact(item, known, is_secret=is_secret) for item in cast(list[Any], value)]
    if isinstance(value, str):
        return _mask(value) if is_secret else _redact_text(value, known)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return MASK if is_secret and is_number else value


def _mask(value: str) -> str:
    """`***`, but an empty value and `${oc.env:NAME}` reveal nothing and stay."""
    bare = value.strip("'\"")
    return value if not bare or bare == "null" or INTERPOLATION.fullmatch(bare) else MASK


def _redact_text(text: str, known: list[str]) -> str:
    for secret in known:
        text = text.replace(secret, MASK)
    text = PRIVATE_KEY.sub(MASK, KNOWN_KEYS.sub(MASK, text))
    text = URL_USER.sub(_mask_url_user, text)
    text = ASSIGNED.sub(_mask_pair, text)
    return MAPPING.sub(lambda mapping: MAPPED.sub(_mask_pair, mapping[0]), text)


def _mask_url_user(found: re.Match[str]) -> str:
    is_plain_login = ":" not in found["user"] and "ssh" in found["scheme"].lower()
    return found[0] if is_plain_login else f"{found['scheme']}{MASK}@"


def _mask_pair(found: re.Match[str]) -> str:
    if not is_secret_name(found["key"].strip("'\"")):
        return found[0]
    return f"{found['key']}{found['sign']}{_mask(found['value'])}"
