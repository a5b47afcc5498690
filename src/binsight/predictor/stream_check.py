"""Is a whole stream of photos strange: a camera whose photos look unlike those that the model knows?"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from binsight.bundle import Manifest
from binsight.predictor.prediction import Prediction
from binsight.probability.intervals import binomial_cdf

__all__ = ["StreamCheck"]

_FIRST_LOOK: Final = (
    20  # photos; the next looks are at twice as many each, so that looking often finds nothing by chance
)
_SURPRISE: Final = 0.001
_EVERY: Final = 10  # photos from look to look at an endless stream


class StreamCheck:
    """Takes the predictions of one stream, a folder, a session or a line, and says when it is strange as a whole.

    A photo is strange when its unfamiliarity lies nearer to the review threshold than to the median of known photos;
    where the bundle does not state that median, when it goes to review. The stream is strange when so many strange
    photos would come with a probability below 0.001 if half of them were. On the sources in docs/results.md that tells
    those on which the model is sure and wrong, which single photos do not. It is over when no more than half are.

    Not for use from several threads at a time.

    Args:
        manifest: of the bundle that predicts.
        window: of an endless stream, only so many photos count, the last ones; None: all.
    """

    def __init__(self, manifest: Manifest, *, window: int | None = None) -> None:
        self._name = manifest.name
        self._limit = _halfway(manifest.training, manifest.review.unfamiliarity)
        self._window: deque[bool] | None = None if window is None else deque(maxlen=window)
        self._seen, self._next_look = 0, _FIRST_LOOK
        self.photos, self.strange = 0, 0
        self.is_said = False  # and not over since

    def add(self, prediction: Prediction) -> str | None:
        """Take one more prediction; gives the warning when it is due, once until it is over."""
        self._count(self._is_strange(prediction))
        if self._seen < self._next_look:
            return None
        self._next_look = self._seen * 2 if self._window is None else self._seen + _EVERY
        if self.is_said:
            self.is_said = 2 * self.strange > self.photos
        elif self.is_strange:
            self.is_said = True
            return self.warning
        return None

    def _count(self, strange: bool) -> None:
        self._seen += 1
        if self._window is None:
            self.photos += 1
            self.strange += strange
        else:
            self._window.append(strange)
            self.photos, self.strange = len(self._window), sum(self._window)

    @property
    def warning(self) -> str:
        """What to say of a strange stream."""
        return (
            f"this camera is strange to {self._name}: {self.strange:,} of {self.photos:,} photos look unlike those it "
            "knows, so expect mistakes among the accepted too. Teach it this camera with about 20 photos per class: "
            f"binsight adapt {self._name} PHOTOS --out BUNDLE"
        )

    @property
    def is_strange(self) -> bool:
        """Whether the photos so far are strange as a whole."""
        familiar = self.photos - self.strange
        return self.photos >= _FIRST_LOOK and binomial_cdf(familiar, self.photos, 0.5) < _SURPRISE

    def _is_strange(self, prediction: Prediction) -> bool:
        if self._limit is None or prediction.unfamiliarity is None:
            return prediction.decision == "review"
        return not prediction.unfamiliarity <= self._limit  # not-a-number is strange


def _halfway(training: Mapping[str, Any], limit: float | None) -> float | None:
    median = training.get("unfamiliarity_median")
    if limit is None or isinstance(median, bool) or not isinstance(median, (int, float)):
        return None
    return (median + limit) / 2
