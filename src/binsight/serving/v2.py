"""The Open Inference Protocol, version 2, so that clients of Triton, KServe and others work unchanged.

A model takes either `images` (pixels of the network's own input size) or `photos` (encoded files of any size), and
gives `probabilities`, `category` and `decision` beside the network's own outputs.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from flask import Blueprint, Response, g, request
from msgspec import Raw
from numpy.typing import NDArray

from binsight import __version__
from binsight.errors import BinsightError, ImageError
from binsight.imaging import prepare_photo
from binsight.predictor import Outputs, Prediction
from binsight.serving.api import REFUSALS, may_be_kept, named_camera
from binsight.serving.calls import WAITING, Calls, json_response
from binsight.serving.keeping import Receipt, Upload
from binsight.serving.models import LoadedModel
from binsight.serving.photo_queue import Job
from binsight.serving.problems import ProblemError, image_problem
from binsight.serving.schemas import Answer
from binsight.serving.service import Service, current_service
from binsight.serving.uploads import read_body
from binsight.serving.v2_schemas import (
    InferAnswer,
    InferRequest,
    ServerLive,
    ServerMetadata,
    ServerReady,
    TensorMetadata,
    V2ModelMetadata,
    V2ModelReady,
)
from binsight.serving.v2_tensors import BINARY_HEADER, pack_answer, read_photos, read_pixels, read_request, split_body

__all__ = ["V2_MODEL", "V2_SERVER", "v2_blueprint", "v2_health_blueprint"]

_DECISIVE = ("logits", "biodegradable_logit", "unfamiliarity")
_DERIVED = ("probabilities", "category", "decision")
_DEFAULT = (*_DERIVED, "logits", "biodegradable_logit")

Tensors = dict[str, NDArray[Any]]


_PROTOCOL = "Open Inference Protocol"
_FOUND = ("rate_limited", "unknown_model")
V2_SERVER = Calls(_PROTOCOL, "/v2")
V2_MODEL = Calls(_PROTOCOL, "/v2/models/{name}", "/v2/models/{name}/versions/{version}", guarded=True)


def v2_health_blueprint() -> Blueprint:
    """`GET /v2`, `/v2/health/live`, `/v2/health/ready`: open to everyone."""
    return V2_SERVER.add_to(Blueprint("v2_health", __name__))


def v2_blueprint() -> Blueprint:
    """`GET /v2/models/{m}`, `/v2/models/{m}/ready`, `POST /v2/models/{m}/infer`; each also with `/versions/{v}`."""
    return V2_MODEL.add_to(Blueprint("v2", __name__))


@V2_SERVER.call("get", "", "The server.", ServerMetadata)
def _server() -> Answer:
    return ServerMetadata(name="binsight", version=__version__, extensions=["binary_tensor_data"])


@V2_SERVER.call("get", "/health/live", "Live.", ServerLive)
def _live() -> Answer:
    return ServerLive(live=True)


@V2_SERVER.call("get", "/health/ready", "Ready.", ServerReady, WAITING)
def _ready() -> Answer:
    current_service().check_ready()
    return ServerReady(ready=True)


@V2_MODEL.call("get", "", "The model's tensors.", V2ModelMetadata, _FOUND)
def _model(name: str, version: str | None = None) -> Answer:
    model = _find(current_service(), name, version)
    height, width = model.narrow.spec.size
    classes = len(model.narrow.taxonomy)
    shapes = {
        "logits": [-1, classes],
        "biodegradable_logit": [-1, 1],
        "attention": [-1, -1, -1, classes],
        "features": [-1, -1],
        "unfamiliarity": [-1, 1],
    }
    outputs = [
        TensorMetadata(name="probabilities", datatype="FP32", shape=[-1, classes]),
        TensorMetadata(name="category", datatype="BYTES", shape=[-1]),
        TensorMetadata(name="decision", datatype="BYTES", shape=[-1]),
    ]
    outputs += [TensorMetadata(name=n, datatype="FP32", shape=shapes[n]) for n in model.outputs]
    return V2ModelMetadata(
        name=name,
        versions=[model.version],
        platform="onnx_onnxruntime",
        inputs=[
            TensorMetadata(name="images", datatype="UINT8", shape=[-1, height, width, 3]),
            TensorMetadata(name="photos", datatype="BYTES", shape=[-1]),
        ],
        outputs=outputs,
    )


@V2_MODEL.call("get", "/ready", "Whether the model is ready.", V2ModelReady, (*_FOUND, *WAITING))
def _model_ready(name: str, version: str | None = None) -> Answer:
    service = current_service()
    service.check_ready()
    _find(service, name, version)
    return V2ModelReady(name=name, ready=True)


@V2_MODEL.call("post", "/infer", "Run the model.", InferAnswer, REFUSALS)
def _infer(name: str, version: str | None = None) -> Response:
    service = current_service()
    service.check_ready(g.start)
    model = _find(service, name, version)
    service.check_room()
    body = read_body(request, service.settings.max_body_bytes)
    text, binary = split_body(body, request.headers.get(BINARY_HEADER))
    message, data = read_request(text)
    wanted = _wanted(message, model)
    tensors, kept = _run(service, model, _read(service, model, message, data, binary), wanted)
    found = {n: tensors[n] for n in wanted}
    answer, tail = pack_answer(message, found, model_name=name, model_version=model.version)
    if any(kept):
        answer.parameters = {"kept": ",".join("" if receipt is None else receipt.receipt for receipt in kept)}
    if not tail:
        return json_response(answer)
    head = answer.to_json()
    response = Response(head + tail, mimetype="application/octet-stream")
    response.headers[BINARY_HEADER] = str(len(head))
    return response


def _find(service: Service, name: str, version: str | None) -> LoadedModel:
    model = service.model(name)
    if version is not None and version != model.version:
        raise ProblemError("unknown_model", f"model {name[:64]!r} is served in version {model.version} only")
    return model


def _wanted(message: InferRequest, model: LoadedModel) -> list[str]:
    known = (*_DERIVED, *model.outputs)
    asked = [wish.name for wish in message.outputs]
    if unknown := [name for name in asked if name not in known]:
        raise ProblemError("bad_request", f"no output {unknown[0]!r}; there is {', '.join(known)}")
    return list(dict.fromkeys(asked)) or [name for name in _DEFAULT if name in known]


def _read(service: Service, model: LoadedModel, message: InferRequest, data: Raw, binary: memoryview) -> list[Upload]:
    """The photos as they were sent."""
    tensor, shape, settings = message.inputs[0], (*model.narrow.spec.size, 3), service.settings
    kind = tensor.name, tensor.datatype, tuple(tensor.shape[1:])
    if kind not in {("photos", "BYTES", ()), ("images", "UINT8", shape)}:
        expected = f"'images', UINT8 [n, {shape[0]}, {shape[1]}, 3], or 'photos', BYTES [n]"
        raise ProblemError("bad_request", f"expected the input {expected}")
    if tensor.shape[0] == 0:
        raise ProblemError("no_file", "the input tensor is empty")
    if tensor.shape[0] > settings.max_files:
        raise ProblemError("too_many_files", f"expected at most {settings.max_files} photos in one request")
    if tensor.name == "photos":
        return list(read_photos(tensor, data, binary, limit=settings.max_photo_bytes))
    return list(read_pixels(tensor, data, binary))


def _prepare(photo: Upload, model: LoadedModel, service: Service) -> NDArray[np.uint8]:
    if isinstance(photo, bytes):
        return prepare_photo(photo, model.narrow.spec, limits=service.limits)[None]
    return np.ascontiguousarray(photo)[None]


def _run(
    service: Service, model: LoadedModel, photos: list[Upload], wanted: list[str]
) -> tuple[Tensors, list[Receipt | None]]:
    """The output tensors, and the receipts of photos that are kept."""
    may_keep, deadline = may_be_kept(service), service.deadline()
    g.camera = named_camera()
    outputs = tuple(dict.fromkeys((*_DECISIVE, *(name for name in wanted if name in model.outputs))))
    finish = partial(_finish, model)
    jobs = [Job(model, outputs, partial(_prepare, photo, model, service), finish, deadline) for photo in photos]
    hashed = service.hash_inputs(jobs)
    results = service.run(jobs)
    for result in results:
        if isinstance(result, ImageError):
            raise image_problem(result)
        if isinstance(result, BinsightError):
            raise result
    predictions = [service.note(model, prediction) for _, prediction in results]
    kept = [
        service.keep(model, photo, pixels, prediction, may_keep=may_keep)
        for photo, pixels, (_, prediction) in zip(photos, hashed, results, strict=False)
    ]
    tensors: Tensors = {
        "probabilities": np.asarray([list(p.scores.values()) for p in predictions], np.float32),
        "category": np.asarray([p.category for p in predictions], object),
        "decision": np.asarray([p.decision for p in predictions], object),
    }
    for name in wanted:
        if name not in tensors:
            tensors[name] = np.concatenate([getattr(o, name) for o, _ in results])
    return tensors, kept


def _finish(model: LoadedModel, outputs: Outputs, timing_ms: dict[str, float]) -> tuple[Outputs, Prediction]:
    return outputs, model.narrow.interpret(outputs, timing_ms)[0]
