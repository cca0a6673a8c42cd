"""JSON of requests and answers: how both look, from the schema that a kind of inputs has."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, cast

from aiexp.errors import DataError
from aiexp.prediction.inputs import Inputs, Json
from aiexp.prediction.prediction import Prediction
from aiexp.use.serving.batcher import Answered
from aiexp.use.serving.refusal import Refusal, bad_inputs

PICTURES = "pictures"
SHAPE = 'send {"inputs": [...]}'


def values_of(body: bytes, schema: Json, most: int) -> list[Any]:
    """The values in the body of a request, as `Inputs.prepare` takes them.

    Args:
        body: JSON, `{"inputs": [...]}`.
        schema: Of one input.
        most: Inputs that there may be.

    Raises:
        Refusal: 422.
    """
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(422, f"the body is no JSON: {SHAPE}") from error
    values: Any = cast(Any, content).get("inputs") if isinstance(content, dict) else None
    if not isinstance(values, list) or len(cast(Json, content)) > 1:
        raise Refusal(422, f"the body is no object with one list: {SHAPE}")
    given = cast(list[Any], values)
    if not 1 <= len(given) <= most:
        raise Refusal(422, f"there are {len(given)} inputs in the request: send 1 to {most}")
    made, problems = list[Any](), dict[int, DataError]()
    for index, value in enumerate(given):
        try:
            made.append(decoded(value, schema))
        except DataError as error:
            problems[index] = error
    if problems:
        raise bad_inputs(problems)
    return made


def decoded(value: Any, schema: Mapping[str, Any]) -> Any:
    """A JSON value with bytes in place of base64; a text must never reach a task that takes it for a path.

    Raises:
        DataError: it is no base64.
    """
    if schema.get("contentEncoding") == "base64":
        if not isinstance(value, str):
            raise DataError(f"this is a {type(value).__name__}, and a file in base64 is wanted")
        try:
            return base64.b64decode(value, validate=True)
        except (ValueError, binascii.Error) as error:
            raise DataError("this is no base64") from error
    if isinstance(value, dict):
        known: Mapping[str, Any] = schema.get("properties") or {}
        others: Any = schema.get("additionalProperties")
        rest: Mapping[str, Any] = cast(Json, others) if isinstance(others, dict) else {}
        return {name: decoded(v, known.get(name, rest)) for name, v in cast(Json, value).items()}
    if isinstance(value, list):
        return [decoded(v, schema.get("items") or {}) for v in cast(list[Any], value)]
    return value


def encoded(answered: Answered) -> bytes:
    """The body of an answer."""
    content = {
        "run": answered.run.directory.path.name,
        "step": answered.run.step,
        "predictions": [shown(prediction) for prediction in answered.predictions],
    }
    try:
        return json.dumps(content, allow_nan=False).encode()
    except ValueError:
        return json.dumps(finite(content)).encode()


def shown(prediction: Prediction) -> Json:
    """A prediction as JSON values."""
    if not prediction.pictures:
        return prediction.values
    pictures = {name: base64.b64encode(data).decode() for name, data in prediction.pictures.items()}
    return {**prediction.values, PICTURES: pictures}


def finite(value: Any) -> Any:
    """JSON values with null for numbers that JSON has not: nan and infinity."""
    if isinstance(value, dict):
        return {name: finite(v) for name, v in cast(Json, value).items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in cast(list[Any], value)]
    return None if isinstance(value, float) and value - value != 0 else value


def request_schema(inputs: Inputs, most: int) -> Json:
    """JSON schema of a request."""
    values: Json = {"type": "array", "items": inputs.schema, "minItems": 1, "maxItems": most}
    return object_of({"inputs": values}, required=["inputs"], additionalProperties=False)


def object_of(properties: Json, **more: Any) -> Json:
    """JSON schema of an object."""
    return {"type": "object", "properties": properties, **more}


PREDICTION = object_of(
    {PICTURES: object_of({}, additionalProperties={"type": "string", "contentEncoding": "base64"})},
    description="what `aiexp predict --format jsonl` says; pictures in base64 by name",
)
ANSWER = object_of(
    {
        "run": {"type": "string", "description": "the folder of the run that answers"},
        "step": {"type": "integer", "description": "of its checkpoint"},
        "predictions": {"type": "array", "items": PREDICTION},
    },
    required=["run", "step", "predictions"],
)
INPUT_PROBLEM = object_of(
    {"index": {"type": "integer"}, "reason": {"type": "string"}}, required=["index", "reason"]
)
PROBLEM = object_of(
    {"detail": {"type": "string"}, "inputs": {"type": "array", "items": INPUT_PROBLEM}}, required=["detail"]
)
PROBLEMS = {
    400: "the client left, or a page of somebody else's asks",
    408: "the request took too long to arrive",
    413: "the request is too large",
    415: "the request does not say that it is application/json",
    422: "the request, or an input in it, cannot be used",
    500: "the task failed on these inputs",
    503: "too many requests wait",
    504: "the answer took too long",
}


def described(inputs: Inputs, most: int) -> Json:
    """How a request and its answers look, for OpenAPI."""

    def of(text: str, schema: Json) -> Json:
        return {"description": text, "content": {"application/json": {"schema": schema}}}

    return {
        "requestBody": {"required": True, **of("inputs", request_schema(inputs, most))},
        "responses": {
            "200": of("an answer for each input, in order", ANSWER),
            **{str(status): of(text, PROBLEM) for status, text in PROBLEMS.items()},
        },
    }
