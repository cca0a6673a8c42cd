"""Whether a file was written by this user's aiexp: signed with a key that stays in the user's own folder.

A run directory holds all that a run is, so whoever hands one on can write anything into it, also that its
code is yours. The key is made at the first signature, 32 random bytes in `~/.config/aiexp/key`
(`$XDG_CONFIG_HOME/aiexp/key`), and is written nowhere else. Who can read it is you.
"""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

KEY_BYTES = 32


def sign(text: str) -> str:
    """A signature of a text, hex; "" where no key can be kept, so that nothing is ever taken for yours."""
    key = _read_key() or _make_key()
    return _signature(key, text) if key else ""


def is_signed(text: str, signature: object) -> bool:
    """Whether `signature` is the one that `sign` gave for this text, with this user's key."""
    key = _read_key()
    return key is not None and isinstance(signature, str) and _is_same(_signature(key, text), signature)


def key_path() -> Path:
    """Where the key lies.

    Raises:
        RuntimeError: this user has no home.
    """
    # The XDG rules: a relative path is invalid and ignored.
    xdg = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return (xdg if xdg.is_absolute() else Path.home() / ".config") / "aiexp" / "key"


def _signature(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode("utf-8", errors="surrogatepass"), hashlib.sha256).hexdigest()


def _is_same(signature: str, other: str) -> bool:
    return hmac.compare_digest(signature.encode(), other.encode("utf-8", errors="surrogatepass"))


def _read_key() -> bytes | None:
    """The key; None if there is none that this user alone has made."""
    try:
        with key_path().open("rb") as file:
            key = file.read(2 * KEY_BYTES)
            is_mine = os.fstat(file.fileno()).st_uid == os.getuid()
    except (OSError, RuntimeError):
        return None
    return key if len(key) == KEY_BYTES and is_mine else None


def _make_key() -> bytes | None:
    """A new key; that of another process if it was quicker; None if it cannot be written."""
    with suppress(OSError, RuntimeError):
        path = key_path()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f".key.{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
            with suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return _read_key()
