"""Is a whole stream of photos strange: a camera whose photos look unlike those that the model knows?"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, Literal

from binsight.bundle import Manifest
from binsight.predictor.prediction import Prediction
from binsight.probability.intervals import binomial_cdf

__all__ = ["FIRST_LOOK", "OnStrange", "StreamCheck", "StreamState"]

OnStrange = Literal["review", "warn"]
"""What becomes of the photos of a strange camera, and of a new one: all go to review, or it is only said."""

StreamState = Literal["new", "familiar", "strange"]
"""What is known of a stream: nothing as yet, that it is like what the model knows, or that it is not."""

FIRST_LOOK: Final = 20
"""Photos from which on a stream can be strange."""

_WINDOW: Final = 200  # photos that count, the last ones
_SURPRISE: Final = 0.001
# Of no class of `val` more look strange than 31 %, of no camera on which what is accepted is wrong fewer than 60 %:
# docs/results.md.
_USUAL, _MOST_USUAL = 0.4, 0.9
_STRANGER_ODDS: Final = 2.25  # that a photo of a strange camera looks strange, 6 in 10, to the usual 4 in 10


class StreamCheck:
    """Takes the predictions of one stream, a folder, a session or a line, and says when it is strange as a whole.

    A photo looks strange when it goes to review, or when its unfamiliarity, where the bundle states the median of known
    photos, lies nearer to the review threshold than to that median. The stream is strange when so many of its last 200
    photos would look strange with a probability below 0.001 if it were usual that 0.4 do; or twice the share of known
    photos that goes to review, where that is more, up to 0.9. It is over when no more than the usual share do.

    A new stream is familiar when the likelihood ratio of its photos, of the usual share to one of 2.25 times its odds
    (0.6 where 0.4 is usual), reaches 1 / `risk`: with these, when 9 photos more look familiar than strange. A stream
    of which at least that share looks strange is ever called familiar with a probability of at most `risk`, whenever
    one looks. After a strange time it is new again.

    Not for use from several threads at a time.

    Args:
        manifest: of the bundle that predicts.
        on_strange: what `judge` makes of a strange stream's photos, and of a new one's.
        is_new: nothing of it is to be accepted before it has shown that it is familiar; else it is taken to be.
        risk: in (0, 1), of calling a strange one familiar.

    References:
        Wald 1945, Sequential Tests of Statistical Hypotheses; the bound is Ville's inequality.
    """

    def __init__(
        self, manifest: Manifest, *, on_strange: OnStrange = "review", is_new: bool = False, risk: float = 0.03
    ) -> None:
        self._name, self._on_strange = manifest.name, on_strange
        self._limit, self._usual = _halfway(manifest), _usual_share(manifest)
        self._window: deque[bool] = deque(maxlen=_WINDOW)
        self._begins: StreamState = "new" if is_new else "familiar"
        self._wanted, self._evidence = -math.log(risk), 0.0
        self.state: StreamState = self._begins
        self.said: str | None = None  # the last warning

    def add(self, prediction: Prediction) -> str | None:
        """Take one more prediction, as the model gave it; gives the warning when it is due, once until it is over."""
        unlike = self.looks_strange(prediction)
        self._window.append(unlike)
        if self.is_strange:
            if self.strange <= self._usual * self.photos:
                self.state, self._evidence = self._begins, 0.0
        elif warning := self.warn_of(self.photos, self.strange):
            self.state, self.said = "strange", warning
            return warning
        elif self.state == "new":
            self._evidence += _evidence(self._usual, unlike=unlike)
            if self._evidence >= self._wanted:
                self.state = "familiar"
        return None

    def warn_of(self, photos: int, strange: int) -> str | None:
        """What to say of a stream of so many photos of which so many look strange; None where it is not strange."""
        if photos < FIRST_LOOK or strange <= self._usual * photos:
            return None
        is_surprising = binomial_cdf(photos - strange, photos, 1 - self._usual) < _SURPRISE
        return self._describe(photos, strange) if is_surprising else None

    def judge(self, prediction: Prediction) -> Prediction:
        """The prediction as it is to be obeyed: of a strange or new stream nothing is accepted, unless `warn` is."""
        reason = self.reason
        return prediction if reason is None else prediction.sent_to_review(reason)

    @property
    def reason(self) -> Literal["new_camera", "strange_camera"] | None:
        """Why nothing of the stream is accepted now; None where it may be."""
        if self.state == "familiar" or self._on_strange == "warn":
            return None
        return "new_camera" if self.state == "new" else "strange_camera"

    @property
    def is_strange(self) -> bool:
        """Whether it is strange now."""
        return self.state == "strange"

    @property
    def photos(self) -> int:
        """How many of the last photos count."""
        return len(self._window)

    @property
    def strange(self) -> int:
        """How many of these look strange."""
        return sum(self._window)

    @property
    def warning(self) -> str:
        """What to say of a strange stream."""
        return self._describe(self.photos, self.strange)

    def looks_strange(self, prediction: Prediction) -> bool:
        """Whether one photo does, as the model gave it."""
        if prediction.decision == "review":
            return True
        if self._limit is None or prediction.unfamiliarity is None:
            return False
        return not prediction.unfamiliarity <= self._limit  # not-a-number is strange

    def _describe(self, photos: int, strange: int) -> str:
        so = "so all go to review" if self._on_strange == "review" else "so expect mistakes among the accepted too"
        return (
            f"this camera is strange to {self._name}: {strange:,} of {photos:,} photos look unlike those it knows, "
            f"{so}. Teach it this camera with about 20 photos per class: "
            f"binsight adapt {self._name} PHOTOS --out BUNDLE"
        )


def _halfway(manifest: Manifest) -> float | None:
    median, limit = manifest.training.get("unfamiliarity_median"), manifest.review.unfamiliarity
    if limit is None or isinstance(median, bool) or not isinstance(median, (int, float)):
        return None
    return (median + limit) / 2


def _evidence(usual: float, *, unlike: bool) -> float:
    """Log-likelihood ratio of one photo, of the usual share to that of a strange camera."""
    odds = _STRANGER_ODDS * usual / (1 - usual)
    stranger = odds / (1 + odds)
    return math.log(usual / stranger) if unlike else math.log((1 - usual) / (1 - stranger))


def _usual_share(manifest: Manifest) -> float:
    splits = [split.values for split in manifest.metrics.values()]
    reviewed = [1 - values["accepted_share"].value for values in splits if "accepted_share" in values]
    return min(_MOST_USUAL, max(_USUAL, 2 * max(reviewed, default=0.0)))
