"""Whether the W&B server can be used now: a key, and an answer within seconds. Never prompts."""

import base64
import json
import ssl
import threading
import urllib.error
import urllib.request
from typing import Any, final
from urllib.parse import urlsplit

from aiexp.errors import reason_of

QUERY = json.dumps({"query": "query Viewer { viewer { id } }"}).encode()
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def connection_problem(settings: Any, probe_seconds: float) -> str | None:
    """Why a run cannot be online, in a few words; None when the server accepts the user's key.

    Args:
        settings: `wandb.setup().settings`: base URL, proxies and the key's sources.
        probe_seconds: How long the server may take to answer.
    """
    try:
        key, has_credentials = find_key(settings)
    except Exception as error:  # wandb: malformed key, two kinds of credentials at once
        return f"the W&B key cannot be used: {reason_of(error)}"
    if not has_credentials:
        return "no W&B key is configured (`wandb login`)"
    probe = Probe(settings, key)
    probe.start()
    probe.join(probe_seconds)
    host = urlsplit(settings.base_url).netloc
    return f"{host} did not answer in {probe_seconds:g} s" if probe.is_alive() else probe.problem


def find_key(settings: Any) -> tuple[str | None, bool]:
    """The API key if there is one, and whether there are credentials of any kind.

    Looks where wandb looks (environment, netrc, settings), without the network and without a prompt.
    """
    from wandb.sdk.lib import wbauth  # not public: pyproject.toml bounds wandb's minor version

    credentials = wbauth.authenticate_session(
        host=settings.base_url, source="aiexp", prompt=False, update_session=False
    )
    return getattr(credentials, "api_key", None), credentials is not None


@final
class Probe(threading.Thread):
    """One small query with the user's key, in a thread because looking up a host name has no time limit.

    Args:
        settings: See `connection_problem`.
        key: The API key, or None with other credentials: then any answer counts.
    """

    def __init__(self, settings: Any, key: str | None) -> None:
        super().__init__(daemon=True, name="aiexp-wandb-probe")
        self.problem: str | None = None
        self.key, self.base_url = key, str(settings.base_url)
        self.headers: dict[str, str] = dict(settings.x_extra_http_headers or {})
        proxies = {"http": settings.http_proxy, "https": settings.https_proxy}
        self.proxies: dict[str, str] = {scheme: url for scheme, url in proxies.items() if url}

    def run(self) -> None:
        """Sets `problem` unless the server accepts the key."""
        host = urlsplit(self.base_url).netloc
        try:
            answer = json.loads(self._ask())
        except urllib.error.HTTPError as error:
            if error.code in (401, 403) and self.key:
                self.problem = f"{host} refused the W&B key (HTTP {error.code})"
            elif error.code >= 500:
                self.problem = f"{host} answered HTTP {error.code}"
        except urllib.error.URLError as error:
            # A certificate that Python does not know may be fine for wandb, which has its own settings.
            if not isinstance(error.reason, ssl.SSLError):
                self.problem = f"{host} is not reachable ({error.reason})"
        except ValueError:
            pass  # not JSON: something answers; wandb itself will tell
        except OSError as error:
            self.problem = f"{host} is not reachable ({error})"
        else:
            if self.key and isinstance(answer, dict) and answer.get("data") == {"viewer": None}:
                self.problem = f"{host} does not know the W&B key"

    def _ask(self) -> bytes:
        headers = {"Content-Type": "application/json", "User-Agent": "aiexp"} | self.headers
        if self.key:
            headers["Authorization"] = "Basic " + base64.b64encode(f"api:{self.key}".encode()).decode()
        request = urllib.request.Request(f"{self.base_url.rstrip('/')}/graphql", data=QUERY, headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler(self._proxies()))
        with opener.open(request, timeout=60) as response:
            return response.read(65536)

    def _proxies(self) -> dict[str, str]:
        is_local = urlsplit(self.base_url).hostname in LOOPBACK  # wandb never asks a proxy for these
        return {} if is_local else urllib.request.getproxies() | self.proxies
