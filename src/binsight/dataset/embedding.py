"""What a trained network sees in photos, and a flat map of it on which similar photos lie close together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.dataset.samples import Dataset, Progress
from binsight.errors import BinsightError, DatasetError, MissingExtraError
from binsight.imaging import ImageLimits, PreprocessSpec, prepare_photo, read_photo, resize_image
from binsight.predictor import Predictor, available_cores, run_in_order

__all__ = ["Look", "flatten", "look_at"]

_BATCH = 16
_MEAN_SIDE = 96
_MEAN_SPEC = PreprocessSpec((_MEAN_SIDE, _MEAN_SIDE), filter="box")
_PCA_DIMENSIONS = 50
# van der Maaten and Hinton 2008 use 5 to 50; it must stay well below the number of points.
_PERPLEXITY = 30.0
_FEWEST_POINTS = 10
_EXACT_UP_TO = 200


@dataclass(frozen=True)
class Look:
    """What came of decoding photos once.

    Attributes:
        positions: the samples that could be decoded, as positions in the data set: `(n,)`.
        means: the mean photo of each class, `(C, 96, 96, 3)` uint8, stretched to a square; grey for a class without
            photos.
        features: the network's features, `(n, d)` float32, each of length 1; None without a network.
        faults: the samples that could not be decoded, with the reason.
    """

    positions: NDArray[np.int64]
    means: NDArray[np.uint8]
    features: NDArray[np.float32] | None
    faults: tuple[tuple[int, str], ...]


def look_at(
    dataset: Dataset,
    positions: Sequence[int],
    *,
    predictor: Predictor | None = None,
    workers: int | None = None,
    limits: ImageLimits | None = None,
    progress: Progress | None = None,
) -> Look:
    """Decode photos, each once: their mean per class, and what the network sees in them.

    Photos are handled a few at a time, so memory does not grow with their pixels.

    Args:
        dataset: the samples.
        positions: which of them to look at.
        predictor: a network with the output `features`, loaded with `threads=1`; without one there are no features.
        workers: threads; by default one per core.
        limits: a larger photo is a fault.
        progress: called as photos are done.

    Raises:
        DatasetError: the network has no output `features`.
    """
    means = _ClassMeans(len(dataset.classes))
    seen, faults, features = [], [], []
    files = [dataset.file(dataset.samples[i]) for i in positions]
    work = partial(_look_at_some, predictor=predictor, limits=limits)
    done = 0
    for pictures, found in run_in_order(work, _batches(files), workers=workers or available_cores()):
        for picture in pictures:
            position = positions[done]
            done += 1
            if isinstance(picture, str):
                faults.append((position, picture))
            else:
                seen.append(position)
                means.add(int(dataset.labels[position]), picture)
        if found is not None:
            features.append(found)
        if progress is not None:
            progress(done, len(positions))
    joined = np.concatenate(features) if features else None
    return Look(np.array(seen, np.int64), means.pictures(), joined, tuple(faults))


class _ClassMeans:
    """The sum of each class's photos so far."""

    def __init__(self, classes: int) -> None:
        self._sums = np.zeros((classes, _MEAN_SIDE, _MEAN_SIDE, 3), np.float64)
        self._counts = np.zeros(classes, np.int64)

    def add(self, label: int, picture: NDArray[np.uint8]) -> None:
        self._sums[label] += picture
        self._counts[label] += 1

    def pictures(self) -> NDArray[np.uint8]:
        """`(C, 96, 96, 3)`, grey for a class without photos."""
        counts = self._counts[:, None, None, None]
        means = np.where(counts > 0, self._sums / np.maximum(counts, 1), 127)
        return means.round().astype(np.uint8)


def _look_at_some(
    files: Sequence[Path], *, predictor: Predictor | None, limits: ImageLimits | None
) -> tuple[list[NDArray[np.uint8] | str], NDArray[np.float32] | None]:
    """Each photo reduced for the mean, or what is wrong with it; and the features of those that could be decoded."""
    spec = predictor.spec if predictor else PreprocessSpec((_MEAN_SIDE, _MEAN_SIDE), filter="bilinear")
    outcomes = [_prepare(file, spec, limits) for file in files]
    arrays = [value for value in outcomes if not isinstance(value, str)]
    found = _features(predictor, np.stack(arrays)) if predictor and arrays else None
    return [value if isinstance(value, str) else resize_image(value, _MEAN_SPEC) for value in outcomes], found


def flatten(features: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.float32]:
    """A place on a flat map for each photo: principal components, then t-SNE.

    Args:
        features: `(n, d)`, n of at least 10.
        seed: the same gives the same map.

    Returns:
        `(n, 2)`, about in [-1, 1].

    Raises:
        DatasetError: there are fewer than 10 photos.
        MissingExtraError: scikit-learn is not installed.

    References:
        van der Maaten and Hinton 2008, "Visualizing Data using t-SNE".
    """
    if len(features) < _FEWEST_POINTS:
        raise DatasetError(f"expected at least {_FEWEST_POINTS} photos for a map, got {len(features)}")
    try:
        from sklearn.decomposition import PCA  # noqa: PLC0415 - an extra
        from sklearn.manifold import TSNE  # noqa: PLC0415 - an extra
        from threadpoolctl import threadpool_limits  # noqa: PLC0415 - comes with scikit-learn
    except ImportError as error:
        raise MissingExtraError("a map of the photos", "data") from error
    dimensions = min(_PCA_DIMENSIONS, *features.shape)
    reduced = PCA(dimensions, random_state=seed).fit_transform(features)
    perplexity = min(_PERPLEXITY, (len(features) - 1) / 3)
    # The approximation pays from some hundred points on.
    method = "exact" if len(features) <= _EXACT_UP_TO else "barnes_hut"
    # Several threads wait for each other more than they work: 4,000 photos take 21 s of one core, 50 s of two.
    with threadpool_limits(1):
        places = TSNE(2, perplexity=perplexity, init="pca", method=method, random_state=seed).fit_transform(reduced)
    centred = places - places.mean(axis=0)
    result: NDArray[np.float32] = (centred / max(float(np.abs(centred).max()), 1e-9)).astype(np.float32)
    return result


def _batches(files: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for first in range(0, len(files), _BATCH):
        yield files[first : first + _BATCH]


def _prepare(path: Path, spec: PreprocessSpec, limits: ImageLimits | None) -> NDArray[np.uint8] | str:
    try:
        return prepare_photo(read_photo(path, limits=limits), spec, limits=limits)
    except BinsightError as error:
        return str(error)


def _features(predictor: Predictor, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    found = predictor.run(images, ["features"]).features
    if found is None:
        raise DatasetError(f"the model {predictor.bundle.label} has no output features; choose another, or no map")
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    result: NDArray[np.float32] = found / np.maximum(norms, 1e-12)
    return result
