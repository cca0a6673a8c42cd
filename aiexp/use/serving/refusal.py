"""Why a request is not answered, as a status and JSON."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import Response

from aiexp.errors import AiexpError


class Refusal(Exception):
    """Ends the handling of a request.

    Args:
        status: Of HTTP.
        detail: What is wrong, in a sentence.
        problems: What is wrong with single inputs, by their position.
    """

    def __init__(self, status: int, detail: str, problems: Mapping[int, AiexpError] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.problems = status, detail, problems or {}

    def response(self) -> Response:
        """What the client gets."""
        content: dict[str, Any] = {"detail": self.detail}
        if self.problems:
            content["inputs"] = [{"index": i, "reason": said(error)} for i, error in self.problems.items()]
        headers = {"retry-after": "1"} if self.status == 503 else None
        return json_response(content, self.status, headers)


def bad_inputs(problems: Mapping[int, AiexpError]) -> Refusal:
    """The refusal of a request of which some inputs cannot be used; it names the first."""
    index, error = next(iter(problems.items()))
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return Refusal(422, f"inputs[{index}]: {said(error)}{more}", problems)


def said(error: AiexpError) -> str:
    """What an error says, without where on the server."""
    return error.what + (f" ({error.fix})" if error.fix else "")


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON values as a response."""
    return Response(json.dumps(content).encode(), status, headers, media_type="application/json")
