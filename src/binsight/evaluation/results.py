"""What an evaluation found: the records of the report and of its JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from binsight.evaluation.mistakes import Mistake, confusions
from binsight.evaluation.overlap import OverlapCounts
from binsight.evaluation.reliability import ReliabilityBin
from binsight.evaluation.robustness import Robustness
from binsight.evaluation.scoring import Unreadable
from binsight.evaluation.selective import OperatingPoint, RiskCoverage, TargetThresholds
from binsight.evaluation.significance import PairedTest
from binsight.evaluation.speed import PhotoTimes
from binsight.evaluation.unknown import UnknownPhotos
from binsight.probability.intervals import Interval
from binsight.taxonomy import Taxonomy

__all__ = ["Evaluation", "Group", "Model", "Reliability", "Review", "Streams", "TwoHeads", "json_ready"]

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Model:
    """Which bundle was evaluated."""

    name: str
    version: str
    created: str
    path: str


@dataclass(frozen=True, slots=True)
class Group:
    """The photos of one group, such as one source."""

    name: str
    photos: int
    accuracy: Interval
    accepted_share: float
    accepted_accuracy: float


@dataclass(frozen=True, slots=True)
class TwoHeads:
    """Which of the two ways to say that an item is biodegradable is better.

    Attributes:
        better: `head`, `sum`, or `neither` where the difference may be chance (p of 0.05 or more).
        test: first the head, second the sum over the classes.
    """

    better: str
    test: PairedTest


@dataclass(frozen=True, slots=True)
class Streams:
    """Where items went.

    Attributes:
        names: the streams.
        confusion: true stream (row) and stream it was sent to (column), photos.
        costs: of each such confusion.
        costs_name: where the costs come from.
        review_cost: of having a person look.
    """

    names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    costs: tuple[tuple[float, ...], ...]
    costs_name: str
    review_cost: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether confidences mean what they say.

    Attributes:
        temperature: the bundle's.
        fitted_temperature: the one that fits these photos best.
        bins: of equal width, for the plot.
        expected: the calibration error that chance alone would give a perfect model on so many photos.
    """

    temperature: float
    fitted_temperature: float
    bins: tuple[ReliabilityBin, ...]
    expected: Interval


@dataclass(frozen=True, slots=True)
class Review:
    """Accepting some predictions and reviewing the others.

    Attributes:
        curve: risk and coverage for every confidence.
        point: what the bundle's thresholds accept.
        thresholds: the bundle's, for each class.
        overall: what a target precision asks for, by the rule that bundles are calibrated by: one threshold for all.
    """

    curve: RiskCoverage
    point: OperatingPoint
    thresholds: tuple[float, ...]
    overall: TargetThresholds


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured. See `docs/evaluation.md` for the JSON.

    Attributes:
        model: which bundle.
        taxonomy: of the bundle.
        split: what the photos are called.
        photos: how many were classified.
        unreadable: those that could not be.
        values: name → interval, as `binsight.evaluation.measures` lists them; undefined figures are left out.
        confusion: true class (row) and predicted class (column), photos.
        biodegradable: which way is better; None for a model with one or none.
        streams: where items went.
        overlap: how many of the photos the bundle has seen, and what for; None where it does not record them.
        calibration: whether confidences mean what they say.
        review: accepting and reviewing.
        unknown: photos of nothing that the model knows, where some were given.
        robustness: degraded photos, where asked for.
        speed: times and sizes.
        groups: the photos by group, where these are known.
        mistakes: wrong predictions, the most confident first; the first ones with pictures.
        settings: seeds and counts that shaped the figures.
    """

    model: Model
    taxonomy: Taxonomy
    split: str
    photos: int
    unreadable: tuple[Unreadable, ...]
    values: Mapping[str, Interval]
    confusion: tuple[tuple[int, ...], ...]
    biodegradable: TwoHeads | None
    streams: Streams
    overlap: OverlapCounts | None
    calibration: Reliability
    review: Review
    unknown: UnknownPhotos | None
    robustness: Robustness | None
    speed: PhotoTimes
    groups: tuple[Group, ...]
    mistakes: tuple[Mistake, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object; pictures are left out, and what is undefined is null."""
        found: dict[str, Any] = {"format": FORMAT}
        for entry in fields(self):
            found[entry.name] = json_ready(getattr(self, entry.name))
        found["taxonomy"] = {"name": self.taxonomy.name, "classes": list(self.taxonomy.ids)}
        found["confusions"] = json_ready(confusions(self.mistakes))
        return found


def json_ready(value: Any) -> Any:
    """Plain data for JSON: records as objects without their pictures, not-a-number as None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: json_ready(getattr(value, f.name)) for f in fields(value) if f.name != "pictures"}
    if isinstance(value, Mapping):
        return {str(key): json_ready(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
