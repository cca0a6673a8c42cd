"""Where a server of ours listens: on this machine alone, unless it is told to let others in."""

import ipaddress
import socket

from aiexp.errors import ConfigError, SecurityError, reason_of

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def checked_host(host: str, *, allow_remote: bool) -> None:
    """Refuses to be reached from other machines unless that is allowed.

    Raises:
        SecurityError: it would be.
        ConfigError: nobody has this name.
    """
    if not allow_remote and not all(map(is_loopback, addresses_of(host))):
        raise SecurityError(
            f"{host or 'an empty host'} can be reached from other machines, and there is no authentication",
            where="--host", fix="--host 127.0.0.1, or --allow-remote if all who can reach it may use it",
        )  # fmt: skip


def addresses_of(host: str) -> list[str]:
    """The addresses that a host's name stands for; an empty one for all of this machine.

    Raises:
        ConfigError: nobody has this name.
    """
    if not host:
        return ["0.0.0.0"]
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"there is no host '{host}': {reason_of(error)}", where="--host", fix="--host 127.0.0.1"
        ) from error


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def own_hosts(host: str) -> frozenset[str]:
    """The names under which a server for this machine alone is addressed."""
    return LOOPBACK | {host.lower()}


def bound(host: str, port: int) -> socket.socket:
    """A socket that holds a port but does not listen yet.

    Raises:
        ConfigError: the port is in use or not allowed, or the address is not this machine's.
    """
    address = addresses_of(host)[0]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # Said to be TCP, or asyncio would not turn Nagle's delay off: 40 ms an answer.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
    except OSError as error:
        made.close()
        raise ConfigError(
            f"{host}:{port} cannot be had: {error.strerror or reason_of(error)}",
            where="--port", fix="another one, or --port 0 for any that is free",
        ) from error  # fmt: skip
    return made


def address_of(made: socket.socket) -> str:
    """Where a server at a socket is found."""
    found: tuple[str, int] = made.getsockname()[:2]
    host = socket.gethostname() if found[0] in ("0.0.0.0", "::") else found[0]
    return f"http://{f'[{host}]' if ':' in host else host}:{found[1]}"


def port_of(text: str) -> int:
    """A port, as typed.

    Raises:
        ConfigError: it is none.
    """
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise ConfigError(f"--port is '{text}'", fix="a number from 0 to 65535")
    return int(text)
