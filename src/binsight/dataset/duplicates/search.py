"""Which photos are copies of each other, exact or altered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from binsight.dataset.duplicates.alignment import shot_similarity
from binsight.dataset.duplicates.descriptor import ORIENTATIONS, contrast, describe, orient_descriptors, orient_images
from binsight.dataset.duplicates.fingerprint import COLOUR_SIDE, THUMBNAIL_SIDE, Fingerprint
from binsight.dataset.duplicates.neighbours import CellIndex
from binsight.predictor import one_blas_thread, run_in_order
from binsight.progress import Progress, unheard

__all__ = ["BEYOND_DOUBT", "NEAR_THRESHOLD", "DuplicatePair", "Fingerprints", "find_duplicates"]

NEAR_THRESHOLD = 0.8
"""Least similarity of an altered copy; how it was chosen: docs/audit.md."""

BEYOND_DOUBT = 0.9
"""From this similarity on, turned by any angle, stretched or recoloured, it is the same shot."""

# A crop of 5 % leaves a cosine of 0.75 or more; less brings candidates by the thousand and no more copies.
_CANDIDATE_THRESHOLD = 0.7
_PER_ORIENTATION = 8
_PER_PHOTO = 12
# In 8-bit levels: with less, a thumbnail is a plain surface, and all plain surfaces look alike.
_LEAST_CONTRAST = 2.0
# A second try with the pictures swapped finds what the first did not: aligning a crop with the whole goes better than
# the reverse. It is worth making only from here.
_SECOND_TRY = 0.4
_BLOCK = 128
_DESCRIBED_AT_ONCE = 4096
# A copy cropped by 5 % along one side only changes its proportions by 5 %.
_ASPECT_TOLERANCE = 0.07
_COLOUR_AGREEMENT = 0.7
_COLOUR_NOISE = 2.0  # 8-bit levels: what strong JPEG compression does to the mean colour of a cell

Kind = Literal["same_file", "same_pixels", "near"]


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """What n photos are recognised by.

    Attributes:
        files_sha256: of each file's bytes.
        pixels_sha256: of each photo's pixels; None where they could not be decoded: it then has no copies.
        thumbnails: `(n, 48, 48)` float16; whatever for a photo without pixels.
        colours: `(n, 8, 8, 2)` float16.
        aspects: `(n,)` float32, width divided by height.
    """

    files_sha256: Sequence[str | None]
    pixels_sha256: list[str | None]
    thumbnails: NDArray[np.float16]
    colours: NDArray[np.float16]
    aspects: NDArray[np.float32]

    @classmethod
    def empty(cls, files_sha256: Sequence[str | None]) -> Fingerprints:
        """Of n files, before anything is known of their photos; see `put`."""
        count = len(files_sha256)
        return cls(
            files_sha256,
            [None] * count,
            np.zeros((count, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.float16),
            np.zeros((count, COLOUR_SIDE, COLOUR_SIDE, 2), np.float16),
            np.ones(count, np.float32),
        )

    def put(self, position: int, made: Fingerprint) -> None:
        """Fill in one photo's fingerprint."""
        self.pixels_sha256[position] = made.pixels_sha256
        self.thumbnails[position] = made.thumbnail
        self.colours[position] = made.colours
        self.aspects[position] = made.aspect

    def __len__(self) -> int:
        return len(self.pixels_sha256)


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two photos of which one is a copy of the other.

    Attributes:
        first: position of the earlier photo.
        second: position of the later one.
        kind: the same bytes, the same pixels in other bytes, or the same shot altered.
        similarity: 1 for exact copies; for altered ones see `shot_similarity`.
        orientation: how the first must be turned or mirrored to match the second, one of `ORIENTATIONS`.
    """

    first: int
    second: int
    kind: Kind
    similarity: float = 1.0
    orientation: str = ORIENTATIONS[0]


def find_duplicates(
    prints: Fingerprints,
    *,
    threshold: float = NEAR_THRESHOLD,
    near: bool = True,
    workers: int | None = None,
    progress: Progress = unheard,
) -> list[DuplicatePair]:
    """All pairs of copies that connect the groups: of m exact copies, m - 1 pairs with the first of them.

    Args:
        prints: of the photos.
        threshold: least similarity of an altered copy, in (0, 1].
        near: whether to look for altered copies at all.
        workers: threads; by default one per core.
        progress: called with how many candidates have been compared, of how many.

    Returns:
        Sorted by position.
    """
    pairs = list(_exact_pairs(prints))
    if near:
        pairs += _near_pairs(prints, threshold, workers, progress)
    return sorted(pairs, key=lambda pair: (pair.first, pair.second))


def _exact_pairs(prints: Fingerprints) -> Iterable[DuplicatePair]:
    by_file: dict[str, int] = {}
    by_pixels: dict[str, int] = {}
    for position, (file, pixels) in enumerate(zip(prints.files_sha256, prints.pixels_sha256, strict=True)):
        if pixels is None:
            continue
        if file is not None and file in by_file:
            yield DuplicatePair(by_file[file], position, "same_file")
        elif pixels in by_pixels:
            yield DuplicatePair(by_pixels[pixels], position, "same_pixels")
        if file is not None:
            by_file.setdefault(file, position)
        by_pixels.setdefault(pixels, position)


def _near_pairs(prints: Fingerprints, threshold: float, workers: int | None, progress: Progress) -> list[DuplicatePair]:
    chosen = _distinct(prints)
    thumbnails = prints.thumbnails
    with one_blas_thread():
        first, second, orientation = _candidates(_describe_all(thumbnails, chosen), workers)
        blocks = [slice(start, start + _BLOCK) for start in range(0, len(first), _BLOCK)]

        def compare(block: slice) -> NDArray[np.float32]:
            turned = orient_images(thumbnails[chosen[first[block]]], orientation[block])
            similarity = _similarity(turned, thumbnails[chosen[second[block]]], threshold)
            doubtful = similarity < BEYOND_DOUBT
            similarity[doubtful & ~_is_plausible(prints, chosen, first[block], second[block], orientation[block])] = 0
            return similarity

        found: dict[tuple[int, int], DuplicatePair] = {}
        progress(0, len(first))
        for block, similarity in zip(blocks, run_in_order(compare, blocks, workers=workers), strict=True):
            progress(min(block.stop, len(first)), len(first))
            for offset in np.flatnonzero(similarity >= threshold):
                place = block.start + int(offset)
                pair = _pair(chosen, first[place], second[place], float(similarity[offset]), int(orientation[place]))
                known = found.get((pair.first, pair.second))
                if known is None or pair.similarity > known.similarity:
                    found[pair.first, pair.second] = pair
    return list(found.values())


def _pair(
    chosen: NDArray[np.int64], first: np.int64, second: np.int64, similarity: float, orientation: int
) -> DuplicatePair:
    return DuplicatePair(
        int(chosen[first]), int(chosen[second]), "near", round(similarity, 4), ORIENTATIONS[orientation]
    )


def _distinct(prints: Fingerprints) -> NDArray[np.int64]:
    """The first photo of each pixel content that is not a plain surface, ascending."""
    first: dict[str, int] = {}
    for position, pixels in enumerate(prints.pixels_sha256):
        if pixels is not None:
            first.setdefault(pixels, position)
    positions = np.fromiter(first.values(), np.int64, len(first))
    varied = [contrast(prints.thumbnails[some]) >= _LEAST_CONTRAST for some in _in_blocks(positions)]
    return positions[np.concatenate(varied)] if varied else positions


def _describe_all(thumbnails: NDArray[np.float16], chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    """The descriptors of some thumbnails; only a block of them is held in single precision at a time."""
    blocks = [describe(thumbnails[some]) for some in _in_blocks(chosen)]
    return np.concatenate(blocks) if blocks else describe(thumbnails[:0])


def _in_blocks(positions: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [positions[start : start + _DESCRIBED_AT_ONCE] for start in range(0, len(positions), _DESCRIBED_AT_ONCE)]


def _candidates(
    descriptors: NDArray[np.float32], workers: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.intp]]:
    """Pairs that may be copies, first < second, with the orientation of the first that resembles the second."""
    index = CellIndex(descriptors)

    def search(orientation: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        turned = orient_descriptors(descriptors, orientation)
        near = index.search(turned, k=_PER_ORIENTATION, threshold=_CANDIDATE_THRESHOLD, first_row=0)
        return near.query, near.vector, near.similarity

    results = list(run_in_order(search, range(len(ORIENTATIONS)), workers=workers))
    query, vector, similarity = (np.concatenate([r[i] for r in results]) for i in range(3))
    orientation = np.repeat(np.arange(len(ORIENTATIONS)), [len(r[0]) for r in results])
    order = np.lexsort((vector, -similarity, query))
    query, vector, orientation = query[order], vector[order], orientation[order]
    kept = np.arange(len(query)) - np.searchsorted(query, query) < _PER_PHOTO
    return _unique(query[kept], vector[kept], orientation[kept])


def _unique(
    query: NDArray[np.int64], vector: NDArray[np.int64], orientation: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.intp]]:
    # A turn by 90 degrees is undone by the opposite one; every other orientation undoes itself.
    inverse = np.array([0, 1, 2, 3, 4, 6, 5, 7])
    swapped = query > vector
    first, second = np.where(swapped, vector, query), np.where(swapped, query, vector)
    orientation = np.where(swapped, inverse[orientation], orientation)
    rows = np.unique(np.stack([first, second, orientation], axis=1), axis=0)
    return rows[:, 0], rows[:, 1], rows[:, 2]


def _similarity(first: NDArray[np.float16], second: NDArray[np.float16], threshold: float) -> NDArray[np.float32]:
    similarity = shot_similarity(first, second)
    again = np.flatnonzero((similarity < threshold) & (similarity > _SECOND_TRY))
    if len(again):
        similarity[again] = np.maximum(similarity[again], shot_similarity(second[again], first[again]))
    return similarity


def _is_plausible(
    prints: Fingerprints,
    chosen: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    orientation: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """What must speak for a pair whose details leave room for doubt: orientation, proportions, colours."""
    a, b = chosen[first], chosen[second]
    aspect = np.where(orientation >= 4, 1 / prints.aspects[a], prints.aspects[a])
    same_shape = np.abs(np.log(aspect / prints.aspects[b])) <= _ASPECT_TOLERANCE
    turned = orient_images(prints.colours[a], orientation)
    return (orientation <= 1) & same_shape & (_colour_agreement(turned, prints.colours[b]) >= _COLOUR_AGREEMENT)


def _colour_agreement(first: NDArray[np.float16], second: NDArray[np.float16]) -> NDArray[np.float32]:
    """The correlation of the deviations from each picture's mean colour; towards 1 where there is hardly any colour."""
    count = len(first)
    a, b = first.astype(np.float32), second.astype(np.float32)
    a = (a - a.mean(axis=(1, 2), keepdims=True)).reshape(count, -1)
    b = (b - b.mean(axis=(1, 2), keepdims=True)).reshape(count, -1)
    power_a, power_b = np.square(a).mean(axis=1), np.square(b).mean(axis=1)
    noise = _COLOUR_NOISE**2
    agreement: NDArray[np.float32] = ((a * b).mean(axis=1) + noise) / (np.sqrt(power_a * power_b) + noise)
    # One colourful, one grey: the correlation says nothing, the difference in colour does.
    return np.where(np.maximum(power_a, power_b) > 4 * (np.minimum(power_a, power_b) + noise), 0, agreement)
