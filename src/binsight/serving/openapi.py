"""The OpenAPI 3.1 document, made of the types that validate and of one table of operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from binsight import __version__
from binsight.serving import line_schemas as lines
from binsight.serving import schemas, v2_schemas
from binsight.serving.admin_operations import ADMIN_OPERATIONS, SHADOW_OPERATIONS
from binsight.serving.label_operations import FORGET, LABEL_OPERATIONS
from binsight.serving.lesson_operations import LESSON_OPERATIONS
from binsight.serving.lesson_schemas import LessonPhotoQuery
from binsight.serving.offline import OFFLINE_OPERATIONS
from binsight.serving.operation import BODY, Operation, group
from binsight.serving.problems import KINDS, MEDIA_TYPE
from binsight.serving.sessions import CAMERA_HEADER, CAMERA_NAME
from binsight.serving.settings import Settings

__all__ = ["QUERIES", "openapi_document"]

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

_BUSY = ("queue_full", "rate_limited", "loading", "draining", "deadline")
_UPLOAD = ("bad_request", "no_file", "slow_upload", "too_large", "too_many_files", "unsupported_media_type")
_PHOTO = ("empty", "not_an_image", "broken", "truncated")
_PREDICT = ("bad_parameter", *_UPLOAD, *_PHOTO, "unknown_model", *_BUSY)
_FOUND = ("rate_limited", "unknown_model")
_WAITING = ("loading", "draining")
_PREDICTIONS = (schemas.PredictionAnswer, schemas.PredictionList)
_PROTOCOL = "Open Inference Protocol"

_OPERATIONS = (
    *group(
        "Photos",
        "",
        [Operation("post", "/predict", "Classify one photo or several.", _PREDICTIONS, _PREDICT, schemas.PredictQuery)],
        guarded=True,
    ),
    *group(
        "Models",
        "/models",
        (
            Operation("get", "", "The models.", schemas.ModelList, ("rate_limited",)),
            Operation("get", "/{name}", "All about a model.", schemas.ModelDetail, _FOUND),
        ),
        guarded=True,
    ),
    Operation("get", "/health", "The original health check: 200 while the process answers.", schemas.Health),
    Operation("get", "/health/live", "Whether the process answers.", schemas.Health),
    Operation("get", "/health/ready", "Whether photos are taken.", schemas.Ready, _WAITING),
    Operation("get", "/metrics", "Counters and timings for Prometheus.", "text/plain"),
    Operation("get", "/version", "What runs here.", schemas.Version),
    Operation("get", "/v2", "The server.", v2_schemas.ServerMetadata, tag=_PROTOCOL),
    Operation("get", "/v2/health/live", "Live.", v2_schemas.ServerLive, tag=_PROTOCOL),
    Operation("get", "/v2/health/ready", "Ready.", v2_schemas.ServerReady, _WAITING, tag=_PROTOCOL),
)
_V2_CALLS = (
    Operation("get", "", "The model's tensors.", v2_schemas.V2ModelMetadata, _FOUND),
    Operation("get", "/ready", "Whether the model is ready.", v2_schemas.V2ModelReady, (*_FOUND, *_WAITING)),
    Operation("post", "/infer", "Run the model.", v2_schemas.InferAnswer, _PREDICT),
)
_V2_OPERATIONS = tuple(
    operation
    for prefix in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    for operation in group(_PROTOCOL, prefix, _V2_CALLS, guarded=True)
)
_FEEDBACK = group(
    "Photos",
    "/feedback",
    [
        Operation(
            "post",
            "",
            "Keep a correction: 201 for a new photo, 200 for one that was there.",
            schemas.FeedbackAnswer,
            ("bad_request", "bad_parameter", "forbidden", "slow_upload", "too_large", "feedback_full"),
            creates=True,
        )
    ],
    problems=("feedback_unavailable", *_PHOTO, "unknown_model", *_BUSY),
    guarded=True,
)
_EVENTS = (
    "Events `anew` (LineAnew), `overview` (LineOverview), `pieces` (of PieceEntry), `alarm` (AlarmEntry), `frame`."
)
_TRIGGER = "Say that a piece is at the trigger line now."
_LINE_LIST = Operation("get", "/lines.json", "The lines.", lines.LineList, ("rate_limited",), tag="Lines", guarded=True)
_LINE_OPERATIONS = (
    _LINE_LIST,
    *group(
        "Lines",
        "/lines/{name}",
        (
            Operation("get", "/overview", "How a line is.", lines.LineOverview),
            Operation("get", "/events", _EVENTS, "text/event-stream", ("bad_parameter",), lines.EventsQuery),
            Operation("get", "/frame", "The newest picture of the belt.", "image/jpeg", ("no_frame",)),
            Operation(
                "post",
                "/frames",
                "Push a picture of the belt.",
                lines.FrameAnswer,
                (*BODY, *_PHOTO, "not_here", "queue_full"),
            ),
            Operation("post", "/trigger", _TRIGGER, lines.TriggerAnswer, ("not_here",), body=lines.TriggerBody),
            Operation("get", "/pieces", "The newest pieces.", lines.PieceList, ("bad_parameter",), lines.PiecesQuery),
            Operation("get", "/pieces/{piece}", "A piece.", lines.PieceDetail, ("unknown_piece",)),
            Operation("get", "/pieces/{piece}/picture", "Its picture.", "image/jpeg", ("unknown_piece",)),
            Operation("get", "/pieces/{piece}/views/{view}", "One of its views.", "image/jpeg", ("unknown_piece",)),
            Operation("get", "/shifts", "Sums of shifts.", lines.ShiftList, ("bad_parameter",), lines.CountQuery),
            Operation("get", "/alarms", "Alarms.", lines.AlarmList, ("bad_parameter",), lines.LimitQuery),
            Operation("post", "/audit/next", "A piece to label, blind.", lines.AuditItem, body=lines.AuditQuestion),
            Operation(
                "post",
                "/audit/{piece}",
                "Say what a piece is.",
                lines.LabelAnswer,
                ("already_labelled",),
                body=lines.AuditLabel,
            ),
        ),
        problems=("unknown_line", "rate_limited", "ledger_away"),
        changing=("forbidden", "draining"),
        guarded=True,
    ),
)
QUERIES: Mapping[tuple[str, str], type[BaseModel]] = {
    (each.method, each.path): each.query
    for each in (*_OPERATIONS, *ADMIN_OPERATIONS, *SHADOW_OPERATIONS, *LESSON_OPERATIONS, *_LINE_OPERATIONS)
    if each.query is not None
}
"""The type of the query parameters of a call, by its method and address; no other call has any."""

_FRAME_HEADERS = (
    ("X-Binsight-Device", "Who sends it.", {"type": "string", "maxLength": 64}),
    ("X-Binsight-Sequence", "The device's own number of it: what came before is dropped.", {"type": "integer"}),
    ("X-Binsight-Age-Ms", "Milliseconds since it was exposed.", {"type": "number", "minimum": 0}),
    ("X-Binsight-Encoder", "The belt's counts at exposure.", {"type": "integer", "minimum": 0}),
)


def openapi_document(settings: Settings, *, has_lines: bool = False, has_offline: bool = False) -> dict[str, Any]:
    """The document for a server with these settings: calls that are off are not in it."""
    operations = _OPERATIONS + _V2_OPERATIONS + (ADMIN_OPERATIONS if settings.admin_keys else ())
    if settings.admin_keys and settings.registry_dir is not None and settings.loop_dir is not None:
        operations += SHADOW_OPERATIONS
    if settings.feedback_dir is not None or settings.loop_dir is not None:
        operations += _FEEDBACK
    if settings.loop_dir is not None:
        operations += FORGET + (LABEL_OPERATIONS if settings.label_keys else ())
    if settings.teach_dir is not None:
        operations += LESSON_OPERATIONS
    if has_lines:
        operations += _LINE_OPERATIONS
    if has_offline:
        operations += OFFLINE_OPERATIONS
    schemes: _Schema = {}
    if settings.api_keys or settings.admin_keys or settings.label_keys:
        schemes["bearer"] = {"type": "http", "scheme": "bearer"}
    if settings.api_keys or settings.label_keys:
        schemes["header"] = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    paths: dict[str, _Schema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, settings)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "binsight",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": _component_schemas(operations), **({"securitySchemes": schemes} if schemes else {})},
    }


def _operation(operation: Operation, settings: Settings) -> _Schema:
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


def _ok(operation: Operation) -> _Schema:
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


def _component_schemas(operations: Iterable[Operation]) -> _Schema:
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
