"""Reads a data set's photos once, for what they are recognised by, and groups those that are copies of each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from binsight.dataset.duplicates.fingerprint import Fingerprint, fingerprint_image
from binsight.dataset.duplicates.groups import connected_groups
from binsight.dataset.duplicates.search import Fingerprints, find_duplicates
from binsight.dataset.reading import Measure, read_each
from binsight.dataset.samples import Dataset
from binsight.imaging import ImageLimits
from binsight.progress import Progress, unheard

__all__ = ["FINGERPRINT", "duplicate_groups"]

FINGERPRINT: Final = Measure("fingerprint-3", lambda views, _size: fingerprint_image(views).to_bytes())


def duplicate_groups(
    dataset: Dataset,
    *,
    near: bool = True,
    cache: str | Path | None = None,
    workers: int | None = None,
    progress: Progress = unheard,
    limits: ImageLimits | None = None,
) -> Sequence[int]:
    """For each sample the number of its duplicate group; two samples of one number must stay on one side of a split.

    Copies of copies belong together. A photo that cannot be read, and one without copies, is a group of its own.

    Args:
        dataset: as `scan` gives it.
        near: whether altered copies count, or exact ones only.
        cache: an SQLite file that remembers photos by content; made when it is missing.
        workers: threads; by default one per core.
        progress: called as photos are read.
        limits: a larger photo counts as unreadable.

    Returns:
        n numbers, counted up from 0 by first appearance.
    """
    prints = Fingerprints.empty([s.sha256 for s in dataset])
    photos = read_each(dataset, [FINGERPRINT], cache=cache, workers=workers, progress=progress, limits=limits)
    for position, found in enumerate(photos):
        if found.values:
            prints.put(position, Fingerprint.from_bytes(found.values[0]))
    pairs = find_duplicates(prints, near=near, workers=workers)
    return connected_groups(len(dataset), ((pair.first, pair.second) for pair in pairs))
