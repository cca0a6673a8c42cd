import json
from pathlib import Path

import pytest

from aiexp.source import debian, npm
from aiexp.source.failure import SourceFailed
from tests.source.toy import archive, serving, tarred

DATA = tarred({"package/x": b"x"})
NPM = archive(DATA, index="npm", package="@lab/toy", version="1.2.0", filename="toy-1.2.0.tgz")
DEBIAN = archive(DATA, index="debian", package="toy", version="1.0-1", filename="toy_1.0-1_all.deb")


def test_npm_registry_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({"/toy.tgz": ("b", DATA)}) as server:
        versions = {"1.2.0": {"dist": {"tarball": f"{server.url}/toy.tgz"}}}
        page = json.dumps({"versions": versions}).encode()
        server.pages["/@lab%2Ftoy"] = ("application/json", page)
        monkeypatch.setenv("npm_config_registry", f"{server.url}/")
        monkeypatch.setenv("npm_config_cafile", "null")
        npm.fetch_archive(NPM, tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == DATA
        server.pages["/@lab%2Ftoy"] = ("application/json", b'{"versions": {}}')
        with pytest.raises(SourceFailed, match=r"does not list version 1\.2\.0"):
            npm.fetch_archive(NPM, tmp_path / "again")
        server.pages["/@lab%2Ftoy"] = ("text/html", b"<html>")
        with pytest.raises(SourceFailed, match="not a package of an npm registry"):
            npm.fetch_archive(NPM, tmp_path / "again")


def apt(folder: Path, script: str) -> str:
    path = folder / "apt-get"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_debian_package_through_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store").write_bytes(DATA)
    program = apt(
        tmp_path, f'for last; do :; done; [ "$last" = toy=1.0-1 ] && cp {tmp_path}/store ./toy_1.deb'
    )
    monkeypatch.setattr("shutil.which", lambda name: program)
    debian.fetch_archive(DEBIAN, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == DATA
    (tmp_path / "store").write_bytes(b"other")
    with pytest.raises(SourceFailed, match=r"toy_1\.deb has the wrong sha256"):
        debian.fetch_archive(DEBIAN, tmp_path / "again")
    apt(tmp_path, "echo 'E: Unable to locate package toy' >&2; exit 100")
    with pytest.raises(SourceFailed, match=r"Unable to locate package toy .*apt-get update"):
        debian.fetch_archive(DEBIAN, tmp_path / "again")
    assert not (tmp_path / "again").exists()
