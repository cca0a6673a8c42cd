"""JSON of answers and explanations, and how all that is sent looks, from the schemas of a kind of inputs."""

import base64
import io
import json
from collections.abc import Mapping
from typing import Any, cast

from aiexp.prediction.inputs import Inputs, Json
from aiexp.prediction.prediction import Prediction
from aiexp.use.explaining.explanation import Panel, Part
from aiexp.use.serving.batcher import Answered
from aiexp.use.serving.reasons import Explained

PICTURES = "pictures"


def encoded(answered: Answered) -> bytes:
    """The body of an answer."""
    return in_bytes(
        {
            "run": answered.run.directory.path.name,
            "step": answered.run.step,
            "predictions": [shown(prediction) for prediction in answered.predictions],
        }
    )


def encoded_why(explained: Explained) -> bytes:
    """The body of an explanation."""
    made = explained.explanation
    return in_bytes(
        {
            "run": explained.run.directory.path.name,
            "step": explained.run.step,
            "prediction": made.prediction.values,
            "explained": made.target,
            "notes": made.notes,
            "methods": [of_method(part) for part in made.parts],
        }
    )


def of_method(part: Part) -> Json:
    """What one method says, as JSON values."""
    made: Json = {"method": part.method, "title": part.title, "text": part.text}
    if part.words:
        made["words"] = [
            {"text": word.text, "before": word.before, "value": word.value, "is_special": word.is_special}
            for word in part.words
        ]
    if part.strongest:
        made["strongest"] = [{"name": name, "value": value} for name, value in part.strongest]
    if part.panels:
        made[PICTURES] = {panel.caption: base64.b64encode(png(panel)).decode() for panel in part.panels}
    if part.attribution is not None:
        made["check"] = part.attribution.line()
    return made


def png(panel: Panel) -> bytes:
    """The picture of a panel."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(panel.pixels).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def in_bytes(content: Json) -> bytes:
    """JSON values as a body."""
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


TEXT, NUMBER = {"type": "string"}, {"type": ["number", "null"]}
FILES = object_of({}, additionalProperties={**TEXT, "contentEncoding": "base64"})
ORIGIN: Json = {
    "run": {**TEXT, "description": "the folder of the run that answers"},
    "step": {"type": "integer", "description": "of its checkpoint"},
}
PREDICTION = object_of(
    {PICTURES: FILES}, description="what `aiexp predict --format jsonl` says; pictures in base64 by name"
)
ANSWER = object_of(
    {**ORIGIN, "predictions": {"type": "array", "items": PREDICTION}}, required=["run", "step", "predictions"]
)
WORD = object_of(
    {
        "text": {**TEXT, "description": "as it was written; a special token by its name"},
        "before": {**TEXT, "description": "the space in front of it"},
        "value": {**NUMBER, "description": "what it adds to what is explained, or how much is looked at it"},
        "is_special": {"type": "boolean", "description": "whether nobody has written it"},
    },
    required=["text", "before", "value", "is_special"],
)
METHOD = object_of(
    {
        "method": {**TEXT, "description": "as `aiexp explain --method` calls it"},
        "title": TEXT,
        "text": {**TEXT, "description": "how to read it"},
        "words": {"type": "array", "items": WORD, "description": "all of a text, in order"},
        "strongest": {
            "type": "array",
            "items": object_of({"name": TEXT, "value": NUMBER}, required=["name", "value"]),
            "description": "the largest values, with what they are of",
        },
        PICTURES: {**FILES, "description": "PNG in base64 by caption; orange speaks for it, blue against it"},
        "check": {**TEXT, "description": "by how much integrated gradients miss what they should add up to"},
    },
    required=["method", "title", "text"],
)
EXPLANATION = object_of(
    {
        **ORIGIN,
        "prediction": object_of({}, description="the answer, without pictures"),
        "explained": {**TEXT, "description": "the output that is explained: a class, an action"},
        "notes": {"type": "array", "items": TEXT},
        "methods": {"type": "array", "items": METHOD},
    },
    required=["run", "step", "prediction", "explained", "notes", "methods"],
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
    501: "this run explains nothing",
    503: "too many requests wait",
    504: "the answer took too long",
}


def described(inputs: Inputs, most: int) -> Json:
    """How a request for predictions and its answers look, for OpenAPI."""
    problems = {status: text for status, text in PROBLEMS.items() if status != 501}
    return operation(request_schema(inputs, most), "an answer for each input, in order", ANSWER, problems)


def described_why(inputs: Inputs) -> Json:
    """The same of a request for an explanation."""
    return operation(request_schema(inputs, 1), "why it is answered so", EXPLANATION, PROBLEMS)


def operation(request: Json, text: str, answer: Json, problems: Mapping[int, str]) -> Json:
    """What goes to an address and comes from it."""

    def of(text: str, schema: Json) -> Json:
        return {"description": text, "content": {"application/json": {"schema": schema}}}

    return {
        "requestBody": {"required": True, **of("inputs", request)},
        "responses": {
            "200": of(text, answer),
            **{str(status): of(text, PROBLEM) for status, text in problems.items()},
        },
    }
