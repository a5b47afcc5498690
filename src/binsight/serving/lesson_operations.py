"""The calls about lessons, for the OpenAPI document."""

from __future__ import annotations

from typing import Final

from binsight.serving import lesson_schemas as schemas
from binsight.serving.operation import BODY, Operation, group
from binsight.serving.schemas import ModelChange

__all__ = ["LESSON_OPERATIONS"]

_PHOTO = ("no_file", "too_many_files", "empty", "not_an_image", "broken", "truncated", "queue_full")
_ADD = (*BODY, *_PHOTO, "lesson_busy", "lesson_full")
_SWAP = ("bundle", "conflict", "reload_busy")
_SHOW = "The lesson of a model: classes, photos, progress, what came of it."
_NEW = "Add a photo: 201 for a new one, 200 for one that was there."
_MOVE = "Move a photo to another class, or take it away."
_ONE = "/photos/{photo}"

LESSON_OPERATIONS: Final = group(
    "Teaching",
    "/admin/models/{name}/lesson",
    (
        Operation("get", "", _SHOW, schemas.LessonAnswer),
        Operation(
            "post",
            "/classes",
            "Add a class, or take one away.",
            schemas.LessonAnswer,
            ("lesson_busy", "conflict"),
            body=schemas.NewClass,
        ),
        Operation("post", "/photos", _NEW, schemas.LessonPhoto, _ADD, schemas.LessonPhotoQuery, creates=True),
        Operation("get", _ONE, "A small picture of a photo.", "image/jpeg", ("not_found",)),
        Operation(
            "post",
            _ONE,
            _MOVE,
            schemas.LessonPhoto,
            ("lesson_busy", "not_found", "lesson_full"),
            body=schemas.PhotoChange,
        ),
        Operation(
            "post", "/teach", "Teach the model, in the background.", schemas.LessonAnswer, ("lesson_busy", "conflict")
        ),
        Operation("post", "/cancel", "Stop teaching.", schemas.LessonAnswer),
        Operation("post", "/use", "Serve what was taught, now and after a restart.", ModelChange, _SWAP),
        Operation("post", "/undo", "Serve what was served before that.", ModelChange, _SWAP),
        Operation("get", "/bundle", "The taught bundle.", "application/zip", ("not_found",)),
    ),
    problems=("unauthorized", "unknown_model", "lesson_unavailable", "loading", "draining"),
    changing=("forbidden",),
)
