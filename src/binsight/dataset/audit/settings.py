"""Where the line is drawn for each check; `docs/audit.md` gives the reasons and the figures behind them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from binsight.dataset.duplicates import NEAR_THRESHOLD
from binsight.errors import DatasetError

__all__ = ["AuditSettings"]


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """The thresholds of an audit.

    Attributes:
        near_similarity: least similarity of an altered copy, in (0, 1].
        min_side: a photo with a shorter side, in pixels, is tiny.
        max_aspect: a photo whose longer side is more than this many times the shorter one has extreme proportions.
        blank_contrast: a photo whose lightest and darkest percent differ by less, in 8-bit levels, is blank.
        dark_level: a photo with 95 % of its pixels below this level is dark.
        light_level: a photo with 95 % of its pixels above this level, and many at the limit, is overexposed.
        min_sharpness: a photo whose edges are less sharp, from 0.25 (all soft) to 1, is blurred.
        max_imbalance: the largest class may have this many times the photos of the smallest.
        min_class_photos: a class with fewer photos cannot be learnt or measured.
        shortcut_gain: how far from chance (0) to perfect (1) the class may be told from what should not matter.
        shortcut_told: how clearly, from 0 to 1, a single class may be told from what should not matter.
        outlier_z: a photo this many robust standard deviations less typical than the median is an outlier.
        seed: for the division into folds.

    Raises:
        DatasetError: a value is out of its range.
    """

    near_similarity: float = NEAR_THRESHOLD
    min_side: int = 64
    max_aspect: float = 3.0
    blank_contrast: float = 12.0
    dark_level: float = 50.0
    light_level: float = 200.0
    min_sharpness: float = 0.33
    max_imbalance: float = 5.0
    min_class_photos: int = 20
    shortcut_gain: float = 0.3
    shortcut_told: float = 0.6
    outlier_z: float = 2.5
    seed: int = 0

    def __post_init__(self) -> None:
        faults = [
            f"{name} must be in {low:g} to {high:g}, got {value:g}"
            for name, low, high in _RANGES
            if not low <= (value := getattr(self, name)) <= high
        ]
        if faults:
            raise DatasetError("audit settings: " + "; ".join(faults))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)


_RANGES = (
    ("near_similarity", 0.5, 1),
    ("min_side", 1, 100_000),
    ("max_aspect", 1, 1e6),
    ("blank_contrast", 0, 255),
    ("dark_level", 0, 255),
    ("light_level", 0, 255),
    ("min_sharpness", 0, 1),
    ("max_imbalance", 1, 1e9),
    ("min_class_photos", 0, 1e9),
    ("shortcut_gain", 0, 1),
    ("shortcut_told", 0, 1),
    ("outlier_z", 0, 1e6),
    ("seed", 0, 2**32),
)
