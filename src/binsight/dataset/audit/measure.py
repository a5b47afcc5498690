"""One pass over the photos: read, decode, and keep a few kilobytes of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.bundle.container import MODEL_NAME
from binsight.dataset.audit.look import LOOK, measure_look
from binsight.dataset.cache import PhotoCache
from binsight.dataset.duplicates import Fingerprint, Fingerprints, fingerprint_image
from binsight.dataset.duplicates.collect import (
    FINGERPRINT_KIND,
    content_key,
    content_keys,
    empty_fingerprints,
    pack_fingerprint,
    set_fingerprint,
    unpack_fingerprint,
)
from binsight.dataset.samples import Dataset, Progress, Sample
from binsight.dataset.views import Views, decode_for_checks
from binsight.errors import BinsightError
from binsight.imaging import ImageLimits, Photo, PreprocessSpec, prepare_photo, read_photo
from binsight.imaging.preprocess import least_size, resize_picture
from binsight.predictor import Predictor, available_cores, run_in_order

__all__ = ["Fault", "Measurements", "measure_photos"]

_LOOK_KIND = "look-2"
_AT_ONCE = 2000
# Photos per run of the network, and handed to a thread at once: 4 are about 5 % faster than 1, more gain nothing.
_BATCH = 4


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a photo cannot be used: the code of the error, or `damaged`, and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Measurements:
    """What is known of n photos.

    Attributes:
        prints: what they are recognised by.
        look: `(n, len(LOOK))` float32; NaN for a photo that could not be decoded.
        features: `(n, d)` float16 from the model; NaN likewise. None without a model that gives features.
        faults: by position, what is wrong with the file.
    """

    prints: Fingerprints
    look: NDArray[np.float32]
    features: NDArray[np.float16] | None
    faults: dict[int, Fault] = field(default_factory=dict)

    def value(self, name: str) -> NDArray[np.float32]:
        """One of the numbers in `LOOK`, for all photos."""
        return self.look[:, LOOK.index(name)]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which photos could be decoded."""
        return ~np.isnan(self.look[:, 0])


@dataclass(frozen=True, slots=True)
class _Photo:
    fault: Fault | None = None
    print: Fingerprint | None = None
    look: NDArray[np.float32] | None = None
    features: NDArray[np.float16] | None = None


def measure_photos(
    dataset: Dataset,
    *,
    predictor: Predictor | None = None,
    cache: str | Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    limits: ImageLimits | None = None,
) -> Measurements:
    """Measure every photo; memory grows by 8 kB for each, whatever its size.

    Args:
        dataset: as `scan` gives it.
        predictor: whose features are taken, loaded with `threads=1`; None takes none.
        cache: an SQLite file that remembers what was measured, by content; made when it is missing.
        workers: threads; by default one per core.
        progress: called as photos are done.
        limits: a larger photo is a fault.
    """
    width = _feature_size(predictor)
    count = len(dataset)
    found = Measurements(
        empty_fingerprints(dataset.samples),
        np.full((count, len(LOOK)), np.nan, np.float32),
        None if width is None else np.full((count, width), np.nan, np.float16),
    )
    if width is None:
        predictor = None
    with PhotoCache.open(cache) as store:
        for start in range(0, count, _AT_ONCE):
            some = dataset.samples[start : start + _AT_ONCE]
            memory = _Memory(store, some, predictor)

            def measure(batch: Sequence[Sample], memory: _Memory = memory) -> list[_Photo]:
                known = [memory.get(sample) for sample in batch]
                unknown = [dataset.file(s) for s, photo in zip(batch, known, strict=True) if photo is None]
                fresh = iter(_measure(unknown, predictor, limits))
                return [photo or next(fresh) for photo in known]

            batches = [some[first : first + _BATCH] for first in range(0, len(some), _BATCH)]
            results = chain.from_iterable(run_in_order(measure, batches, workers=workers or available_cores()))
            for position, (sample, photo) in enumerate(zip(some, results, strict=True), start):
                _set(found, position, photo)
                memory.remember(sample, photo)
                if progress:
                    progress(position + 1, count)
            memory.save()
    return found


