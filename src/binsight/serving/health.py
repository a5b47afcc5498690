"""Whether the server lives, is ready, what it runs and what it counted."""

from __future__ import annotations

import platform
from importlib import metadata

from flask import Blueprint, Response

from binsight import __version__
from binsight.serving.api import json_response
from binsight.serving.schemas import Health, Ready, Version
from binsight.serving.service import current_service
from binsight.serving.telemetry import CONTENT_TYPE

__all__ = ["health_blueprint"]


def health_blueprint() -> Blueprint:
    """`GET /health`, `/health/live`, `/health/ready`, `/metrics`, `/version`."""
    blueprint = Blueprint("health", __name__)
    for rule, view in (
        ("/health", _health),
        ("/health/live", _live),
        ("/health/ready", _ready),
        ("/metrics", _metrics),
        ("/version", _version),
    ):
        blueprint.add_url_rule(rule, view_func=view, endpoint=rule.strip("/").replace("/", "_"), methods=["GET"])
    return blueprint


def _health() -> Response:
    """The original's check: 200 as long as the process answers; the state is in the body."""
    service = current_service()
    status = "ok" if service.state == "ready" else service.state
    return json_response(Health(status=status, models=service.store.names).to_json())


def _live() -> Response:
    return _health()


def _ready() -> Response:
    current_service().check_ready()
    return json_response(Ready(status="ready").to_json())


def _metrics() -> Response:
    return Response(current_service().telemetry.render(), content_type=CONTENT_TYPE)


def _version() -> Response:
    return json_response(
        Version(
            name="binsight",
            version=__version__,
            python=platform.python_version(),
            onnxruntime=metadata.version("onnxruntime"),
        ).to_json()
    )
