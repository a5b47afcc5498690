"""Exact and altered copies among photos.

`duplicate_groups` is what a split needs; `find_duplicates` gives the pairs behind it. A fingerprint is small, pairs are
proposed by `descriptor` and `neighbours` and decided on by `alignment`.
"""

from binsight.dataset.duplicates.collect import duplicate_groups
from binsight.dataset.duplicates.descriptor import ORIENTATIONS
from binsight.dataset.duplicates.fingerprint import Fingerprint, fingerprint_image
from binsight.dataset.duplicates.groups import connected_groups
from binsight.dataset.duplicates.search import NEAR_THRESHOLD, DuplicatePair, Fingerprints, find_duplicates

__all__ = [
    "NEAR_THRESHOLD",
    "ORIENTATIONS",
    "DuplicatePair",
    "Fingerprint",
    "Fingerprints",
    "connected_groups",
    "duplicate_groups",
    "find_duplicates",
    "fingerprint_image",
]
