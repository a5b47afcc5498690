"""`DELETE /photos/{receipt}`: whoever sent a photo that is kept can have it deleted."""

from __future__ import annotations

import logging

from flask import Blueprint, g

from binsight.errors import OutputError
from binsight.loop.queue import UnknownPhotoError
from binsight.serving.calls import Calls
from binsight.serving.problems import ProblemError
from binsight.serving.schemas import Answer, ForgottenAnswer
from binsight.serving.service import current_service

__all__ = ["FORGET", "kept_blueprint"]

_log = logging.getLogger("binsight.serving")


FORGET = Calls(
    "Photos", "/photos/{receipt}", problems=("unknown_photo", "feedback_unavailable", "rate_limited"), guarded=True
)


def kept_blueprint() -> Blueprint:
    """`DELETE /photos/{receipt}`."""
    return FORGET.add_to(Blueprint("kept", __name__))


@FORGET.call("delete", "", "Delete a photo that is kept for labelling.", ForgottenAnswer)
def _forget(receipt: str) -> Answer:
    """Delete a kept photo and all that is known of it."""
    keeper = current_service().keeper
    assert keeper is not None  # noqa: S101 - there is no such call without one
    try:
        keeper.forget(receipt)
    except UnknownPhotoError:
        raise ProblemError("unknown_photo", "no photo is kept under this receipt") from None
    except OutputError as error:
        _log.error("a photo was not deleted, request %s: %s", g.get("request_id", ""), error)
        raise ProblemError("feedback_unavailable", "it could not be deleted; try again", retry_after_s=5) from None
    return ForgottenAnswer(forgotten=True)
