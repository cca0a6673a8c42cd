"""What a request asks: values for `Inputs.prepare` and settings, out of its JSON."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from aiexp.errors import DataError
from aiexp.prediction.inputs import Inputs, Json
from aiexp.use.serving.refusal import Refusal, bad_inputs

SHAPE = 'send {"inputs": [...]}'
CONTAINERS: Mapping[str, type] = {"object": dict, "array": list}


@dataclass(frozen=True, slots=True)
class Question:
    """What one request asks.

    Args:
        values: As `Inputs.prepare` takes them.
        settings: As `Inputs.configure` takes them.
        key: Equal for equal settings; "" for none.
    """

    values: list[Any]
    settings: Json = field(default_factory=lambda: {})
    key: str = ""


def question_of(body: bytes, inputs: Inputs, most: int) -> Question:
    """The question in the body of a request.

    Args:
        body: JSON, `{"inputs": [...]}`, beside it perhaps `"settings": {...}`.
        inputs: Their kind.
        most: Inputs that there may be.

    Raises:
        Refusal: 422.
    """
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(422, f"the body is no JSON: {SHAPE}") from error
    if not isinstance(content, dict) or not isinstance(cast(Json, content).get("inputs"), list):
        raise Refusal(422, f"the body is no object with one list: {SHAPE}")
    given = cast(Json, content)
    values, settings = cast(list[Any], given.pop("inputs")), given.pop("settings", {})
    if given:
        raise Refusal(422, f"the body has more than inputs and settings: {SHAPE}")
    if not 1 <= len(values) <= most:
        raise Refusal(422, f"there are {len(values)} inputs in the request: send 1 to {most}")
    try:
        made = values_of(values, inputs)
        if not settings:
            return Question(made)
        return Question(made, settings_of(settings, inputs), json.dumps(settings, sort_keys=True))
    except RecursionError as error:
        raise Refusal(422, "the body is nested too deep") from error


def values_of(values: list[Any], inputs: Inputs) -> list[Any]:
    """The inputs.

    Raises:
        Refusal: some cannot be used.
    """
    made, problems = list[Any](), dict[int, DataError]()
    for index, value in enumerate(values):
        try:
            made.append(decoded(value, inputs.schema))
        except DataError as error:
            problems[index] = error
    if problems:
        raise bad_inputs(problems)
    return made


def settings_of(settings: Any, inputs: Inputs) -> Json:
    """The settings of a request: only such as may come with one.

    Raises:
        Refusal: some cannot be used.
    """
    known = inputs.remote_options
    if not isinstance(settings, dict):
        raise Refusal(422, 'the settings are no object: send {"inputs": [...], "settings": {...}}')
    made: Json = {}
    for name, value in cast(Json, settings).items():
        if name not in known:
            raise Refusal(422, f"there is no setting '{name}' here: {', '.join(known) or 'there are none'}")
        try:
            made[name] = decoded(value, known[name])
        except DataError as error:
            raise Refusal(422, f"settings.{name}: {error.what}") from error
    return made


def decoded(value: Any, schema: Mapping[str, Any]) -> Any:
    """A JSON value with bytes in place of base64; a text must never reach a task that takes it for a path.

    Raises:
        DataError: it is no base64, none of the values there are, or no list or object where one is wanted.
    """
    if schema.get("contentEncoding") == "base64":
        if not isinstance(value, str):
            raise DataError(f"this is a {type(value).__name__}, and a file in base64 is wanted")
        try:
            return base64.b64decode(value, validate=True)
        except (ValueError, binascii.Error) as error:
            raise DataError("this is no base64") from error
    if value not in schema.get("enum", [value]):
        raise DataError(f"this is none of {', '.join(map(str, schema['enum']))}")
    kind = schema.get("type", "")
    if not isinstance(value, CONTAINERS.get(kind, object)):
        raise DataError(f"this is a {type(value).__name__}, and an {kind} is wanted")
    if isinstance(value, dict):
        known: Mapping[str, Any] = schema.get("properties") or {}
        others: Any = schema.get("additionalProperties")
        rest: Mapping[str, Any] = cast(Json, others) if isinstance(others, dict) else {}
        return {name: decoded(v, known.get(name, rest)) for name, v in cast(Json, value).items()}
    if isinstance(value, list):
        values = cast(list[Any], value)
        if len(values) < schema.get("minItems", 0):
            raise DataError(f"this has {len(values)} items, and {schema['minItems']} are wanted")
        return [decoded(v, schema.get("items") or {}) for v in values]
    return value
