"""Whether a server answers at all, found out in a few seconds where a client would wait for minutes."""

import threading
import urllib.error
import urllib.request
from http.client import HTTPException

PROBE_SECONDS = 3.0


def why_silent(url: str, seconds: float = PROBE_SECONDS) -> str:
    """Why the server at `url` cannot be used, "" when it answers; takes about so many seconds at most."""
    outcome: list[str] = []

    def probe() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "aiexp"})
            urllib.request.urlopen(request, timeout=seconds).close()
            outcome.append("")
        except urllib.error.HTTPError as error:
            error.close()
            outcome.append("" if error.code < 500 else f"answered {error.code}")
        except (OSError, ValueError, HTTPException) as error:
            outcome.append(f"is unreachable: {getattr(error, 'reason', None) or error}")

    # A thread, because looking up a name has no timeout of its own.
    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(seconds + 0.5)
    return outcome[0] if outcome else f"did not answer within {seconds:g} s"
