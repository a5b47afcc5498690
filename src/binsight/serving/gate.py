"""What happens to every request: an id, who may pass, how often, and what is written down of it."""

from __future__ import annotations

import difflib
import re
import time
import uuid
from datetime import UTC, datetime
from typing import TextIO

from flask import Flask, Response, current_app, g, request

from binsight.serving.problems import ProblemError
from binsight.serving.security import RateLimiter, client_network, cors_headers, find_key, is_own_page, presented_key
from binsight.serving.service import Service
from binsight.serving.telemetry import AccessLog
from binsight.serving.uploads import ADMITTED, BEGUN, REFUSED

__all__ = ["install_gate"]

# Blueprints that everyone may read, as often as they like: probes, documentation, the page.
_OPEN = frozenset({"health", "v2_health", "docs", "page", "lines_page", "label_page"})
# Blueprints that change something by POST: no other site's page may use a visitor's browser to call them.
_CHANGING = frozenset({"admin", "feedback", "kept", "labels", "lines", "lessons"})
# Blueprints for the operator. A lesson's photos and small pictures are hundreds of requests, each with the key.
_FOR_ADMINS = frozenset({"admin", "lessons"})
_UNLIMITED = frozenset({"lessons"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MAX_PATH = 200


def install_gate(app: Flask, service: Service, log_stream: TextIO | None) -> None:
    """Put the checks before, and the headers, metrics and log lines after every request of `app`."""
    settings = service.settings
    limiter = RateLimiter(settings.rate_limit, settings.rate_burst) if settings.rate_limit else None
    log = AccessLog(log_stream) if settings.access_log else None

    @app.before_request
    def check() -> Response | None:
        g.start = request.environ.get(BEGUN, time.perf_counter())
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        g.client = client_network(request.remote_addr or "")
        if (refused := request.environ.get(REFUSED)) is not None:
            raise refused
        if request.method == "OPTIONS" and request.url_rule is not None and settings.cors_origins:
            return Response(status=204)
        if request.url_rule is None or request.blueprint in _OPEN:
            return None
        _authenticate(service)
        _check_query()
        if request.blueprint in _CHANGING and request.method in {"POST", "DELETE"}:
            _check_origin(service)
        # A request with a large body comes twice.
        counts = ADMITTED not in request.environ and request.blueprint not in _UNLIMITED
        if limiter is not None and counts and (wait_s := limiter.wait_s(g.client)):
            raise ProblemError("rate_limited", "this client sent too many requests", retry_after_s=wait_s)
        return None

    @app.after_request
    def finish(response: Response) -> Response:
        seconds = time.perf_counter() - g.get("start", time.perf_counter())
        response.headers["X-Request-ID"] = g.get("request_id", "")
        response.headers.update(g.get("headers", {}))
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        cors = cors_headers(request.headers.get("Origin"), settings.cors_origins, preflight=request.method == "OPTIONS")
        response.headers.update(cors)
        rule = "none" if request.url_rule is None else request.url_rule.rule
        service.telemetry.request(rule, request.method, response.status_code, seconds)
        problem = g.get("problem")
        if problem is not None and not problem.counted:
            service.telemetry.reject(problem.kind)
        if log is not None:
            log.write(_entry(response, seconds, problem))
        return response


def _authenticate(service: Service) -> None:
    settings = service.settings
    keys = settings.admin_keys if request.blueprint in _FOR_ADMINS else settings.api_keys
    if request.blueprint == "labels":
        keys = settings.label_keys
    if not keys:
        return
    # An admin may also do what everyone with a key may.
    presented = presented_key(request.headers.get("Authorization", ""), request.headers.get("X-API-Key", ""))
    name = find_key(presented, (*keys, *settings.admin_keys))
    if name is None:
        raise ProblemError("unauthorized", "expected a valid key in Authorization: Bearer or X-API-Key")
    g.client = f"key:{name}"


def _check_query() -> None:
    """A parameter that is misspelled or given twice must not be silently without effect."""
    query = getattr(current_app.view_functions[str(request.endpoint)], "query", None)
    known = () if query is None else tuple(query.model_fields)
    for name, values in request.args.lists():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(known) or 'none here'}"
            raise ProblemError("bad_parameter", f"unknown parameter {name[:64]!r}; {hint}")
        if len(values) > 1:
            raise ProblemError("bad_parameter", f"the parameter {name} was given {len(values)} times")


def _check_origin(service: Service) -> None:
    headers = request.headers
    if not is_own_page(
        headers.get("Sec-Fetch-Site"), headers.get("Origin"), request.host, service.settings.cors_origins
    ):
        raise ProblemError(
            "forbidden",
            "calls that change something are taken from this server's own page and listed origins only; a reverse "
            "proxy must pass Host (docs/deploy.md)",
        )


def _entry(response: Response, seconds: float, problem: ProblemError | None) -> dict[str, str | int | float | None]:
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": g.get("request_id", ""),
        "client": g.get("client", ""),
        "method": request.method[:16],
        "path": request.path[:_MAX_PATH],
        "status": response.status_code,
        "code": None if problem is None else problem.kind,
        "ms": round(1000 * seconds, 2),
        "bytes_in": request.content_length,
        "bytes_out": response.content_length,
    }
