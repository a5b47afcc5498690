"""What a browser needs of a model to run it by itself: `GET /models/{name}/bundle/bundle.json` and `…/model.onnx`."""

from __future__ import annotations

import hashlib

from flask import Blueprint, Response, request

from binsight.bundle.container import MANIFEST_NAME, MODEL_NAME
from binsight.serving.calls import Calls
from binsight.serving.service import current_service

__all__ = ["OFFLINE", "offline_blueprint"]

_MANIFEST = "A model's manifest: classes, preprocessing, temperatures, thresholds (docs/bundle-format.md)."
OFFLINE = Calls("Models", "/models/{name}/bundle/", problems=("rate_limited", "unknown_model"), guarded=True)


def offline_blueprint() -> Blueprint:
    """The two calls; whoever may classify may have the model."""
    return OFFLINE.add_to(Blueprint("offline", __name__))


@OFFLINE.call("get", MANIFEST_NAME, _MANIFEST, "application/json")
def _manifest(name: str) -> Response:
    content = current_service().model(name).bundle.manifest.to_bytes()
    return _cached(content, "application/json", hashlib.sha256(content).hexdigest())


@OFFLINE.call("get", MODEL_NAME, "A model's network, for ONNX Runtime in the browser.", "application/octet-stream")
def _network(name: str) -> Response:
    bundle = current_service().model(name).bundle
    return _cached(bundle.read(MODEL_NAME), "application/octet-stream", bundle.manifest.files[MODEL_NAME].sha256)


def _cached(content: bytes, media_type: str, tag: str) -> Response:
    """For this client to keep, and to ask about; a proxy may not, since a key may be needed."""
    response = Response(content, mimetype=media_type, headers={"Cache-Control": "private, no-cache"})
    response.set_etag(tag)
    response.make_conditional(request)
    return response
