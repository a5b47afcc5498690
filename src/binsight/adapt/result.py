"""What came of teaching a bundle a camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from binsight.adapt.camera import FEWEST, MOST, NOT_WASTE
from binsight.bundle import Manifest
from binsight.evaluation.results import json_ready
from binsight.probability.calibration import ScaledCalibration
from binsight.probability.intervals import Interval

__all__ = ["ENOUGH", "Adaptation", "ClassResult", "Lesson", "Suspect"]

ENOUGH: Final = 15  # photos of a class, from where the curve in docs/adapt.md is flat
_GOOD: Final = 0.9
_INTERVALS: Final = tuple(
    f"{name}{when}" for name in ("accuracy", "accepted", "accepted_right", "known") for when in ("", "_before")
)


@dataclass(frozen=True, slots=True)
class Lesson:
    """Which photos teach, and what the new bundle calls it.

    Attributes:
        split: of the photos; None: all.
        fewest: different photos that a class needs.
        most: photos of a class.
        drops_suspects: photos whose label is improbable by what the others taught are left out, and are told.
        told: what the card says was taught, and by which command.
        photos: what the card calls the photos.
        metrics: what the manifest calls what was measured on them.
        record: what else the manifest keeps of it.
    """

    split: str | None = None
    fewest: int = FEWEST
    most: int = MOST
    drops_suspects: bool = False
    told: str = "one camera by `binsight adapt`"
    photos: str = "this camera"
    metrics: str = "camera"
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClassResult:
    """One class of the camera.

    Attributes:
        name: its id, or `not-waste`.
        photos: how many were used; those of an earlier lesson are counted by `again` alone.
        distinct: how many shots these are, copies counted once.
        right: how many were told rightly when left out; of `not-waste`, how many were reviewed.
        right_before: likewise, by the model as it was.
        again: further photos that are of an earlier lesson: they are remembered, and judge nothing.
        is_new: whether the model did not have it before.
    """

    name: str
    photos: int
    distinct: int
    right: int
    right_before: int
    again: int = 0
    is_new: bool = False

    @property
    def wish(self) -> str | None:
        """What it would need more of; None for a class that has enough."""
        if (shown := self.distinct + self.again) < ENOUGH:
            return f"{self.name}: {shown} photos, wants about {ENOUGH}"
        if self.right < _GOOD * self.photos:
            verb = "reviewed" if self.name == NOT_WASTE else "right on"
            return f"{self.name}: {verb} {self.right} of {self.photos}, wants more, of other pieces"
        return None


@dataclass(frozen=True, slots=True)
class Suspect:
    """A photo that may lie in the wrong folder: its class, and the one it seems to be, with its probability."""

    path: str
    label: str
    seems: str
    probability: float


@dataclass(frozen=True)
class Adaptation:
    """What came of teaching a bundle a camera. Each photo is judged by what was taught on others.

    Attributes:
        bundle: where the new bundle is.
        manifest: of the new bundle, but for its files.
        calibration: temperatures, thresholds and unfamiliarity.
        classes: the camera's classes.
        accuracy: on the camera's photos, `not-waste` aside.
        accuracy_before: of the model as it was.
        accepted: the share accepted of these photos.
        accepted_before: likewise, by the model as it was.
        accepted_right: the share of right ones among all that is accepted, empty places included.
        accepted_right_before: likewise, of the model as it was.
        known: the accuracy on photos that the model was calibrated on, as they are kept in it.
        known_before: likewise, of the model as it was.
        suspects: photos whose label is improbable.
        left_out: path → why a photo was not used.
        dropped: files of the old bundle that the new one does not have.
    """

    bundle: Path
    manifest: Manifest
    calibration: ScaledCalibration
    classes: tuple[ClassResult, ...]
    accuracy: Interval
    accuracy_before: Interval
    accepted: Interval
    accepted_before: Interval
    accepted_right: Interval
    accepted_right_before: Interval
    known: Interval
    known_before: Interval
    suspects: tuple[Suspect, ...]
    left_out: Mapping[str, str]
    dropped: tuple[str, ...]

    @property
    def wishes(self) -> list[str]:
        """What the camera's classes would need more of."""
        return [wish for result in self.classes if (wish := result.wish)]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "bundle": str(self.bundle),
            "name": self.manifest.name,
            "version": self.manifest.version,
            "classes": [{**asdict(result), "wish": result.wish} for result in self.classes],
            **{name: json_ready(getattr(self, name)) for name in _INTERVALS},
            "suspects": [asdict(suspect) for suspect in self.suspects],
            "left_out": dict(self.left_out),
            "dropped": list(self.dropped),
        }
