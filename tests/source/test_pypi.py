import subprocess
import sys
import types
from pathlib import Path

import pytest

from aiexp.source import pypi
from aiexp.source.failure import SourceFailed
from tests.source.toy import archive, index_page, serving, wheel

SOURCE = archive(wheel())


def test_settings_come_from_the_real_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = file:///one\nextra-index-url =\n  file:///two\n  file:///three\n"
        "[download]\nindex-url = file:///for-download\n"
    )
    monkeypatch.undo()
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_CERT", "/no/such.pem")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    settings = pypi.pip_settings()
    assert settings["index-url"] == "file:///for-download"
    assert settings["cert"] == "/no/such.pem"
    indexes, pages = pypi.index_urls(settings)
    assert indexes[:1] == ["file:///for-download"]
    assert {"file:///two", "file:///three"} <= set(indexes)
    assert pages == []


def test_default_index_is_asked_of_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    (url,) = pypi._default_index()
    assert url.startswith("https://")
    code = f"from pip._internal.models.index import PyPI; assert PyPI.simple_url == {url!r}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pip_inside_python_is_used_where_none_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(pypi, "PathFinder", types.SimpleNamespace(find_spec=lambda name: None))
    assert pypi._default_index()[0].startswith("https://")


def test_looking_for_pip_leaves_distutils_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for pip, setuptools' import hook warns of a loaded distutils, and unloads it."""
    loaded = types.ModuleType("distutils")
    monkeypatch.setitem(sys.modules, "distutils", loaded)
    pypi._pip_path()
    assert sys.modules["distutils"] is loaded


def test_no_index_leaves_only_links(tmp_path: Path) -> None:
    settings = {"no-index": "true", "index-url": "file:///x", "find-links": str(tmp_path)}
    assert pypi.index_urls(settings) == ([], [tmp_path.as_uri()])


def test_second_index_is_asked_when_the_first_has_nothing(tmp_path: Path, monkeypatch) -> None:
    name = SOURCE.filename
    pages = {"/b/toy-package/": index_page(name, f"/f/{name}", SOURCE.sha256), f"/f/{name}": ("b", wheel())}
    with serving(pages) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/a")
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{server.url}/b/")
        pypi.fetch_archive(SOURCE, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == wheel()
    assert server.asked == ["/a/toy-package/", "/b/toy-package/", f"/f/{name}"]


@pytest.mark.parametrize(
    "html",
    [
        '<a href="/f/{name}#sha256={sha}">{name}</a>',
        '<base href="/f/"><a href="{name}">x</a>',
        '<a data-x="1" href="../../f/{name}#md5=0">{name}</a>',
        '<a href="/f/Toy.Package-1.0-py3-none-any.whl">other spelling</a>',
    ],
)
def test_reads_html_pages(html: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = html.format(name=SOURCE.filename, sha=SOURCE.sha256).encode()
    pages = {"/s/toy-package/": ("text/html", body)}
    pages |= {f"/f/{n}": ("b", wheel()) for n in (SOURCE.filename, "Toy.Package-1.0-py3-none-any.whl")}
    with serving(pages) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/s")
        pypi.fetch_archive(SOURCE, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == wheel()


def test_folder_of_wheels_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheels with space").mkdir()
    (tmp_path / "wheels with space" / SOURCE.filename).write_bytes(wheel())
    monkeypatch.setattr(pypi, "pip_settings", lambda: {})
    monkeypatch.setattr(
        pypi, "index_urls", lambda settings: ([], [(tmp_path / "wheels with space").as_uri()])
    )
    pypi.fetch_archive(SOURCE, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == wheel()


def test_credentials_go_to_the_index_only_and_never_into_messages(tmp_path: Path, monkeypatch) -> None:
    name = SOURCE.filename
    with serving({f"/{name}": ("b", wheel())}) as elsewhere, serving({}) as server:
        host = elsewhere.url.replace("127.0.0.1", "localhost")
        server.pages["/s/toy-package/"] = index_page(name, f"{host}/{name}", None)
        server.redirects["/moved/toy-package/"] = f"{host}/nothing"
        secret = server.url.replace("//", "//user:CANARY%40@")
        monkeypatch.setenv("PIP_INDEX_URL", f"{secret}/s")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        pypi.fetch_archive(SOURCE, tmp_path / "got")
        assert server.authorizations == ["Basic dXNlcjpDQU5BUllA"]
        assert elsewhere.authorizations == [None]
        for path in ("missing", "moved"):
            monkeypatch.setenv("PIP_INDEX_URL", f"{secret}/{path}")
            with pytest.raises(SourceFailed) as caught:
                pypi.fetch_archive(SOURCE, tmp_path / "again")
            assert "CANARY" not in str(caught.value)
        assert elsewhere.authorizations == [None, None]


@pytest.mark.parametrize("body", [b"{}", b"[]", b"nonsense", b'{"files": 3}', b"\xff"])
def test_page_that_is_no_index(body: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({"/toy-package/": ("application/json", body)}) as server:
        monkeypatch.setenv("PIP_INDEX_URL", server.url)
        with pytest.raises(SourceFailed, match="is not a package index"):
            pypi.fetch_archive(SOURCE, tmp_path / "got")


def test_other_schemes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "ftp://127.0.0.1/simple")
    with pytest.raises(SourceFailed, match="cannot read ftp"):
        pypi.fetch_archive(SOURCE, tmp_path / "got")
