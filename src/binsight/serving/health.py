"""Whether the server lives, is ready, what it runs and what it counted."""

from __future__ import annotations

import platform
from importlib import metadata

from flask import Blueprint, Response

from binsight import __version__
from binsight.serving.calls import WAITING, Calls
from binsight.serving.schemas import Answer, Health, Ready, Version
from binsight.serving.service import current_service
from binsight.serving.telemetry import CONTENT_TYPE

__all__ = ["HEALTH", "health_blueprint"]


HEALTH = Calls("Server", "")


def health_blueprint() -> Blueprint:
    """`GET /health`, `/health/live`, `/health/ready`, `/metrics`, `/version`."""
    return HEALTH.add_to(Blueprint("health", __name__))


@HEALTH.call("get", "/health/live", "Whether the process answers.", Health)
@HEALTH.call("get", "/health", "The original health check: 200 while the process answers.", Health)
def _health() -> Answer:
    """The original's check: 200 as long as the process answers; the state is in the body."""
    service = current_service()
    status = "ok" if service.state == "ready" else service.state
    return Health(status=status, models=service.store.names)


@HEALTH.call("get", "/health/ready", "Whether photos are taken.", Ready, WAITING)
def _ready() -> Answer:
    current_service().check_ready()
    return Ready(status="ready")


@HEALTH.call("get", "/metrics", "Counters and timings for Prometheus.", "text/plain")
def _metrics() -> Response:
    return Response(current_service().telemetry.render(), content_type=CONTENT_TYPE)


@HEALTH.call("get", "/version", "What runs here.", Version)
def _version() -> Answer:
    return Version(
        name="binsight",
        version=__version__,
        python=platform.python_version(),
        onnxruntime=metadata.version("onnxruntime"),
    )
