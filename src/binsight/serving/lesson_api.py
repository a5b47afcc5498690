"""`/admin/models/{name}/lesson/…`: an operator teaches a model a camera; see docs/adapt.md."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from flask import Blueprint, Response, g, request

from binsight.adapt import ENOUGH, MOST, NOT_WASTE
from binsight.adapt.camera import extend_taxonomy
from binsight.bundle import Bundle, load_bundle
from binsight.bundle.container import REPLAY_NAME
from binsight.errors import BinsightError, DiskFullError, ImageError
from binsight.serving import lesson_schemas as schemas
from binsight.serving.admin import put_in_place
from binsight.serving.api import add_view, json_response, parse_body, parse_query
from binsight.serving.lesson import Lesson, LessonError, Photo, Put, new_class_fault
from binsight.serving.lessons import Lessons
from binsight.serving.models import Change, NoRollbackError
from binsight.serving.problems import ProblemError, answer_error
from binsight.serving.schemas import Answer
from binsight.serving.service import current_service
from binsight.serving.uploads import read_photos
from binsight.taxonomy import Taxonomy, WasteClass

__all__ = ["lessons_blueprint"]

_log = logging.getLogger("binsight.serving")


def lessons_blueprint(lessons: Lessons) -> Blueprint:
    """All calls about lessons."""
    blueprint = Blueprint("lessons", __name__)
    desk = _Desk(lessons)

    blueprint.before_request(lambda: current_service().check_ready(g.start))
    for kind in (BinsightError, OSError):
        blueprint.register_error_handler(kind, lambda error: answer_error(_problem(error)))

    def route(rule: str, endpoint: str, view: Callable[..., Answer | Response], method: str = "GET") -> None:
        add_view(blueprint, f"/admin/models/<name>/lesson{rule}", endpoint, view, method)

    route("", "lesson", desk.show)
    route("/classes", "classes", desk.change_classes, "POST")
    route("/photos", "add", desk.add, "POST")
    route("/photos/<photo>", "thumbnail", desk.thumbnail)
    route("/photos/<photo>", "change", desk.change, "POST")
    route("/teach", "teach", desk.teach, "POST")
    route("/cancel", "cancel", desk.cancel, "POST")
    route("/use", "use", desk.use, "POST")
    route("/undo", "undo", desk.undo, "POST")
    route("/bundle", "bundle", desk.download)
    return blueprint


def _problem(error: Exception) -> Exception:
    if isinstance(error, ProblemError | ImageError):
        return error
    code = "lesson_full" if isinstance(error, DiskFullError) else getattr(error, "code", "")
    if code in {"lesson_full", "lesson_busy", "bad_parameter"}:
        return ProblemError(code, str(error))
    # An operator may know the server's paths, and has to.
    _log.error("a lesson could not be read or written, request %s: %s", g.get("request_id", ""), error)
    return ProblemError("lesson_unavailable", str(error))


class _Desk:
    """The views."""

    def __init__(self, lessons: Lessons) -> None:
        self._lessons = lessons

    def show(self, name: str) -> Answer:
        """The lesson as it is."""
        return self._answer(name)

    def change_classes(self, name: str) -> Answer:
        """Add a class, or take one away."""
        bundle, body = self._bundle(name), parse_body(schemas.NewClass)
        self._check_idle(name)
        lesson = self._lessons.lesson(name)
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
        return self._answer(name)

    def add(self, name: str) -> Response:
        """Keep a photo."""
        service, bundle = current_service(), self._bundle(name)
        label = parse_query(request.args, schemas.LessonPhotoQuery).category
        self._check_label(name, bundle, label)
        self._check_idle(name)
        upload = read_photos(request, service.settings)
        if upload.many:
            raise ProblemError("too_many_files", "expected one photo in a request")
        room = self._lessons.max_bytes - self._lessons.size()
        lesson = self._lessons.lesson(name)
        photo, put = lesson.add(upload.photos[0].data, label, limits=service.limits, most=MOST, room=room)
        return _photo(photo.id, label, put)

    def thumbnail(self, name: str, photo: str) -> Response:
        """A small picture."""
        self._bundle(name)
        try:
            jpeg = self._lessons.lesson(name).thumbnail(photo, current_service().limits)
        except LessonError as error:
            raise ProblemError("not_found", str(error)) from None
        return Response(jpeg, mimetype="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    def change(self, name: str, photo: str) -> Response:
        """Move or remove a photo."""
        bundle, label = self._bundle(name), parse_body(schemas.PhotoChange).category
        self._check_idle(name)
        if label is not None:
            self._check_label(name, bundle, label)
        try:
            was = self._lessons.lesson(name).move(photo, label, most=MOST)
        except LessonError as error:
            raise ProblemError("not_found", str(error)) from None
        return _photo(was.id, label or was.label, "moved" if label else "removed")

    def teach(self, name: str) -> Answer:
        """Begin."""
        bundle = self._bundle(name)
        if refusal := _refusal(bundle):
            raise ProblemError("conflict", refusal)
        self._lessons.teach(name, bundle, current_service().limits)
        return self._answer(name)

    def cancel(self, name: str) -> Answer:
        """End it."""
        self._bundle(name)
        self._lessons.teaching.cancel(name)
        return self._answer(name)

    def use(self, name: str) -> Answer:
        """Serve what was taught."""
        self._bundle(name)
        path = self._taught(name)
        if path is None:
            raise ProblemError("conflict", "nothing was taught yet")
        service = current_service()
        return put_in_place(service, name, lambda: service.reload(name, path, force=True))

    def undo(self, name: str) -> Answer:
        """Serve what was served before."""
        self._bundle(name)
        service, placements = current_service(), self._lessons.placements

        def change() -> Change:
            if placements.path(name) is None:
                raise NoRollbackError(f"{name} is served as the settings say: there is nothing to undo")
            return service.reload(name, placements.before(name) or service.store.source(name), force=True)

        return put_in_place(service, name, change)

    def download(self, name: str) -> Response:
        """The bundle as a zip."""
        self._bundle(name)
        path = self._taught(name)
        if path is None or not path.is_file():
            raise ProblemError("not_found", "nothing was taught yet")
        called = f'attachment; filename="{name}-{path.name}"'
        return Response(path.read_bytes(), mimetype="application/zip", headers={"Content-Disposition": called})

    def _bundle(self, name: str) -> Bundle:
        """What is taught: the bundle in the settings. 404 where there is no such model."""
        service = current_service()
        service.model(name)
        return load_bundle(service.store.source(name))

    def _taught(self, name: str) -> Path | None:
        lesson = self._lessons.lesson(name)
        result = lesson.notes().result
        return None if result is None else lesson.bundles_folder / result.file

    def _check_idle(self, name: str) -> None:
        if name in self._lessons.teaching.progress:
            raise ProblemError("lesson_busy", f"{name} is being taught from these photos; wait for it, or cancel it")

    def _check_label(self, name: str, bundle: Bundle, label: str) -> None:
        known = [one.id for one in self._classes(name, bundle)]
        if label not in known:
            raise ProblemError("bad_parameter", f"category: expected one of {', '.join(known)}, got {label[:64]!r}")

    def _classes(self, name: str, bundle: Bundle) -> Iterable[WasteClass]:
        taxonomy = _taxonomy(bundle, self._lessons.lesson(name).notes().new_classes)
        return (*taxonomy.classes, WasteClass(NOT_WASTE, "Empty places", None, ""))

    def _answer(self, name: str) -> Answer:
        service, lessons, bundle = current_service(), self._lessons, self._bundle(name)
        lesson, taxonomy = lessons.lesson(name), bundle.manifest.taxonomy
        progress, notes = lessons.teaching.progress.get(name), lesson.notes()
        return schemas.LessonAnswer(
            model=name,
            version=bundle.manifest.version,
            served_version=service.model(name).version,
            refusal=_refusal(bundle),
            classes=_shown(self._classes(name, bundle), lesson.photos(), taxonomy),
            has_biodegradability=taxonomy.has_biodegradability,
            enough=ENOUGH,
            most=MOST,
            bytes=lessons.size(),
            max_bytes=lessons.max_bytes,
            folder=str(lesson.folder),
            progress=None if progress is None else schemas.LessonProgress(**asdict(progress)),
            fault=notes.fault if progress is None else None,
            result=self._result(lesson, service.model(name).bundle.path),
            can_undo=lessons.placements.path(name) is not None,
        )

    def _result(self, lesson: Lesson, served: Path) -> schemas.LessonResult | None:
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