class _Memory:
    """What is known of some photos from before, and what becomes known now."""

    def __init__(self, store: PhotoCache, samples: tuple[Sample, ...], predictor: Predictor | None) -> None:
        self._store = store
        self._with_features = predictor is not None
        self._kinds = [FINGERPRINT_KIND, _LOOK_KIND] + ([] if predictor is None else [_feature_kind(predictor)])
        self._known = {kind: store.get(kind, content_keys(samples)) for kind in self._kinds}
        self._fresh: dict[str, dict[bytes, bytes]] = {kind: {} for kind in self._kinds}

    def get(self, sample: Sample) -> _Photo | None:
        key = content_key(sample)
        if any(key not in values for values in self._known.values()):
            return None
        packed = [self._known[kind][key] for kind in self._kinds]
        features = np.frombuffer(packed[2], np.float16) if self._with_features else None
        return _Photo(None, unpack_fingerprint(packed[0]), np.frombuffer(packed[1], np.float32), features)

    def remember(self, sample: Sample, photo: _Photo) -> None:
        """Faulty photos are not remembered: whether a fault goes away may depend on more than the file."""
        if sample.sha256 is None or photo.fault or photo.print is None or photo.look is None:
            return
        values = [pack_fingerprint(photo.print), photo.look.tobytes()]
        if photo.features is not None:
            values.append(photo.features.tobytes())
        for kind, value in zip(self._kinds, values, strict=True):
            if content_key(sample) not in self._known[kind]:
                self._fresh[kind][content_key(sample)] = value

    def save(self) -> None:
        for kind, values in self._fresh.items():
            self._store.put(kind, values)


def _measure(paths: Sequence[Path], predictor: Predictor | None, limits: ImageLimits | None) -> list[_Photo]:
    spec = None if predictor is None else predictor.spec
    looked_at = [_look_at(path, spec, limits) for path in paths]
    photos = [photo for photo, _ in looked_at]
    inputs = {position: pixels for position, (_, pixels) in enumerate(looked_at) if pixels is not None}
    if predictor is not None and inputs:
        features = predictor.run(np.stack(list(inputs.values())), ("features",)).features
        assert features is not None  # noqa: S101 - the network has them, or there is no predictor
        for position, row in zip(inputs, features.astype(np.float16), strict=True):
            photos[position] = replace(photos[position], features=row)
    return photos


def _look_at(
    path: Path, spec: PreprocessSpec | None, limits: ImageLimits | None
) -> tuple[_Photo, NDArray[np.uint8] | None]:
    """All but the features, and the network's input for those; None where there is none."""
    try:
        data = read_photo(path, limits=limits)
        decoded = decode_for_checks(data, limits=limits)
        pixels = None if spec is None else _prepare(data, decoded, spec, limits)
    except BinsightError as error:
        return _Photo(Fault(error.code, str(error))), None
    views, damage = Views.of(decoded), decoded.damage
    fault = Fault("damaged", damage) if damage else None
    return _Photo(fault, fingerprint_image(views), measure_look(views, len(data))), pixels


def _prepare(data: bytes, decoded: Photo, spec: PreprocessSpec, limits: ImageLimits | None) -> NDArray[np.uint8]:
    """The network's input; only a network of many pixels needs the photo decoded once more."""
    height, width = least_size(spec)
    picture = decoded.picture
    if picture.size == (decoded.width, decoded.height) or (picture.height >= height and picture.width >= width):
        return resize_picture(picture, spec)
    return prepare_photo(data, spec, limits=limits)


def _set(found: Measurements, position: int, photo: _Photo) -> None:
    if photo.fault is not None:
        found.faults[position] = photo.fault
    if photo.print is not None:
        set_fingerprint(found.prints, position, photo.print)
    if photo.look is not None:
        found.look[position] = photo.look
    if photo.features is not None and found.features is not None:
        found.features[position] = photo.features


def _feature_size(predictor: Predictor | None) -> int | None:
    """How many features the network gives; None where it gives none."""
    if predictor is None:
        return None
    outputs = predictor.run(np.zeros((1, *predictor.spec.size, 3), np.uint8), ("features",))
    return None if outputs.features is None else outputs.features.shape[1]


def _feature_kind(predictor: Predictor) -> str:
    return f"features-{predictor.bundle.manifest.files[MODEL_NAME].sha256[:32]}"
