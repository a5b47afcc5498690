"""`POST /feedback`: a person says what a photo really shows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from flask import Blueprint, g, request

from binsight.errors import DiskFullError, OutputError
from binsight.serving.claims import Claim, ClaimStore
from binsight.serving.corrections import Correction, FeedbackError, FeedbackStore
from binsight.serving.forms import read_form
from binsight.serving.problems import ProblemError
from binsight.serving.service import current_service
from binsight.serving.uploads import read_body
from binsight.sqlite import FileBusyError

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

__all__ = ["FeedbackStore", "feedback_blueprint"]

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


def feedback_blueprint(store: FeedbackStore | ClaimStore) -> Blueprint:
    """`POST /feedback`: a multipart form with `file`, `predicted`, `corrected`, `model_name` and `model_version`.

    Answers 201 for a new photo and 200 for one that was there, with the correction and its `outcome`.
    """
    blueprint = Blueprint("feedback", __name__)

    @blueprint.post("/feedback")
    def correct() -> ResponseReturnValue:
        """Keep a correction."""
        service = current_service()
        service.check_ready(g.start)
        body = read_body(request, service.settings.max_photo_bytes + _FORM_ROOM)
        parts = read_form(body, request.mimetype_params.get("boundary", ""), max_parts=_MAX_PARTS)
        values = {part.name: part.data for part in parts}
        fields = {key: values.get(key, b"").decode(errors="replace") for key in _FIELDS}
        model = service.model(fields["model_name"])
        correction: Correction | Claim
        try:
            correction, outcome = store.add(
                values.get("file", b""), taxonomy=model.bundle.manifest.taxonomy, limits=service.limits, **fields
            )
        except FeedbackError as error:
            raise ProblemError("bad_parameter", str(error)) from None
        except OutputError as error:
            raise _not_stored(error) from error
        return {"outcome": outcome, **correction.to_dict()}, 201 if outcome == "stored" else 200

    return blueprint


def _not_stored(error: OutputError) -> ProblemError:
    # What the error says may name a path of the server: it is for the log only.
    _log.error("a correction was not stored, request %s: %s", g.get("request_id", ""), error)
    if isinstance(error, DiskFullError):
        return ProblemError("feedback_full", _FULL)
    retry_after_s = _BUSY_RETRY_S if isinstance(error, FileBusyError) else None
    return ProblemError("feedback_unavailable", _UNAVAILABLE, retry_after_s=retry_after_s)
