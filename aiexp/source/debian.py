"""Downloads a Debian package through apt, as any user: nothing is installed and no root is needed."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from aiexp.source.cache import sha256_of
from aiexp.source.catalog.entry import Archive
from aiexp.source.download import is_offline, progress
from aiexp.source.failure import SourceFailed

_TIMEOUT_SECONDS = 900


def fetch_archive(archive: Archive, target: Path) -> None:
    """Downloads a .deb to `target`, verified.

    Raises:
        SourceFailed: no apt here, or it does not know this version.
    """
    apt = shutil.which("apt-get")
    if apt is None:
        raise SourceFailed("apt-get is not installed")
    if is_offline():
        raise SourceFailed("AIEXP_OFFLINE forbids the network")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".apt-") as folder:
        # As root apt drops to its own user, who could not write into our folder.
        wanted = f"{archive.package}={archive.version}"
        command = [apt, "-qq", "-o", "APT::Sandbox::User=root", "download", wanted]
        with progress(archive.filename, archive.size_bytes):
            try:
                done = subprocess.run(
                    command,
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    timeout=_TIMEOUT_SECONDS,
                    stdin=subprocess.DEVNULL,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise SourceFailed(f"apt-get did not answer: {error}") from None
        found = sorted(Path(folder).glob("*.deb"))
        if done.returncode or not found:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise SourceFailed(f"apt-get: {last} (perhaps `sudo apt-get update` helps)")
        if (sha256 := sha256_of(found[0])) != archive.sha256:
            raise SourceFailed(f"{found[0].name} has the wrong sha256 {sha256[:12]}...")
        os.replace(found[0], target)
