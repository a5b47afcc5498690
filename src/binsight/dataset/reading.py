"""One pass over the photos of a data set: each is read and decoded once, or not at all where it is known from before.

What is asked of a photo is a `Measure`. What it gives are bytes, so that any may be kept by content in a `PhotoCache`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.bundle.container import MODEL_NAME
from binsight.dataset.cache import PhotoCache
from binsight.dataset.samples import Dataset, Sample
from binsight.dataset.views import Views, decode_for_checks
from binsight.errors import BinsightError
from binsight.imaging import ImageLimits, Photo, PreprocessSpec, prepare_photo, read_photo
from binsight.imaging.preprocess import least_size, resize_picture
from binsight.predictor import Predictor, run_in_order
from binsight.progress import Progress, unheard

__all__ = ["Fault", "Found", "Measure", "feature_size", "read_each"]

_AT_ONCE = 2000  # photos that are looked up in the cache together, and kept in it together
# Photos per run of the network, and handed to a thread at once: 4 are about 5 % faster than 1, more gain nothing.
_BATCH = 4


@dataclass(frozen=True, slots=True)
class Measure:
    """Something to be found out about a photo.

    Attributes:
        kind: what it is kept as; another way of finding it out has another.
        find: gives it, of a photo and the size of its file in bytes.
    """

    kind: str
    find: Callable[[Views, int], bytes]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a photo cannot be used: the code of the error, or `damaged`, and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out about a photo.

    Attributes:
        values: of each measure, then the features, float16, where a network was given; none where it cannot be decoded.
        fault: what is wrong with its file.
    """

    values: tuple[bytes, ...] = ()
    fault: Fault | None = None


def read_each(
    dataset: Dataset,
    measures: Sequence[Measure],
    *,
    predictor: Predictor | None = None,
    cache: str | Path | None = None,
    workers: int | None = None,
    progress: Progress = unheard,
    limits: ImageLimits | None = None,
) -> Iterator[Found]:
    """Find out about every photo, in order; memory does not grow with their number.

    Args:
        dataset: as `scan` gives it.
        measures: what to find out.
        predictor: whose features are taken too, loaded with `threads=1`.
        cache: an SQLite file that remembers what was found, by content; made when it is missing.
        workers: threads; by default one per core.
        progress: called as photos are done.
        limits: a larger photo is a fault.
    """
    kinds = [measure.kind for measure in measures] + ([] if predictor is None else [_feature_kind(predictor)])
    with PhotoCache.open(cache) as store:
        for start in range(0, len(dataset), _AT_ONCE):
            some = dataset.samples[start : start + _AT_ONCE]
            memory = _Memory(store, kinds, some)

            def find(batch: Sequence[Sample], memory: _Memory = memory) -> list[Found]:
                known = [memory.get(sample) for sample in batch]
                unknown = [dataset.file(s) for s, found in zip(batch, known, strict=True) if found is None]
                fresh = iter(_find(unknown, measures, predictor, limits))
                return [found or next(fresh) for found in known]

            batches = [some[first : first + _BATCH] for first in range(0, len(some), _BATCH)]
            results = chain.from_iterable(run_in_order(find, batches, workers=workers))
            for done, (sample, found) in enumerate(zip(some, results, strict=True), start + 1):
                if cache is not None:
                    memory.remember(sample, found)
                yield found
                progress(done, len(dataset))
            memory.save()


def feature_size(predictor: Predictor) -> int | None:
    """How many features a network gives of a photo; None where it gives none."""
    outputs = predictor.run(np.zeros((1, *predictor.spec.size, 3), np.uint8), ("features",))
    return None if outputs.features is None else outputs.features.shape[1]


class _Memory:
    """What is known of some photos from before, and what becomes known now."""

    def __init__(self, store: PhotoCache, kinds: Sequence[str], samples: Sequence[Sample]) -> None:
        self._store = store
        keys = [s.sha256.encode() for s in samples if s.sha256 is not None]
        self._known = {kind: store.get(kind, keys) for kind in kinds}
        self._fresh: dict[str, dict[bytes, bytes]] = {kind: {} for kind in kinds}

    def get(self, sample: Sample) -> Found | None:
        key = (sample.sha256 or "").encode()
        values = tuple(known[key] for known in self._known.values() if key in known)
        return Found(values) if len(values) == len(self._known) else None

    def remember(self, sample: Sample, found: Found) -> None:
        """Faulty photos are not remembered: whether a fault goes away may depend on more than the file."""
        if sample.sha256 is not None and found.fault is None:
            key = sample.sha256.encode()
            for (kind, known), value in zip(self._known.items(), found.values, strict=True):
                if key not in known:
                    self._fresh[kind][key] = value

    def save(self) -> None:
        for kind, values in self._fresh.items():
            self._store.put(kind, values)


def _find(
    paths: Sequence[Path], measures: Sequence[Measure], predictor: Predictor | None, limits: ImageLimits | None
) -> list[Found]:
    spec = None if predictor is None else predictor.spec
    found, inputs = [], {}
    for position, path in enumerate(paths):
        one, pixels = _find_one(path, measures, spec, limits)
        found.append(one)
        if pixels is not None:
            inputs[position] = pixels
    if predictor is not None and inputs:
        features = predictor.run(np.stack(list(inputs.values())), ("features",)).features
        assert features is not None  # noqa: S101 - whoever asks for features knows that the network has them
        for position, row in zip(inputs, features.astype(np.float16), strict=True):
            found[position] = replace(found[position], values=(*found[position].values, row.tobytes()))
    return found


def _find_one(
    path: Path, measures: Sequence[Measure], spec: PreprocessSpec | None, limits: ImageLimits | None
) -> tuple[Found, NDArray[np.uint8] | None]:
    """All but the features, and the network's input for those; None where there is none."""
    try:
        data = read_photo(path, limits=limits)
        decoded = decode_for_checks(data, limits=limits)
        pixels = None if spec is None else _prepare(data, decoded, spec, limits)
    except BinsightError as error:
        return Found(fault=Fault(error.code, str(error))), None
    views = Views.of(decoded)
    fault = Fault("damaged", decoded.damage) if decoded.damage else None
    return Found(tuple(measure.find(views, len(data)) for measure in measures), fault), pixels


def _prepare(data: bytes, decoded: Photo, spec: PreprocessSpec, limits: ImageLimits | None) -> NDArray[np.uint8]:
    """The network's input; only a network of many pixels needs the photo decoded once more."""
    height, width = least_size(spec)
    picture = decoded.picture
    if picture.size == (decoded.width, decoded.height) or (picture.height >= height and picture.width >= width):
        return resize_picture(picture, spec)
    return prepare_photo(data, spec, limits=limits)


def _feature_kind(predictor: Predictor) -> str:
    return f"features-{predictor.bundle.manifest.files[MODEL_NAME].sha256[:32]}"
