"""Whether a model has seen the photos that it is measured on; figures on such photos are too good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Bundle, photo_key, read_calibration
from binsight.errors import DatasetError, ImageError, InputError
from binsight.evaluation.labelled import LabelledSet
from binsight.evaluation.measures import CROSS_FITTED
from binsight.evaluation.requirements import Requirement
from binsight.imaging import read_photo
from binsight.predictor import run_in_order
from binsight.probability.calibration import ReviewTargets

__all__ = ["Overlap", "OverlapCounts", "find_overlap", "judged_requirements", "leave_out_seen"]

_NO_KEY = 0  # of a file that cannot be read; as the key of a photo it is as likely as any other of 2^64


@dataclass(frozen=True, slots=True)
class OverlapCounts:
    """How many of the photos a model has seen.

    Attributes:
        photos: how many there are.
        trained: how many its weights were trained on.
        calibrated: how many its temperatures and thresholds were fitted on.
        chosen: how many were used to choose its settings or weights.
    """

    photos: int
    trained: int
    calibrated: int
    chosen: int

    def describe(self) -> str:
        """What to tell a person; empty where it has seen none of them."""
        uses = (
            (self.trained, "trained on, so every figure on them is too good"),
            (
                self.calibrated,
                "used to fit its temperatures and thresholds, so that figures which depend on these are too good",
            ),
            (self.chosen, "used to choose among settings or weights, so figures on them lean to the good side"),
        )
        return "; ".join(f"{count:,} of {self.photos:,} photos were {what}" for count, what in uses if count)


@dataclass(frozen=True, eq=False)
class Overlap:
    """Which of n photos a model has seen, and what for.

    Attributes:
        trained: `(n,)`.
        calibrated: `(n,)`.
        chosen: `(n,)`.
        targets: what its thresholds were chosen for.
    """

    trained: NDArray[np.bool_]
    calibrated: NDArray[np.bool_]
    chosen: NDArray[np.bool_]
    targets: ReviewTargets

    @property
    def any(self) -> NDArray[np.bool_]:
        """`(n,)`, whether it has seen the photo at all."""
        return self.trained | self.calibrated | self.chosen

    def take(self, positions: NDArray[np.intp]) -> Overlap:
        """The same of some of the photos."""
        return Overlap(self.trained[positions], self.calibrated[positions], self.chosen[positions], self.targets)

    def counts(self) -> OverlapCounts:
        """How many there are of each."""
        parts = (int(np.count_nonzero(used)) for used in (self.trained, self.calibrated, self.chosen))
        return OverlapCounts(len(self.trained), *parts)


def find_overlap(bundle: Bundle, photos: LabelledSet, *, workers: int | None = None) -> Overlap | None:
    """Which of the photos a bundle has seen, told by the bytes of their files; None where it does not record them.

    Raises:
        BundleError: what it records is malformed.
    """
    if (record := read_calibration(bundle)) is None:
        return None

    def key(position: int) -> int:
        try:
            return photo_key(read_photo(photos.paths[position]))
        except (ImageError, InputError):
            return _NO_KEY

    found = run_in_order(key, range(len(photos)), workers=workers)
    keys = np.fromiter(found, np.uint64, len(photos))
    trained, calibrated, chosen = (record.used(role, keys) for role in ("trained", "calibrated", "chosen"))
    return Overlap(trained, calibrated, chosen, record.targets)


def leave_out_seen(photos: LabelledSet, overlap: Overlap | None) -> LabelledSet:
    """The photos that the model has not seen.

    Raises:
        DatasetError: it does not record what it has seen, or has seen all of them.
    """
    if overlap is None:
        raise DatasetError("the model does not record which photos it has seen; it was made by an older binsight")
    if overlap.any.all():
        raise DatasetError(f"expected photos that the model has not seen, got {len(photos):,} that it has")
    return photos.take(np.flatnonzero(~overlap.any))


def judged_requirements(requirements: list[Requirement], overlap: Overlap | None) -> list[Requirement]:
    """The requirements as they can be judged on photos that a model has seen.

    On photos that its temperatures and thresholds were fitted on, figures that depend on these are judged cross-fitted.

    Raises:
        DatasetError: it was trained on some of them; no figure is worth anything then.
    """
    if overlap is None or not requirements:
        return requirements
    if trained := int(np.count_nonzero(overlap.trained)):
        raise DatasetError(
            f"expected photos that the model has not seen, to judge requirements on; {trained:,} of "
            f"{len(overlap.trained):,} were trained on. Choose another --split, or pass --unseen to leave these out"
        )
    if not overlap.calibrated.any():
        return requirements
    return [r if r.name not in CROSS_FITTED else r.named(CROSS_FITTED[r.name]) for r in requirements]
