"""Whether the server lives, is ready, what it runs and what it counted."""

from __future__ import annotations

import platform
from importlib import metadata

from flask import Blueprint, Response

from binsight import __version__
from binsight.serving.api import add_view
from binsight.serving.schemas import Answer, Health, Ready, Version
from binsight.serving.service import current_service
from binsight.serving.telemetry import CONTENT_TYPE

__all__ = ["health_blueprint"]


def health_blueprint() -> Blueprint:
    """`GET /health`, `/health/live`, `/health/ready`, `/metrics`, `/version`."""
    blueprint = Blueprint("health", __name__)
    for rule, view in (
        ("/health", _health),
        ("/health/live", _health),
        ("/health/ready", _ready),
        ("/metrics", _metrics),
        ("/version", _version),
    ):
        add_view(blueprint, rule, rule.strip("/").replace("/", "_"), view)
    return blueprint


def _health() -> Answer:
    """The original's check: 200 as long as the process answers; the state is in the body."""
    service = current_service()
    status = "ok" if service.state == "ready" else service.state
    return Health(status=status, models=service.store.names)


def _ready() -> Answer:
    current_service().check_ready()
    return Ready(status="ready")


def _metrics() -> Response:
    return Response(current_service().telemetry.render(), content_type=CONTENT_TYPE)


def _version() -> Answer:
    return Version(
        name="binsight",
        version=__version__,
        python=platform.python_version(),
        onnxruntime=metadata.version("onnxruntime"),
    )
