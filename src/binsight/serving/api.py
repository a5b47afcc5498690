"""`/predict`, and what can be known of the models behind it."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import cast

from flask import Blueprint, Response, g, request

from binsight.errors import BinsightError, ImageError
from binsight.serving.calls import BUSY, PHOTO, Calls, json_response, parse_query
from binsight.serving.jobs import Classified, answer, photo_job
from binsight.serving.models import LoadedModel
from binsight.serving.problems import ProblemError, image_problem
from binsight.serving.schemas import (
    Answer,
    ClassInfo,
    FileError,
    FileFault,
    ModelDetail,
    ModelList,
    ModelRef,
    ModelSummary,
    PredictionAnswer,
    PredictionList,
    PredictQuery,
)
from binsight.serving.service import Service, current_service
from binsight.serving.sessions import CAMERA_HEADER, CAMERA_NAME
from binsight.serving.uploads import Photo, read_photos

__all__ = ["MODELS", "PREDICT", "REFUSALS", "api_blueprint", "may_be_kept", "named_camera"]

_UPLOAD = ("bad_request", "no_file", "slow_upload", "too_large", "too_many_files", "unsupported_media_type")
REFUSALS = ("bad_parameter", *_UPLOAD, *PHOTO, "unknown_model", *BUSY)
"""What a call that classifies may answer with."""


PREDICT = Calls("Photos", "", guarded=True)
MODELS = Calls("Models", "/models", problems=("rate_limited",), guarded=True)


def api_blueprint() -> Blueprint:
    """`POST /predict`, `GET /models`, `GET /models/{name}`."""
    return MODELS.add_to(PREDICT.add_to(Blueprint("api", __name__)))


@PREDICT.call(
    "post", "/predict", "Classify one photo or several.", (PredictionAnswer, PredictionList), REFUSALS, PredictQuery
)
def _predict() -> Response:
    service = current_service()
    service.check_ready(g.start)
    query = parse_query(request.args, PredictQuery)
    model = service.model(query.model)
    g.camera = named_camera()
    service.check_room()
    upload = read_photos(request, service.settings)
    service.telemetry.stage("read", time.perf_counter() - g.start)
    results = _classify(service, model, upload.photos, query)
    if not upload.many:
        if isinstance(results[0], ProblemError):
            raise cast("ProblemError", results.pop())  # in no variable: it would keep this frame, and so the photo
        return json_response(answer(results[0], query))
    pairs = zip(upload.photos, results, strict=True)
    return json_response(b"[" + b",".join(_entry(photo.source, r, query).to_json() for photo, r in pairs) + b"]")


def _classify(
    service: Service, model: LoadedModel, photos: list[Photo], query: PredictQuery
) -> list[Classified | ProblemError]:
    deadline = service.deadline()
    jobs = [
        photo_job(model, photo.data, limits=service.limits, deadline=deadline, heatmap=query.heatmap)
        for photo in photos
    ]
    may_keep, hashed = may_be_kept(service), service.hash_inputs(jobs)
    found = service.run(jobs)
    results = [_counted(service, model, result) for result in found]
    for i, (photo, pixels) in enumerate(zip(photos, hashed, strict=False)):
        if isinstance(result := results[i], Classified):  # the loop counts what the model itself says
            receipt = service.keep(model, photo.data, pixels, found[i].prediction, may_keep=may_keep)
            results[i] = result._replace(receipt=receipt)
    return results


def may_be_kept(service: Service) -> bool:
    """Whether the sender allows that photos are kept, where they are; 400 where that cannot be understood."""
    if service.keeper is None:
        return False
    word = request.headers.get("X-Binsight-Keep", "yes").strip().lower()
    if word not in {"yes", "no"}:
        raise ProblemError("bad_parameter", f"X-Binsight-Keep: expected yes or no, got {word[:20]!r}")
    return word == "yes"


def named_camera() -> str | None:
    """What the sender calls the photos' camera; 400 where that is no name."""
    name = request.headers.get(CAMERA_HEADER)
    if name is not None and not CAMERA_NAME.fullmatch(name):
        expected = "a name of letters, digits, dots, _ and -, at most 64, the first a letter or digit"
        raise ProblemError("bad_parameter", f"{CAMERA_HEADER}: expected {expected}; got {name[:80]!r}")
    return name


def _counted(service: Service, model: LoadedModel, result: Classified | BinsightError) -> Classified | ProblemError:
    if isinstance(result, ImageError):
        result = image_problem(result)
    if isinstance(result, ProblemError):
        service.telemetry.reject(result.kind)
        result.counted = True
        return result
    if isinstance(result, BinsightError):
        raise result
    return result._replace(prediction=service.note(model, result.prediction))


def _entry(source: str, result: Classified | ProblemError, query: PredictQuery) -> Answer:
    if isinstance(result, ProblemError):
        fault = FileFault(code=result.kind, message=result.detail, status=result.status)
        return FileError(source=source, error=fault)
    return answer(result, query, source)


@MODELS.call("get", "", "The models.", ModelList)
def _models() -> Answer:
    service = current_service()
    return ModelList(models=[_summary(service, name) for name in service.store.names])


@MODELS.call("get", "/{name}", "All about a model.", ModelDetail, ("rate_limited", "unknown_model"))
def _model(name: str) -> Answer:
    service = current_service()
    model = service.model(name)
    manifest = model.bundle.manifest
    whole = manifest.to_dict()
    return ModelDetail(
        **_summary(service, name).model_dump(),
        created=manifest.created,
        input_size=list(manifest.preprocess.size),
        classes=[ClassInfo(**asdict(c)) for c in manifest.taxonomy.classes],
        metrics=whole["metrics"],
        training=whole["training"],
    )


def _summary(service: Service, name: str) -> ModelSummary:
    model = service.model(name)
    manifest = model.bundle.manifest
    return ModelSummary(
        name=name,
        bundle=ModelRef(name=manifest.name, version=manifest.version, precision=model.narrow.precision),
        default=service.store.names[0] == name,
        loaded_at=model.loaded_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        previous_version=service.store.previous_version(name),
    )
