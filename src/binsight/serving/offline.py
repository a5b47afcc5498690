"""What a browser needs of a model to run it by itself: `GET /models/{name}/bundle/bundle.json` and `…/model.onnx`."""

from __future__ import annotations

import hashlib

from flask import Blueprint, Response, request

from binsight.bundle.container import MANIFEST_NAME, MODEL_NAME
from binsight.serving.operation import Operation, group
from binsight.serving.service import current_service

__all__ = ["OFFLINE_OPERATIONS", "offline_blueprint"]

_MANIFEST = "A model's manifest: classes, preprocessing, temperatures, thresholds (docs/bundle-format.md)."
_NETWORK = "A model's network, for ONNX Runtime in the browser."
OFFLINE_OPERATIONS = group(
    "Models",
    "/models/{name}/bundle/",
    (
        Operation("get", MANIFEST_NAME, _MANIFEST, "application/json"),
        Operation("get", MODEL_NAME, _NETWORK, "application/octet-stream"),
    ),
    problems=("rate_limited", "unknown_model"),
    guarded=True,
)


def offline_blueprint() -> Blueprint:
    """The two calls; whoever may classify may have the model."""
    blueprint = Blueprint("offline", __name__)

    @blueprint.get("/models/<name>/bundle/" + MANIFEST_NAME)
    def manifest(name: str) -> Response:
        bundle = current_service().model(name).bundle
        content = bundle.manifest.to_bytes()
        return _cached(content, "application/json", hashlib.sha256(content).hexdigest())

    @blueprint.get("/models/<name>/bundle/" + MODEL_NAME)
    def network(name: str) -> Response:
        bundle = current_service().model(name).bundle
        return _cached(bundle.read(MODEL_NAME), "application/octet-stream", bundle.manifest.files[MODEL_NAME].sha256)

    return blueprint


def _cached(content: bytes, media_type: str, tag: str) -> Response:
    """For this client to keep, and to ask about; a proxy may not, since a key may be needed."""
    response = Response(content, mimetype=media_type, headers={"Cache-Control": "private, no-cache"})
    response.set_etag(tag)
    response.make_conditional(request)
    return response
