"""`DELETE /photos/{receipt}`: whoever sent a photo that is kept can have it deleted; and corrections as claims."""

from __future__ import annotations

import logging

from flask import Blueprint, Response, g

from binsight.errors import OutputError
from binsight.loop.queue import Queue, UnknownPhotoError
from binsight.serving.api import json_response
from binsight.serving.claims import ClaimStore
from binsight.serving.feedback import feedback_blueprint
from binsight.serving.keeping import Keeper
from binsight.serving.problems import ProblemError
from binsight.serving.schemas import ForgottenAnswer

__all__ = ["claims_blueprint", "kept_blueprint"]

_log = logging.getLogger("binsight.serving")


def kept_blueprint(keeper: Keeper) -> Blueprint:
    """`DELETE /photos/{receipt}`."""
    blueprint = Blueprint("kept", __name__)

    @blueprint.delete("/photos/<receipt>")
    def forget(receipt: str) -> Response:
        """Delete a kept photo and all that is known of it."""
        try:
            keeper.forget(receipt)
        except UnknownPhotoError:
            raise ProblemError("unknown_photo", "no photo is kept under this receipt") from None
        except OutputError as error:
            _log.error("a photo was not deleted, request %s: %s", g.get("request_id", ""), error)
            raise ProblemError("feedback_unavailable", "it could not be deleted; try again", retry_after_s=5) from None
        return json_response(ForgottenAnswer(forgotten=True))

    return blueprint


def claims_blueprint(queue: Queue) -> Blueprint:
    """`POST /feedback`, into the queue."""
    return feedback_blueprint(ClaimStore(queue))
