"""The calls about lessons, for the OpenAPI document."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

from binsight.serving import lesson_schemas as schemas
from binsight.serving.operation import Answers, Method, Operation
from binsight.serving.schemas import ModelChange

__all__ = ["LESSON_OPERATIONS"]

_READ = ("unauthorized", "unknown_model", "lesson_unavailable", "loading", "draining")
_CHANGE = (*_READ, "bad_request", "bad_parameter", "forbidden", "slow_upload", "length_required", "too_large")
_JSON = (*_CHANGE, "unsupported_media_type", "lesson_busy")
_PHOTO = ("no_file", "too_many_files", "empty", "not_an_image", "broken", "truncated", "queue_full")
_SWAP = (*_READ, "forbidden", "bundle", "conflict", "reload_busy")
_LESSON: Answers = (schemas.LessonAnswer,)
_CALLS: tuple[tuple[Method, str, str, Answers | str, tuple[str, ...], type[BaseModel] | None], ...] = (
    ("get", "", "The lesson of a model: classes, photos, progress, what came of it.", _LESSON, _READ, None),
    ("post", "/classes", "Add a class, or take one away.", _LESSON, (*_JSON, "conflict"), schemas.NewClass),
    (
        "post",
        "/photos",
        "Add a photo: 201 for a new one, 200 for one that was there.",
        (schemas.LessonPhoto,),
        (*_JSON, *_PHOTO, "lesson_full"),
        None,
    ),
    ("get", "/photos/{photo}", "A small picture of a photo.", "image/jpeg", (*_READ, "not_found"), None),
    (
        "post",
        "/photos/{photo}",
        "Move a photo to another class, or take it away.",
        (schemas.LessonPhoto,),
        (*_JSON, "not_found", "lesson_full"),
        schemas.PhotoChange,
    ),
    (
        "post",
        "/teach",
        "Teach the model, in the background.",
        _LESSON,
        (*_READ, "forbidden", "lesson_busy", "conflict"),
        None,
    ),
    ("post", "/cancel", "Stop teaching.", _LESSON, (*_READ, "forbidden"), None),
    ("post", "/use", "Serve what was taught, now and after a restart.", (ModelChange,), _SWAP, None),
    ("post", "/undo", "Serve what was served before that.", (ModelChange,), _SWAP, None),
    ("get", "/bundle", "The taught bundle.", "application/zip", (*_READ, "not_found"), None),
)

LESSON_OPERATIONS: Final = tuple(
    Operation(
        method,
        "/admin/models/{name}/lesson" + path,
        summary,
        answer,
        problems,
        query=schemas.LessonPhotoQuery if path == "/photos" else None,
        tag="Teaching",
        body=body,
        creates=path == "/photos",
    )
    for method, path, summary, answer, problems, body in _CALLS
)
