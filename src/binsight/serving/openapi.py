"""The OpenAPI 3.1 document, made of the types that validate and of the calls as their views declare them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from binsight import __version__
from binsight.serving import line_schemas as lines
from binsight.serving import schemas, v2_schemas
from binsight.serving.admin import ADMIN, SHADOW
from binsight.serving.api import MODELS, PREDICT
from binsight.serving.calls import Call
from binsight.serving.health import HEALTH
from binsight.serving.lesson_schemas import LessonPhotoQuery
from binsight.serving.lines import LINE, LIST
from binsight.serving.offline import OFFLINE
from binsight.serving.problems import KINDS, MEDIA_TYPE
from binsight.serving.sessions import CAMERA_HEADER, CAMERA_NAME
from binsight.serving.settings import Settings
from binsight.serving.v2 import V2_MODEL, V2_SERVER

__all__ = ["openapi_document"]

_DESCRIPTION = (
    "Sort waste by camera: a photo goes in; category, biodegradability, calibrated confidence and stream come out. "
    "Errors are RFC 9457 problem details with a stable `code`."
)
_STATE = (
    "`strange;unlike=37;photos=40`: so many of the client's last photos look unlike those that the model knows. "
    "Of a camera that the request names also `new` and `familiar`."
)
_NAME = "What the photo's camera is called; nothing of it is accepted until the model is known to be familiar with it."
_ADMIN_TAGS = frozenset({"Admin", "Teaching"})
_KEY_TAGS = _ADMIN_TAGS | {"Labels"}
_REF = "#/components/schemas/{model}"
_Schema = dict[str, Any]

_FRAME_HEADERS = (
    ("X-Binsight-Device", "Who sends it.", {"type": "string", "maxLength": 64}),
    ("X-Binsight-Sequence", "The device's own number of it: what came before is dropped.", {"type": "integer"}),
    ("X-Binsight-Age-Ms", "Milliseconds since it was exposed.", {"type": "number", "minimum": 0}),
    ("X-Binsight-Encoder", "The belt's counts at exposure.", {"type": "integer", "minimum": 0}),
)


def openapi_document(settings: Settings, *, has_lines: bool = False, has_offline: bool = False) -> dict[str, Any]:
    """The document for a server with these settings: calls that are off are not in it."""
    calls = list(_calls(settings, has_lines=has_lines, has_offline=has_offline))
    schemes: _Schema = {}
    if settings.api_keys or settings.admin_keys or settings.label_keys:
        schemes["bearer"] = {"type": "http", "scheme": "bearer"}
    if settings.api_keys or settings.label_keys:
        schemes["header"] = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    paths: dict[str, _Schema] = {}
    for call in calls:
        paths.setdefault(call.path, {})[call.method] = _operation(call, settings)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "binsight",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": _component_schemas(calls), **({"securitySchemes": schemes} if schemes else {})},
    }


def _calls(settings: Settings, *, has_lines: bool, has_offline: bool) -> Iterator[Call]:
    # What is off is not imported either.
    yield from chain(PREDICT, MODELS, HEALTH, V2_SERVER, V2_MODEL)
    if settings.admin_keys:
        yield from ADMIN
        if settings.registry_dir is not None and settings.loop_dir is not None:
            yield from SHADOW
    if settings.feedback_dir is not None or settings.loop_dir is not None:
        from binsight.serving.feedback import FEEDBACK  # noqa: PLC0415

        yield from FEEDBACK
    if settings.loop_dir is not None:
        from binsight.serving.kept import FORGET  # noqa: PLC0415
        from binsight.serving.labels import LABELS  # noqa: PLC0415

        yield from chain(FORGET, LABELS if settings.label_keys else ())
    if settings.teach_dir is not None:
        from binsight.serving.lesson_api import LESSON  # noqa: PLC0415

        yield from LESSON
    if has_lines:
        yield from chain(LIST, LINE)
    if has_offline:
        yield from OFFLINE


def _operation(operation: Call, settings: Settings) -> _Schema:
    needs_key = (operation.guarded and bool(settings.api_keys)) or operation.tag in _KEY_TAGS
    problems = (*operation.problems, *(("unauthorized",) if needs_key else ()))
    document: _Schema = {
        "operationId": (operation.method + operation.path).translate(str.maketrans("/{}", "___")).strip("_"),
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {"200": _ok(operation), **_problem_responses(problems)},
    }
    parameters = _path_parameters(operation.path) + _query_parameters(operation.query)
    if operation.path.endswith(("/predict", "/infer")):
        name = {"type": "string", "pattern": CAMERA_NAME.pattern}
        parameters.append({"name": CAMERA_HEADER, "in": "header", "description": _NAME, "schema": name})
    if parameters:
        document["parameters"] = parameters
    if operation.creates:
        document["responses"]["201"] = document["responses"]["200"]
    if operation.path == "/predict" or operation.query is LessonPhotoQuery:
        document["requestBody"] = {"required": True, "content": _photo_content()}
    elif operation.path == "/feedback":
        document["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": _feedback_form()}}}
    elif operation.path.endswith("/frames"):
        schema = {"type": "string", "format": "binary"}
        document["requestBody"] = {"required": True, "content": {"image/jpeg": {"schema": schema}}}
        document.setdefault("parameters", []).extend(
            {"name": name, "in": "header", "description": text, "schema": schema}
            for name, text, schema in _FRAME_HEADERS
        )
    elif operation.body is not None:
        content = {"application/json": {"schema": _ref(operation.body.__name__)}}
        document["requestBody"] = {"required": operation.body is not lines.TriggerBody, "content": content}
    elif operation.path.endswith("/infer"):
        document["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref("InferRequest")}}}
    if needs_key:
        document["security"] = [{"bearer": []}, *([{"header": []}] if operation.tag not in _ADMIN_TAGS else [])]
    return document


def _ok(operation: Call) -> _Schema:
    if isinstance(operation.answer, str):
        kind = "object" if operation.answer == "application/json" else "string"
        return {"description": operation.summary, "content": {operation.answer: {"schema": {"type": kind}}}}
    options = [_ref(answer.__name__) for answer in operation.answers]
    schema = options[0] if len(options) == 1 else {"oneOf": options}
    answer: _Schema = {"description": operation.summary, "content": {"application/json": {"schema": schema}}}
    if operation.path.endswith("/infer"):
        answer["content"]["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    if operation.path.endswith(("/predict", "/infer")):
        answer["headers"] = {CAMERA_HEADER: {"description": _STATE, "schema": {"type": "string"}}}
    return answer


def _problem_responses(codes: Iterable[str]) -> _Schema:
    by_status: dict[str, list[str]] = {}
    for code in codes:
        by_status.setdefault(str(KINDS[code].status), []).append(code)
    responses: _Schema = {}
    for status, same in sorted(by_status.items()):
        text = "; ".join(f"`{code}`: {KINDS[code].title}" for code in dict.fromkeys(same))
        response: _Schema = {"description": text, "content": {MEDIA_TYPE: {"schema": _ref("ProblemAnswer")}}}
        if status in {"429", "503"}:
            response["headers"] = {
                "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
            }
        responses[status] = response
    return responses


def _photo_content() -> _Schema:
    file: _Schema = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "array", "items": file, "minItems": 1}},
    }
    return {
        "multipart/form-data": {"schema": form},
        "image/*": {"schema": file},
        "application/octet-stream": {"schema": file},
        "application/json": {"schema": _ref("JsonPhoto")},
    }


def _feedback_form() -> _Schema:
    words: _Schema = {name: {"type": "string"} for name in ("predicted", "corrected", "model_name", "model_version")}
    properties = {"file": {"type": "string", "format": "binary"}, **words}
    return {"type": "object", "required": list(properties), "properties": properties}


def _path_parameters(path: str) -> list[_Schema]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1, "maxLength": 64}}
        for name in ("name", "version", "piece", "view", "photo", "receipt", "item")
        if f"{{{name}}}" in path
    ]


def _query_parameters(query: type[BaseModel] | None) -> list[_Schema]:
    """One parameter for each field; in an address null cannot be said, so it is taken out of the types."""
    if query is None:
        return []
    parameters = []
    for name, field in query.model_json_schema()["properties"].items():
        schema = {key: value for key, value in field.items() if key not in {"title", "description", "default"}}
        if options := schema.pop("anyOf", None):
            schema |= next(option for option in options if option.get("type") != "null")
        if field.get("default") is not None:
            schema["default"] = field["default"]
        parameters.append({"name": name, "in": "query", "description": field.get("description", ""), "schema": schema})
    return parameters


def _component_schemas(operations: Iterable[Call]) -> _Schema:
    models: set[type[BaseModel]] = {schemas.JsonPhoto, v2_schemas.InferRequest, schemas.ProblemAnswer}
    for operation in operations:
        models.update(operation.answers)
        if operation.body is not None:
            models.add(operation.body)
        if operation.tag == "Lines":
            models.add(lines.LineAnew)
    ordered = sorted(models, key=lambda model: model.__name__)
    _, definitions = models_json_schema([(model, "validation") for model in ordered], ref_template=_REF)
    found: _Schema = definitions["$defs"]
    return dict(sorted(found.items()))


def _ref(name: str) -> _Schema:
    return {"$ref": _REF.format(model=name)}
