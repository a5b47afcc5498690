"""`/admin/models/{name}/lesson/…`: an operator teaches a model a camera; see docs/adapt.md."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import cast

from flask import Blueprint, Response, current_app, g, request

from binsight.adapt import ENOUGH, MOST, NOT_WASTE
from binsight.adapt.camera import extend_taxonomy
from binsight.bundle import Bundle, load_bundle
from binsight.bundle.container import REPLAY_NAME
from binsight.errors import BinsightError, DiskFullError, ImageError
from binsight.serving import lesson_schemas as schemas
from binsight.serving.admin import put_in_place
from binsight.serving.calls import BODY, PHOTO, WAITING, Calls, json_response, parse_body, parse_query
from binsight.serving.lesson import Lesson, LessonError, Photo, Put, new_class_fault
from binsight.serving.lessons import Lessons
from binsight.serving.models import Change, NoRollbackError
from binsight.serving.problems import ProblemError, answer_error
from binsight.serving.schemas import Answer, ModelChange
from binsight.serving.service import current_service
from binsight.serving.uploads import read_photos
from binsight.taxonomy import Taxonomy, WasteClass

__all__ = ["LESSON", "lessons_blueprint"]

_log = logging.getLogger("binsight.serving")


_LESSONS = "binsight.lessons"
_ONE = "/photos/{photo}"
_ADD = (*BODY, "no_file", "too_many_files", *PHOTO, "queue_full", "lesson_busy", "lesson_full")
_SWAP = ("bundle", "conflict", "reload_busy")
LESSON = Calls(
    "Teaching",
    "/admin/models/{name}/lesson",
    problems=("unauthorized", "unknown_model", "lesson_unavailable", *WAITING),
    changing=("forbidden",),
)


def lessons_blueprint(lessons: Lessons) -> Blueprint:
    """All calls about lessons."""
    blueprint = Blueprint("lessons", __name__)
    blueprint.record(lambda state: state.app.extensions.update({_LESSONS: lessons}))
    blueprint.before_request(lambda: current_service().check_ready(g.start))
    for kind in (BinsightError, OSError):
        blueprint.register_error_handler(kind, lambda error: answer_error(_problem(error)))
    return LESSON.add_to(blueprint)


def _problem(error: Exception) -> Exception:
    if isinstance(error, ProblemError | ImageError):
        return error
    code = "lesson_full" if isinstance(error, DiskFullError) else getattr(error, "code", "")
    if code in {"lesson_full", "lesson_busy", "bad_parameter"}:
        return ProblemError(code, str(error))
    # An operator may know the server's paths, and has to.
    _log.error("a lesson could not be read or written, request %s: %s", g.get("request_id", ""), error)
    return ProblemError("lesson_unavailable", str(error))


def _lessons() -> Lessons:
    return cast("Lessons", current_app.extensions[_LESSONS])


@LESSON.call("get", "", "The lesson of a model: classes, photos, progress, what came of it.", schemas.LessonAnswer)
def _show(name: str) -> Answer:
    """The lesson as it is."""
    return _answer(name)


@LESSON.call(
    "post",
    "/classes",
    "Add a class, or take one away.",
    schemas.LessonAnswer,
    ("lesson_busy", "conflict"),
    body=schemas.NewClass,
)
def _change_classes(name: str) -> Answer:
    """Add a class, or take one away."""
    bundle, body = _bundle(name), parse_body(schemas.NewClass)
    _check_idle(name)
    lesson = _lessons().lesson(name)
    classes = lesson.notes().new_classes
    others = tuple(one for one in classes if one.id != body.id)
    if body.remove:
        if len(others) == len(classes):
            raise ProblemError("bad_parameter", f"{body.id!r} is no class that was added")
        if any(photo.label == body.id for photo in lesson.photos()):
            raise ProblemError("conflict", f"{body.id} has photos; remove or move them first")
        lesson.note(new_classes=others)
    else:
        new = WasteClass(body.id, body.title or body.id, body.biodegradable, body.stream, body.advice)
        if fault := new_class_fault(new, _taxonomy(bundle, others), NOT_WASTE):
            raise ProblemError("bad_parameter", fault)
        lesson.note(new_classes=(*others, new))
    return _answer(name)


@LESSON.call(
    "post",
    "/photos",
    "Add a photo: 201 for a new one, 200 for one that was there.",
    schemas.LessonPhoto,
    _ADD,
    schemas.LessonPhotoQuery,
    creates=True,
)
def _add(name: str) -> Response:
    """Keep a photo."""
    service, bundle = current_service(), _bundle(name)
    label = parse_query(request.args, schemas.LessonPhotoQuery).category
    _check_label(name, bundle, label)
    _check_idle(name)
    upload = read_photos(request, service.settings)
    if upload.many:
        raise ProblemError("too_many_files", "expected one photo in a request")
    room = _lessons().max_bytes - _lessons().size()
    lesson = _lessons().lesson(name)
    photo, put = lesson.add(upload.photos[0].data, label, limits=service.limits, most=MOST, room=room)
    return _photo(photo.id, label, put)


@LESSON.call("get", _ONE, "A small picture of a photo.", "image/jpeg", ("not_found",))
def _thumbnail(name: str, photo: str) -> Response:
    """A small picture."""
    _bundle(name)
    try:
        jpeg = _lessons().lesson(name).thumbnail(photo, current_service().limits)
    except LessonError as error:
        raise ProblemError("not_found", str(error)) from None
    return Response(jpeg, mimetype="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


@LESSON.call(
    "post",
    _ONE,
    "Move a photo to another class, or take it away.",
    schemas.LessonPhoto,
    ("lesson_busy", "not_found", "lesson_full"),
    body=schemas.PhotoChange,
)
def _change(name: str, photo: str) -> Response:
    """Move or remove a photo."""
    bundle, label = _bundle(name), parse_body(schemas.PhotoChange).category
    _check_idle(name)
    if label is not None:
        _check_label(name, bundle, label)
    try:
        was = _lessons().lesson(name).move(photo, label, most=MOST)
    except LessonError as error:
        raise ProblemError("not_found", str(error)) from None
    return _photo(was.id, label or was.label, "moved" if label else "removed")


@LESSON.call("post", "/teach", "Teach the model, in the background.", schemas.LessonAnswer, ("lesson_busy", "conflict"))
def _teach(name: str) -> Answer:
    """Begin."""
    bundle = _bundle(name)
    if refusal := _refusal(bundle):
        raise ProblemError("conflict", refusal)
    _lessons().teach(name, bundle, current_service().limits)
    return _answer(name)


@LESSON.call("post", "/cancel", "Stop teaching.", schemas.LessonAnswer)
def _cancel(name: str) -> Answer:
    """End it."""
    _bundle(name)
    _lessons().teaching.cancel(name)
    return _answer(name)


@LESSON.call("post", "/use", "Serve what was taught, now and after a restart.", ModelChange, _SWAP)
def _use(name: str) -> Answer:
    """Serve what was taught."""
    _bundle(name)
    path = _taught(name)
    if path is None:
        raise ProblemError("conflict", "nothing was taught yet")
    service = current_service()
    return put_in_place(service, name, lambda: service.reload(name, path, force=True))


@LESSON.call("post", "/undo", "Serve what was served before that.", ModelChange, _SWAP)
def _undo(name: str) -> Answer:
    """Serve what was served before."""
    _bundle(name)
    service, placements = current_service(), _lessons().placements

    def change() -> Change:
        if placements.path(name) is None:
            raise NoRollbackError(f"{name} is served as the settings say: there is nothing to undo")
        return service.reload(name, placements.before(name) or service.store.source(name), force=True)

    return put_in_place(service, name, change)


@LESSON.call("get", "/bundle", "The taught bundle.", "application/zip", ("not_found",))
def _download(name: str) -> Response:
    """The bundle as a zip."""
    _bundle(name)
    path = _taught(name)
    if path is None or not path.is_file():
        raise ProblemError("not_found", "nothing was taught yet")
    called = f'attachment; filename="{name}-{path.name}"'
    return Response(path.read_bytes(), mimetype="application/zip", headers={"Content-Disposition": called})


def _bundle(name: str) -> Bundle:
    """What is taught: the bundle in the settings. 404 where there is no such model."""
    service = current_service()
    service.model(name)
    return load_bundle(service.store.source(name))


def _taught(name: str) -> Path | None:
    lesson = _lessons().lesson(name)
    result = lesson.notes().result
    return None if result is None else lesson.bundles_folder / result.file


def _check_idle(name: str) -> None:
    if name in _lessons().teaching.progress:
        raise ProblemError("lesson_busy", f"{name} is being taught from these photos; wait for it, or cancel it")


def _check_label(name: str, bundle: Bundle, label: str) -> None:
    known = [one.id for one in _classes(name, bundle)]
    if label not in known:
        raise ProblemError("bad_parameter", f"category: expected one of {', '.join(known)}, got {label[:64]!r}")


def _classes(name: str, bundle: Bundle) -> Iterable[WasteClass]:
    taxonomy = _taxonomy(bundle, _lessons().lesson(name).notes().new_classes)
    return (*taxonomy.classes, WasteClass(NOT_WASTE, "Empty places", None, ""))


def _answer(name: str) -> Answer:
    service, lessons, bundle = current_service(), _lessons(), _bundle(name)
    lesson, taxonomy = lessons.lesson(name), bundle.manifest.taxonomy
    progress, notes = lessons.teaching.progress.get(name), lesson.notes()
    return schemas.LessonAnswer(
        model=name,
        version=bundle.manifest.version,
        served_version=service.model(name).version,
        refusal=_refusal(bundle),
        classes=_shown(_classes(name, bundle), lesson.photos(), taxonomy),
        has_biodegradability=taxonomy.has_biodegradability,
        enough=ENOUGH,
        most=MOST,
        bytes=lessons.size(),
        max_bytes=lessons.max_bytes,
        folder=str(lesson.folder),
        progress=None if progress is None else schemas.LessonProgress(**asdict(progress)),
        fault=notes.fault if progress is None else None,
        result=_result(lesson, service.model(name).bundle.path),
        can_undo=lessons.placements.path(name) is not None,
    )


def _result(lesson: Lesson, served: Path) -> schemas.LessonResult | None:
    result = lesson.notes().result
    if result is None:
        return None
    path = lesson.bundles_folder / result.file
    return schemas.LessonResult(
        version=result.version,
        file=str(path),
        is_current=result.photos == lesson.digest(),
        is_served=path == served,
        figures=result.figures,
    )


def _taxonomy(bundle: Bundle, new: Iterable[WasteClass]) -> Taxonomy:
    return extend_taxonomy(bundle.manifest.taxonomy, tuple(new))


def _refusal(bundle: Bundle) -> str | None:
    if REPLAY_NAME in bundle.manifest.files:
        return None
    return f"{bundle.label} carries no {REPLAY_NAME}, without which it would forget what it knows"


def _shown(classes: Iterable[WasteClass], photos: list[Photo], known: Taxonomy) -> list[schemas.LessonClass]:
    by_label: dict[str, list[str]] = {one.id: [] for one in classes}
    titles = {one.id: one.title for one in classes}
    for photo in photos:
        by_label.setdefault(photo.label, []).append(photo.id)
    return [
        schemas.LessonClass(
            id=label, title=titles.get(label, label), is_new=label not in known.ids and label != NOT_WASTE, photos=ids
        )
        for label, ids in by_label.items()
    ]


def _photo(photo_id: str, label: str, outcome: Put | str) -> Response:
    answer = schemas.LessonPhoto.model_validate({"id": photo_id, "category": label, "outcome": outcome})
    return json_response(answer, 201 if outcome == "stored" else 200)
