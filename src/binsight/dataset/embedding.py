"""What a trained network sees in photos, and a flat map of it on which similar photos lie close together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.dataset.reading import Measure, feature_size, read_each
from binsight.dataset.samples import Dataset
from binsight.errors import DatasetError
from binsight.extras import needs_extra
from binsight.predictor import Predictor
from binsight.progress import Progress, unheard

__all__ = ["Look", "flatten", "look_at"]

_MEAN_SIDE = 96
_GREY = 127
_SMALL: Final = Measure(
    "mean-1", lambda views, _: views.photo.picture.resize((_MEAN_SIDE, _MEAN_SIDE), Image.Resampling.BOX).tobytes()
)
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
    progress: Progress = unheard,
) -> Look:
    """Decode photos, each once: their mean per class, and what the network sees in them.

    Photos are handled a few at a time, so memory does not grow with their pixels.

    Args:
        dataset: the samples.
        positions: which of them to look at.
        predictor: a network with the output `features`, loaded with `threads=1`; without one there are no features.
        workers: threads; by default one per core.
        progress: called as photos are done.

    Raises:
        DatasetError: the network has no output `features`.
    """
    if predictor is not None and feature_size(predictor) is None:
        raise DatasetError(f"the model {predictor.bundle.label} has no output features; choose another, or no map")
    chosen = dataset.take(positions)
    sums = np.zeros((len(dataset.classes), _MEAN_SIDE, _MEAN_SIDE, 3))
    counts = np.zeros(len(dataset.classes), np.int64)
    seen, faults, features = [], [], []
    photos = read_each(chosen, [_SMALL], predictor=predictor, workers=workers, progress=progress)
    for position, label, photo in zip(positions, chosen.labels, photos, strict=True):
        if not photo.values:
            faults.append((position, photo.fault.message if photo.fault else ""))
            continue
        seen.append(position)
        sums[label] += np.frombuffer(photo.values[0], np.uint8).reshape(sums.shape[1:])
        counts[label] += 1
        features += [np.frombuffer(row, np.float16) for row in photo.values[1:]]
    share = counts[:, None, None, None]
    means = np.where(share > 0, sums / np.maximum(share, 1), _GREY).round().astype(np.uint8)
    return Look(np.array(seen, np.int64), means, _of_length_one(features), tuple(faults))


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
    with needs_extra("a map of the photos", "data"):
        from sklearn.decomposition import PCA  # noqa: PLC0415 - an extra
        from sklearn.manifold import TSNE  # noqa: PLC0415 - an extra
        from threadpoolctl import threadpool_limits  # noqa: PLC0415 - comes with scikit-learn
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


def _of_length_one(features: Sequence[NDArray[np.float16]]) -> NDArray[np.float32] | None:
    if not features:
        return None
    found = np.stack(features).astype(np.float32)
    result: NDArray[np.float32] = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return result
