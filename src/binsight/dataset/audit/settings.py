"""Where the line is drawn for each check; `docs/audit.md` gives the reasons and the figures behind them."""

from __future__ import annotations

from dataclasses import dataclass

from binsight.dataset.duplicates import NEAR_THRESHOLD
from binsight.settings import check_section, setting

__all__ = ["AuditSettings"]


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """The thresholds of an audit.

    Raises:
        SettingsError: listing every value that is out of its range.
    """

    near_similarity: float = setting(
        NEAR_THRESHOLD, "How alike altered copies are, from 0.5 to 1. Lower finds stronger changes, and look-alikes.",
        low=0.5, high=1, metavar="S",
    )  # fmt: skip
    min_side: int = setting(64, "Smaller photos are tiny.", low=1, high=100_000, metavar="PIXELS")
    max_aspect: float = setting(
        3.0, "Longer photos lose much when they are fitted into a square.", low=1, high=1e6, metavar="RATIO"
    )
    blank_contrast: float = setting(
        12.0, "Levels from its darkest to its lightest percent; with less it is blank.", low=0, high=255
    )
    dark_level: float = setting(50.0, "A photo with 95 % of its pixels below this level is dark.", low=0, high=255)
    light_level: float = setting(
        200.0, "A photo with 95 % of its pixels above it, and many at the limit, is overexposed.", low=0, high=255
    )
    min_sharpness: float = setting(
        0.33, "How much of an edge lies within one of 192 pixels: 1 is sharp, 0.25 is soft.", low=0, high=1, metavar="S"
    )
    max_imbalance: float = setting(5.0, "Largest class by smallest.", low=1, high=1e9)
    min_class_photos: int = setting(20, "A class with fewer photos cannot be learnt or measured.", low=0, high=10**9)
    shortcut_gain: float = setting(
        0.3, "How far from chance (0) to perfect (1) the class may be told from what should not matter.",
        low=0, high=1, metavar="G",
    )  # fmt: skip
    shortcut_told: float = setting(0.6, "How clearly a single class may be told from it, 0 to 1.", low=0, high=1)
    outlier_z: float = setting(
        2.5, "An outlier is so many robust standard deviations less typical than the median.", low=0, high=1e6
    )
    seed: int = setting(0, "Of the division into folds.", low=0, high=2**32)

    def __post_init__(self) -> None:
        check_section(self, "audit")
