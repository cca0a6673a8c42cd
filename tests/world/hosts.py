"""Two "hosts" on one machine: each has a network and a name of its own; files they share, as in a cluster."""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

ADDRESSES = {"hostA": "10.77.0.1", "hostB": "10.77.0.2"}
# A host is a process that sleeps in namespaces of its own; what runs "on" it enters them.
_HOST = "hostname {name}; mount --bind {hosts} /etc/hosts; ip link set lo up; echo up; exec sleep 600"
# The network of hosts is one more: its processes are root there whoever runs the tests.
_UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--uts"]


class Hosts:
    """Where commands run.

    Args:
        pids: Of the processes that hold the namespaces.
        folder: In which.
    """

    def __init__(self, pids: dict[str, int], folder: Path) -> None:
        self.pids, self.folder = pids, folder

    def on(self, host: str, *words: str) -> list[str]:
        """The command that runs another one on a host."""
        return ["nsenter", "-t", str(self.pids[host]), "--user", "--preserve-credentials", "--net", "--mount",
                "--uts", "sh", "-c", 'cd "$0" && exec "$@"', str(self.folder), *words]  # fmt: skip

    def cut(self) -> None:
        """Cuts the cable: from now on nothing arrives, and nobody is told."""
        subprocess.run(self.on("hostB", "ip", "link", "set", "cable", "down"), check=True)


def why_not() -> str:
    """Why there can be no such hosts here; empty if there can."""
    if sys.platform != "linux" or not all(map(shutil.which, ("ip", "unshare", "nsenter", "mount"))):
        return "needs Linux with iproute2 and util-linux"
    tried = subprocess.run(
        [*_UNSHARE, "ip", "link", "add", "one", "type", "veth", "peer", "name", "two"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return f"no namespaces here: {tried.stderr.strip()[:100]}" if tried.returncode else ""


@contextmanager
def two_hosts(folder: Path) -> Generator[Hosts]:
    """A body during which they are there."""
    names = folder / "hosts"
    names.write_text("127.0.0.1 localhost\n" + "".join(f"{ip} {name}\n" for name, ip in ADDRESSES.items()))
    started: list[subprocess.Popen[str]] = []
    try:
        first = _start(_UNSHARE, "hostA", names)
        started.append(first)
        inside = ["nsenter", "-t", str(first.pid), "--user", "--preserve-credentials"]
        second = _start([*inside, "unshare", "--net", "--mount", "--uts"], "hostB", names)
        started.append(second)
        hosts = Hosts({"hostA": first.pid, "hostB": second.pid}, folder)
        link = [
            "ip",
            "link",
            "add",
            "cable",
            "type",
            "veth",
            "peer",
            "name",
            "cable",
            "netns",
            str(second.pid),
        ]
        subprocess.run(hosts.on("hostA", *link), check=True)
        for name, address in ADDRESSES.items():
            for words in (
                ["address", "add", f"{address}/24", "dev", "cable"],
                ["link", "set", "cable", "up"],
            ):
                subprocess.run(hosts.on(name, "ip", *words), check=True)
        yield hosts
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _start(unshare: list[str], name: str, hosts: Path) -> "subprocess.Popen[str]":
    script = _HOST.format(name=name, hosts=hosts)
    process = subprocess.Popen(
        [*unshare, "sh", "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ | {"LC_ALL": "C"}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process
