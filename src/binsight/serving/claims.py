"""Corrections as claims in the loop's queue: with their history, in quarantine until people have looked at them."""

from __future__ import annotations

from dataclasses import dataclass

from flask import g

from binsight.imaging import ImageLimits, stored_jpeg
from binsight.loop.queue import Queue, TooManyClaimsError, UnknownPhotoError
from binsight.loop.votes import NOT_WASTE
from binsight.serving.corrections import FeedbackError, FeedbackFullError, Outcome
from binsight.taxonomy import Taxonomy

__all__ = ["Claim", "ClaimStore"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a user said of a photo.

    Attributes:
        sha256: of the stored file.
        corrected: what the user says it is.
        predicted: what the model had said.
    """

    sha256: str
    corrected: str
    predicted: str


class ClaimStore:
    """Takes corrections for the queue, as `FeedbackStore` does for a folder."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def add(
        self,
        photo: bytes,
        *,
        taxonomy: Taxonomy,
        predicted: str,
        corrected: str,
        model_name: str,
        model_version: str,
        limits: ImageLimits | None = None,
    ) -> tuple[Claim, Outcome]:
        """Keep what the client of the present request says.

        Raises:
            FeedbackError: a class is not in the taxonomy, or the photo was deleted for good.
            FeedbackFullError: too many corrections of this client wait to be looked at.
            ImageError: the photo was refused.
            OutputError: it cannot be written; nothing of it is kept then.
        """
        allowed = (*taxonomy.ids, NOT_WASTE)
        if faults := [name[:64] for name in (predicted, corrected) if name not in allowed]:
            raise FeedbackError(f"expected one of {', '.join(allowed)}, got {faults[0]!r}")
        if not model_version or len(model_version) > 64 or not model_version.isprintable():
            raise FeedbackError(f"expected a model's version, got {model_version[:64]!r}")
        jpeg = stored_jpeg(photo, limits=limits)
        model = f"{model_name} {model_version}"
        try:
            item, is_new = self._queue.claim(
                jpeg, client=g.client, corrected=corrected, predicted=predicted, model=model
            )
        except TooManyClaimsError as error:
            raise FeedbackFullError(str(error)) from error
        except UnknownPhotoError as error:
            raise FeedbackError(str(error)) from error
        return Claim(item, corrected, predicted), "stored" if is_new else "known"
