"""JSON of answers, and how requests and answers look, from the schemas that a kind of inputs has."""

import base64
import json
from typing import Any, cast

from aiexp.prediction.inputs import Inputs, Json
from aiexp.prediction.prediction import Prediction
from aiexp.use.serving.batcher import Answered

PICTURES = "pictures"


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
    properties: Json = {"inputs": values}
    if inputs.remote_options:
        properties["settings"] = object_of(dict(inputs.remote_options), additionalProperties=False)
    return object_of(properties, required=["inputs"], additionalProperties=False)


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
