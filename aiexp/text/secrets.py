"""Redaction: what is written, printed or sent goes through here, so that keys and passwords stay at home.

A string is taken for a secret when its key says so (`hf_token`, `db.password`, `--password`), however deep
in brackets; when an environment variable with such a name holds it; when it looks like a known kind of key
(`hf_...`, `ghp_...`); when it is the user part of a URL; and when a sentence says so (`password is ...`).
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
BEARER = re.compile(r"(?P<before>\bBearer\s+)[\w.~+/=-]{6,}", re.IGNORECASE)
FLAG = re.compile(r"""(?P<before>(?<![\w-])--?(?P<key>[A-Za-z][\w-]*+)['"]?,?[ \t]+)(?P<value>[^\s-]\S*)""")
SAID = re.compile(
    r"""(?P<before>\b(?:passw(?:or)?d|passphrase|secret|token|api[ _-]?key|credentials?)
        \s+(?:is|was|are):?\s+)
        (?P<value>"[^"\n]*"|'[^'\n]*'|[^\s,;]+)""",
    re.IGNORECASE | re.VERBOSE,
)
# What a sentence says of a secret without telling it.
ABOUT = words_of(
    """a an and at being but correct empty expected expired for forbidden given in incorrect invalid longer
    masked missing needed no none not null of off on optional or refused required said set shorter that the
    to too unknown unset used valid wrong your"""
)
KEY = re.compile(r"""(?<![\w.\-/@+~])(?P<open>['"]?)(?P<key>[\w.\-/@+~]++)['"]?\]?(?P<sign>\s*+[:=]\s*+)""")
TYPE = re.compile(r"[A-Za-z_][\w.| ]*(?:\[[\w., |]*\])?\s*=\s*")  # of a program: `token: str = "abc"`
LINE_START = re.compile(r"[+\-\s]*(?:(?:export|set|ENV)\s+)?")
LOOK_BACK = 1000  # characters to the start of a line, or to an opening brace
LOOK_AHEAD = 4000  # characters to a closing one
CLOSING = {"{": "}", "[": "]"}
BARE = re.compile(r"""[^\s&'"{}\]]+""")  # the value of key=value
BARE_IN_BRACES = re.compile(r"""[^\n,&'"{}\[\]]+""")
BARE_LINE = re.compile(r"""[^\n'"(){}\[\]#;]++(?!['"(\[{])""")  # to the end of the line, and no call
MIN_OPAQUE_CHARACTERS = 8  # a shorter bare word without digits may be a type or a name of a program
INTERPOLATION = re.compile(r"\$\{[^{}]*\}")
MIN_SECRET_CHARACTERS = 8  # shorter values of the environment ("1", "true") would be masked all over the text


def is_secret_name(name: str) -> bool:
    """Whether a key or environment variable with this name holds a secret.

    Args:
        name: A key, dotted path or variable name; only the part after the last dot counts.
    """
    words = _words(name)
    if not words or words[-1] in PLACE_WORDS:
        return False
    if not SECRET_WORDS.isdisjoint(words):
        return True
    if any(word == "key" and words[i - 1] in KEY_OWNERS for i, word in enumerate(words) if i):
        return True
    return "token" in words and TEXT_WORDS.isdisjoint(words)


def _words(name: str) -> list[str]:
    """The words of the part of a name after the last dot: `apiKey` and `API_KEY` alike."""
    leaf = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name.rsplit(".", 1)[-1])
    return [word for word in re.split(r"[^A-Za-z0-9]+", leaf.lower()) if word]


def _is_secret_variable(name: str) -> bool:
    """Whether an environment variable's name says secret: `OPENAI_KEY` too, for nobody sorts by it."""
    words = _words(name)
    says_key = not {"key", "keys", "token", "tokens"}.isdisjoint(words) and words[-1] not in PLACE_WORDS
    return says_key or is_secret_name(name)


def redact(value: Any, environment: Mapping[str, str] = os.environ) -> Any:
    """A copy of a config (nested dicts and lists of plain values) with every secret replaced by `***`."""
    return _redact(value, secret_values(environment), is_secret=False)


def redact_text(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """A message, path or override string with every secret in it replaced by `***`."""
    return _redact_text(text, secret_values(environment))


def masked_words(words: list[str], environment: Mapping[str, str] = os.environ) -> list[str]:
    """Words of a command line with their secrets masked: of `KEY=VALUE` the whole value, spaces too."""
    known, masked = secret_values(environment), list[str]()
    for before, word in zip(["", *words], words, strict=False):
        key, sign, value = word.partition("=")
        if sign and is_secret_name(key):
            masked.append(f"{key}={_mask(value)}")
        elif before.startswith("-") and "=" not in before and is_secret_name(before):
            masked.append(MASK)
        else:
            masked.append(_redact_text(word, known))
    return masked


def secret_values(environment: Mapping[str, str]) -> list[str]:
    """The secrets held by environment variables, the longest first."""
    found = {
        value
        for name, value in environment.items()
        if len(value) >= MIN_SECRET_CHARACTERS and _is_secret_variable(name) and not os.path.exists(value)
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
    text = FLAG.sub(_mask_flag, BEARER.sub(rf"\g<before>{MASK}", text))
    return SAID.sub(_mask_said, _mask_pairs(text))


def _mask_url_user(found: re.Match[str]) -> str:
    is_plain_login = ":" not in found["user"] and "ssh" in found["scheme"].lower()
    return found[0] if is_plain_login else f"{found['scheme']}{MASK}@"


def _mask_flag(found: re.Match[str]) -> str:
    is_secret = is_secret_name(found["key"]) and found["value"].lower() not in ABOUT
    return f"{found['before']}{MASK}" if is_secret else found[0]


def _mask_said(found: re.Match[str]) -> str:
    is_about = found["value"].lower().strip(".:!?") in ABOUT
    return found[0] if is_about else f"{found['before']}{_mask(found['value'])}"


def _mask_pairs(text: str) -> str:
    """`key=value`, `{key: value}`, and lines such as `key = "value"` with the values of secret keys masked.

    Behind a key that names no secret it goes on with the value: `tags=[token=abc]`.
    """
    parts: list[str] = []
    done = start = 0
    while found := KEY.search(text, start):
        start = found.end("key")
        span = _value_span(text, found) if is_secret_name(found["key"]) else None
        if span is not None:
            parts += [text[done : span[0]], _mask(text[span[0] : span[1]])]
            done = start = span[1]
    return "".join([*parts, text[done:]])


def _value_span(text: str, found: re.Match[str]) -> tuple[int, int] | None:
    """Where the value of a secret key begins and ends; None where the text does not give it one."""
    begin, sign = found.end(), found["sign"]
    earliest = max(found.start() - LOOK_BACK, 0)
    line = text[earliest : found.start()].rpartition("\n")[2]
    is_line = LINE_START.fullmatch(line) is not None
    if is_line and ":" in sign and (kind := TYPE.match(text, begin)):
        begin, sign = kind.end(), " = "
    is_in_braces = line.count("{") > line.count("}") or (earliest > 0 and len(line) == LOOK_BACK)
    if text.startswith(MASK, begin):
        return begin, begin + len(MASK)
    if text.startswith(("'", '"', "{", "[", "${"), begin):
        is_given = "=" in sign or is_in_braces or is_line or bool(found["open"])
        return (begin, _closing(text, begin)) if is_given and not _is_end(text, begin, line) else None
    if sign == "=":
        value = BARE.match(text, begin)
    elif ":" in sign and (is_in_braces or found["open"]):
        value = BARE_IN_BRACES.match(text, begin)
    else:
        value = BARE_LINE.match(text, begin) if is_line else BARE.match(text, begin)
        if value and not _is_opaque(value[0], found["key"], is_line=is_line):
            value = None
    return None if value is None else (begin, begin + len(value[0].rstrip()))


def _is_opaque(value: str, key: str, *, is_line: bool) -> bool:
    """Whether a bare word behind `password: ` or `token = ` is a value, not the next word of a text."""
    is_password = not SECRET_WORDS.isdisjoint(_words(key))
    word = value.strip().strip(".,:;!?")
    is_long = len(word) >= MIN_OPAQUE_CHARACTERS or any(c.isdigit() for c in word)
    return is_long and (is_line or is_password) and word.lower() not in ABOUT and not word.startswith("=")


def _is_end(text: str, begin: int, line: str) -> bool:
    """Whether a quote closes one opened before the key, as in `no value in 'tags=[token=' here`."""
    quote, following = text[begin], text[begin + 1 : begin + 2]
    opened = re.sub(r"(?<=\w)'(?=\w)", "", line).count(quote)  # not the apostrophes
    return quote in "'\"" and opened % 2 == 1 and (not following or following.isspace())


def _closing(text: str, begin: int) -> int:
    """The end of what is opened at `begin` by a quote or bracket; of the line where nothing closes it."""
    if text[begin] in "'\"":
        quote = text[begin] * (3 if text.startswith(text[begin] * 3, begin) else 1)
        end = text.find(quote, begin + len(quote))
        while end > 0 and text[end - 1] == "\\":
            end = text.find(quote, end + 1)
        end = end + len(quote) if end >= 0 else -1
    else:
        waiting: list[str] = []
        end = begin + text.startswith("$", begin)
        for character in text[end : begin + LOOK_AHEAD]:
            end += 1
            if character in CLOSING:
                waiting.append(CLOSING[character])
            elif character == waiting[-1]:
                waiting.pop()
            if not waiting:
                break
        end = -1 if waiting else end
    line_end = text.find("\n", begin)
    return end if end >= 0 else line_end if line_end >= 0 else len(text)
