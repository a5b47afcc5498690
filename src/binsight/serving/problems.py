"""Errors as RFC 9457 problem details, each with a stable code."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from flask import Response, g, json, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from binsight.errors import BinsightError, ImageError

__all__ = ["KINDS", "Kind", "ProblemError", "answer_error", "image_problem", "validation_problem"]

MEDIA_TYPE = "application/problem+json"
_MAX_DETAIL = 500
_log = logging.getLogger("binsight.serving")
_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    408: "slow_upload",
    413: "too_large",
    415: "unsupported_media_type",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of problem: its status and title never change for a code."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "no_file": Kind(400, "There is no photo in the request"),
    "empty": Kind(400, "The photo has no bytes"),
    "bad_parameter": Kind(400, "A parameter is not valid"),
    "bad_request": Kind(400, "The request is not well-formed"),
    "unauthorized": Kind(401, "An API key is needed"),
    "forbidden": Kind(403, "This page may not do that"),
    "not_found": Kind(404, "There is nothing at this address"),
    "unknown_line": Kind(404, "There is no such line"),
    "unknown_piece": Kind(404, "The line's ledger has no such piece, or no picture of it"),
    "unknown_model": Kind(404, "There is no such model"),
    "method_not_allowed": Kind(405, "This address does not know the method"),
    "slow_upload": Kind(408, "The request took too long to arrive"),
    "length_required": Kind(411, "The request does not say how long it is"),
    "not_here": Kind(409, "The line does not take that here"),
    "already_labelled": Kind(409, "Somebody else has labelled this piece"),
    "conflict": Kind(409, "The model is not in a state for that"),
    "lesson_busy": Kind(409, "A model is being taught"),
    "reload_busy": Kind(409, "Another model is being loaded"),
    "unknown_photo": Kind(404, "No photo is kept under this name"),
    "not_proven": Kind(409, "No gate has let the model take the champion's place"),
    "rolled_back": Kind(409, "The bundle was rolled back; the present model stays"),
    "too_large": Kind(413, "The photo or request is too large"),
    "too_many_files": Kind(413, "There are too many photos in one request"),
    "not_an_image": Kind(415, "The bytes are not a photo in a supported format"),
    "unsupported_media_type": Kind(415, "The request has an unsupported content type"),
    "broken": Kind(422, "The photo is damaged"),
    "truncated": Kind(422, "The photo ends too early"),
    "bundle": Kind(422, "The model bundle is not sound; the old model stays"),
    "queue_full": Kind(429, "The server has as much work as it can do in time"),
    "rate_limited": Kind(429, "This client sends too many requests"),
    "headers_too_large": Kind(431, "The request's headers are too large"),
    "internal": Kind(500, "The server made a mistake"),
    "loading": Kind(503, "The model is not loaded yet"),
    "draining": Kind(503, "The server is shutting down"),
    "deadline": Kind(503, "The photo waited too long"),
    "feedback_unavailable": Kind(503, "The store for corrections cannot be written now"),
    "lesson_unavailable": Kind(503, "The lesson cannot be read or written now"),
    "ledger_away": Kind(503, "The line's ledger cannot be read now"),
    "no_frame": Kind(503, "There is no picture of the belt now"),
    "http_version": Kind(505, "This version of HTTP is not spoken"),
    "feedback_full": Kind(507, "The store for corrections is full"),
    "lesson_full": Kind(507, "There is no room for more photos in the lesson"),
}


class ProblemError(BinsightError):
    """Ends a request with a problem.

    Args:
        kind: a code, a key of `KINDS`.
        detail: what was expected and what came, for this request.
        retry_after_s: when the same request may succeed.
        extra: further members of the answer.
        headers: further headers of the answer.
    """

    code: ClassVar[str] = "problem"

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        retry_after_s: float | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind, self.retry_after_s = kind, retry_after_s
        self.detail = detail[:_MAX_DETAIL]
        self.extra, self.headers = dict(extra or {}), dict(headers or {})
        self.counted = False  # whether the metrics know of it already

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.kind].status


def image_problem(error: ImageError) -> ProblemError:
    """The problem that a refused photo is."""
    return ProblemError(error.code if error.code in KINDS else "broken", str(error))


def validation_problem(error: ValidationError, kind: str = "bad_parameter") -> ProblemError:
    """All faults of one validation; the values that came are not repeated."""
    faults = [
        {"field": ".".join(str(part) for part in fault["loc"])[:100], "message": fault["msg"][:200]}
        for fault in error.errors(include_url=False, include_input=False, include_context=False)[:20]
    ]
    detail = "; ".join(f"{f['field']}: {f['message']}" if f["field"] else f["message"] for f in faults)
    return ProblemError(kind, detail, extra={"errors": faults})


def problem_response(problem: ProblemError, request_id: str) -> Response:
    """The answer that carries a problem; its members are those of RFC 9457, section 3."""
    kind = KINDS[problem.kind]
    document = {
        "type": f"/docs#problem-{problem.kind}",
        "title": kind.title,
        "status": kind.status,
        "code": problem.kind,
        "detail": problem.detail,
        "request_id": request_id,
        **problem.extra,
    }
    response = Response(json.dumps(document), kind.status, mimetype=MEDIA_TYPE, headers=problem.headers)
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_s)))
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def answer_error(error: Exception) -> Response:
    """The answer to a request that failed; the log and the metrics hear of it."""
    problem = _problem(error)
    g.problem = problem
    if f"{request.path}/".startswith("/v2/"):
        problem.extra["error"] = problem.detail  # where clients of the Open Inference Protocol look
    return problem_response(problem, g.get("request_id", ""))


def _problem(error: Exception) -> ProblemError:
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, ImageError):
        return image_problem(error)
    if isinstance(error, HTTPException):
        return _from_werkzeug(error)
    # Whatever it is, it is the server's fault: the log gets all of it, the client nothing.
    message = "a request failed" if isinstance(error, BinsightError) else "a request failed unexpectedly"
    _log.error("%s, request %s", message, g.get("request_id", ""), exc_info=error)
    return ProblemError("internal", "the server's log says more under this request's id")


def _from_werkzeug(error: HTTPException) -> ProblemError:
    headers: dict[str, Any] = {}
    if error.code == 405:
        headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    kind = _CODES.get(error.code or 500, "internal" if (error.code or 500) >= 500 else "bad_request")
    return ProblemError(kind, str(error.description or error.name), headers=headers)
