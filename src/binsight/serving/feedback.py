"""`POST /feedback`: a person says what a photo really shows."""

from __future__ import annotations

import logging
from dataclasses import asdict

from flask import Blueprint, Response, current_app, g, request

from binsight.errors import DiskFullError, OutputError
from binsight.serving.calls import BUSY, PHOTO, Calls, json_response
from binsight.serving.claims import ClaimStore
from binsight.serving.corrections import FeedbackError, FeedbackStore
from binsight.serving.forms import read_form
from binsight.serving.problems import ProblemError
from binsight.serving.schemas import FeedbackAnswer
from binsight.serving.service import current_service
from binsight.serving.uploads import read_body
from binsight.sqlite import FileBusyError

__all__ = ["FEEDBACK", "feedback_blueprint"]

_log = logging.getLogger("binsight.serving")
_BUSY_RETRY_S = 5.0
_FULL = (
    "there is no room for more corrections, and nothing of this one was kept; whoever runs the server can export what "
    "there is with `binsight feedback export` and empty it, or allow more"
)
_UNAVAILABLE = "the store cannot be written, and nothing of this correction was kept; the server's log says why"
_FORM_ROOM = 20_000  # bytes for everything in the form but the photo
_MAX_PARTS = 16
_FIELDS = ("predicted", "corrected", "model_name", "model_version")
_STORE = "binsight.feedback"
_KEEP = "Keep a correction: 201 for a new photo, 200 for one that was there."
_REFUSALS = ("bad_request", "bad_parameter", "forbidden", "slow_upload", "too_large", "feedback_full")
FEEDBACK = Calls("Photos", "/feedback", problems=("feedback_unavailable", *PHOTO, "unknown_model", *BUSY), guarded=True)


def feedback_blueprint(store: FeedbackStore | ClaimStore) -> Blueprint:
    """`POST /feedback`, into a store."""
    blueprint = Blueprint("feedback", __name__)
    blueprint.record(lambda state: state.app.extensions.update({_STORE: store}))
    return FEEDBACK.add_to(blueprint)


@FEEDBACK.call("post", "", _KEEP, FeedbackAnswer, _REFUSALS, creates=True)
def _correct() -> Response:
    """A multipart form with `file`, `predicted`, `corrected`, `model_name` and `model_version`."""
    service, store = current_service(), current_app.extensions[_STORE]
    service.check_ready(g.start)
    body = read_body(request, service.settings.max_photo_bytes + _FORM_ROOM)
    parts = read_form(body, request.mimetype_params.get("boundary", ""), max_parts=_MAX_PARTS)
    values = {part.name: part.data for part in parts}
    fields = {key: values.get(key, b"").decode(errors="replace") for key in _FIELDS}
    model = service.model(fields["model_name"])
    try:
        correction, outcome = store.add(
            values.get("file", b""), taxonomy=model.bundle.manifest.taxonomy, limits=service.limits, **fields
        )
    except FeedbackError as error:
        raise ProblemError("bad_parameter", str(error)) from None
    except OutputError as error:
        raise _not_stored(error) from error
    answer = FeedbackAnswer(outcome=outcome, **asdict(correction))
    return json_response(answer, 201 if outcome == "stored" else 200)


def _not_stored(error: OutputError) -> ProblemError:
    # What the error says may name a path of the server: it is for the log only.
    _log.error("a correction was not stored, request %s: %s", g.get("request_id", ""), error)
    if isinstance(error, DiskFullError):
        return ProblemError("feedback_full", _FULL)
    retry_after_s = _BUSY_RETRY_S if isinstance(error, FileBusyError) else None
    return ProblemError("feedback_unavailable", _UNAVAILABLE, retry_after_s=retry_after_s)
