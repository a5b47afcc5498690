"""Reads a data set's photos once and keeps what they are recognised by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from binsight.dataset.cache import PhotoCache
from binsight.dataset.duplicates.fingerprint import COLOUR_SIDE, THUMBNAIL_SIDE, Fingerprint, fingerprint_image
from binsight.dataset.duplicates.groups import connected_groups
from binsight.dataset.duplicates.search import NEAR_THRESHOLD, Fingerprints, find_duplicates
from binsight.dataset.samples import Dataset, Progress, Sample
from binsight.dataset.views import Views, decode_for_checks
from binsight.errors import BinsightError
from binsight.imaging import ImageLimits, read_photo
from binsight.predictor import available_cores, run_in_order

__all__ = [
    "FINGERPRINT_KIND",
    "collect_fingerprints",
    "content_key",
    "content_keys",
    "duplicate_groups",
    "pack_fingerprint",
    "unpack_fingerprint",
]

FINGERPRINT_KIND = "fingerprint-3"
_DIGEST_BYTES = 32
_KEPT_AT_ONCE = 1000


def duplicate_groups(
    dataset: Dataset,
    *,
    threshold: float = NEAR_THRESHOLD,
    near: bool = True,
    cache: str | Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    limits: ImageLimits | None = None,
) -> Sequence[int]:
    """For each sample the number of its duplicate group; two samples of one number must stay on one side of a split.

    Copies of copies belong together. A photo that cannot be read, and one without copies, is a group of its own.

    Args:
        dataset: as `scan` gives it.
        threshold: least similarity of an altered copy.
        near: whether altered copies count, or exact ones only.
        cache: an SQLite file that remembers photos by content; made when it is missing.
        workers: threads; by default one per core.
        progress: called as photos are read.
        limits: a larger photo counts as unreadable.

    Returns:
        n numbers, counted up from 0 by first appearance.
    """
    prints = collect_fingerprints(dataset, cache=cache, workers=workers, progress=progress, limits=limits)
    pairs = find_duplicates(prints, threshold=threshold, near=near, workers=workers)
    return connected_groups(len(dataset), ((pair.first, pair.second) for pair in pairs))


def collect_fingerprints(
    dataset: Dataset,
    *,
    cache: str | Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    limits: ImageLimits | None = None,
) -> Fingerprints:
    """Read and decode every photo of a data set for its fingerprint; 5 kB of memory for each.

    A photo that cannot be read has no `pixels_sha256`.
    """
    prints = empty_fingerprints(dataset.samples)
    with PhotoCache.open(cache) as store:
        known = store.get(FINGERPRINT_KIND, content_keys(dataset.samples))
        fresh: dict[bytes, bytes] = {}

        def make(sample: Sample) -> Fingerprint | None:
            if (packed := known.get(content_key(sample))) is not None:
                return unpack_fingerprint(packed)
            try:
                data = read_photo(dataset.file(sample), limits=limits)
                return fingerprint_image(Views.of(decode_for_checks(data, limits=limits)))
            except BinsightError:
                return None

        results = run_in_order(make, dataset.samples, workers=workers or available_cores())
        for position, (sample, made) in enumerate(zip(dataset.samples, results, strict=True)):
            if made is not None:
                set_fingerprint(prints, position, made)
                if sample.sha256 is not None and content_key(sample) not in known:
                    fresh[content_key(sample)] = pack_fingerprint(made)
            if progress:
                progress(position + 1, len(dataset))
            if len(fresh) >= _KEPT_AT_ONCE or position + 1 == len(dataset):
                store.put(FINGERPRINT_KIND, fresh)
                fresh.clear()
    return prints


def empty_fingerprints(samples: Sequence[Sample]) -> Fingerprints:
    """Room for the fingerprints of `samples`, to be filled by `set_fingerprint`."""
    count = len(samples)
    return Fingerprints(
        [s.sha256 for s in samples],
        [None] * count,
        np.zeros((count, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.float16),
        np.zeros((count, COLOUR_SIDE, COLOUR_SIDE, 2), np.float16),
        np.ones(count, np.float32),
    )


def set_fingerprint(prints: Fingerprints, position: int, made: Fingerprint) -> None:
    """Fill in one photo's fingerprint."""
    assert isinstance(prints.pixels_sha256, list)  # noqa: S101 - made by empty_fingerprints
    prints.pixels_sha256[position] = made.pixels_sha256
    prints.thumbnails[position] = made.thumbnail
    prints.colours[position] = made.colours
    prints.aspects[position] = made.aspect


def pack_fingerprint(made: Fingerprint) -> bytes:
    """The form in which a fingerprint is kept."""
    aspect = np.float32(made.aspect).tobytes()
    return bytes.fromhex(made.pixels_sha256) + aspect + made.colours.tobytes() + made.thumbnail.tobytes()


def unpack_fingerprint(packed: bytes) -> Fingerprint:
    """What `pack_fingerprint` packed."""
    aspect = np.frombuffer(packed, np.float32, count=1, offset=_DIGEST_BYTES)
    values = np.frombuffer(packed, np.float16, offset=_DIGEST_BYTES + 4)
    colours, thumbnail = np.split(values, [2 * COLOUR_SIDE**2])
    return Fingerprint(
        packed[:_DIGEST_BYTES].hex(),
        thumbnail.reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE),
        colours.reshape(COLOUR_SIDE, COLOUR_SIDE, 2),
        float(aspect[0]),
    )


def content_key(sample: Sample) -> bytes:
    """What is remembered of a photo's content is found by; empty where the content is not known."""
    return (sample.sha256 or "").encode()


def content_keys(samples: Sequence[Sample]) -> list[bytes]:
    """The keys of those whose content is known."""
    return [content_key(s) for s in samples if s.sha256 is not None]
