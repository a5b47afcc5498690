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

    near_similarity: float = setting(NEAR_THRESHOLD, "Least similarity of an altered copy.", low=0.5, high=1)
    min_side: int = setting(64, "A photo with a shorter side, in pixels, is tiny.", low=1, high=100_000)
    max_aspect: float = setting(3.0, "Longer side by shorter, above which proportions are extreme.", low=1, high=1e6)
    blank_contrast: float = setting(
        12.0, "Levels from its darkest to its lightest percent; with less it is blank.", low=0, high=255
    )
    dark_level: float = setting(50.0, "A photo with 95 % of its pixels below this level is dark.", low=0, high=255)
    light_level: float = setting(
        200.0, "A photo with 95 % of its pixels above it, and many at the limit, is overexposed.", low=0, high=255
    )
    min_sharpness: float = setting(0.33, "Of the edges, 0.25 (all soft) to 1; with less it is blurred.", low=0, high=1)
    max_imbalance: float = setting(
        5.0, "Photos of the largest class, as so many times those of the smallest.", low=1, high=1e9
    )
    min_class_photos: int = setting(20, "A class with fewer photos cannot be learnt or measured.", low=0, high=10**9)
    shortcut_gain: float = setting(
        0.3, "How far from chance (0) to perfect (1) the class may be told from what should not matter.", low=0, high=1
    )
    shortcut_told: float = setting(0.6, "How clearly a single class may be told from it, 0 to 1.", low=0, high=1)
    outlier_z: float = setting(
        2.5, "An outlier is so many robust standard deviations less typical than the median.", low=0, high=1e6
    )
    seed: int = setting(0, "Of the division into folds.", low=0, high=2**32)

    def __post_init__(self) -> None:
        check_section(self, "audit")
