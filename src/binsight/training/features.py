"""Features of photos from a frozen backbone, computed once and kept.

The cache is a folder for each backbone, preprocessing and view (`feature_cache`); in it, a photo is known by the
SHA-256 of its bytes. So renaming or moving photos costs nothing, and a changed photo is computed again. It is added to
now and then while the photos are looked at, so an interrupted pass is continued.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from binsight.bundle.runtime import open_graph
from binsight.errors import ImageError, SettingsError
from binsight.imaging import PreprocessSpec, decode_image, prepare_photo, read_photo
from binsight.predictor import run_in_order
from binsight.progress import Progress, unheard
from binsight.training.augment.photo import augment_photo
from binsight.training.augment.settings import AugmentSettings
from binsight.training.feature_cache import FeatureCache

__all__ = ["AugmentedView", "FeatureExtractor", "KnownFeatures", "View", "check_known"]

_DECODED = 2  # times the network's input; more pixels only cost time
_PROBES = 3
_SAME = 1e-4  # of the largest feature: as near as the same network is to itself on another machine


@dataclass(frozen=True, slots=True)
class AugmentedView:
    """A photo altered at random, always in the same way: the draws depend on its content and on `draw`.

    Attributes:
        settings: how it may be altered.
        draw: another number gives another view.
    """

    settings: AugmentSettings
    draw: int = 0

    @property
    def name(self) -> str:
        """A name for it in the cache."""
        described = json.dumps(asdict(self.settings), sort_keys=True)
        return f"augmented-{hashlib.sha256(described.encode()).hexdigest()[:12]}-{self.draw}"


View = Literal["upright", "mirrored"] | AugmentedView


class KnownFeatures(Protocol):
    """Features that were computed elsewhere; `binsight.batch.features` reads those of a job.

    Attributes:
        where: what they are, for messages.
        spec: how photos were prepared.
    """

    where: str
    spec: PreprocessSpec

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """What its network gives for prepared photos."""

    def parts(self, *, mirrored: bool = False) -> Iterable[tuple[list[bytes], NDArray[np.float32]]]:
        """The SHA-256 of some photos, and their features `(n, d)`, as often as there are more."""


def check_known(known: KnownFeatures, backbone: bytes, spec: PreprocessSpec) -> None:
    """Make sure that features which were computed elsewhere are those of a backbone, by trying both networks.

    Raises:
        SettingsError: they were prepared in another way, or are of another network.
    """
    if known.spec != spec:
        theirs, own = known.spec.to_dict(), spec.to_dict()
        unlike = ", ".join(f"{name} {theirs[name]}, here {own[name]}" for name in own if theirs[name] != own[name])
        raise SettingsError(
            f"the features of {known.where}, are of photos prepared in another way: {unlike}; choose the same backbone "
            "and size, or plan a job with a model of this one"
        )
    probes = np.random.default_rng(0).integers(0, 256, (_PROBES, *spec.size, 3), np.uint8)
    found, (own_found,) = known.run(probes), open_graph(backbone).run(["features"], {"images": probes})
    if (
        found is None
        or found.shape != own_found.shape
        or np.abs(found - own_found).max() > _SAME * np.abs(own_found).max()
    ):
        raise SettingsError(
            f"the features of {known.where}, are not those of this backbone; plan a job with a model that was trained "
            "on it frozen, or train with the job's own: --backbone bundle:PATH"
        )


class FeatureExtractor:
    """Runs a backbone's ONNX graph on photo files, each only once.

    Args:
        backbone: an ONNX file's content, input `images` uint8 `(n, h, w, 3)`, output `features` float32 `(n, d)`.
        spec: how photos are prepared for it.
        cache: the folder to keep features in, or None to keep nothing.
        workers: how many photos to work on at a time; None: one per core.
    """

    def __init__(self, backbone: bytes, spec: PreprocessSpec, *, cache: Path | None, workers: int | None) -> None:
        self._session = open_graph(backbone)
        self._spec = spec
        self._cache = cache
        self._workers = workers
        self._key = hashlib.sha256(backbone + json.dumps(spec.to_dict(), sort_keys=True).encode()).hexdigest()

    def extract(
        self, photos: Sequence[Path], *, view: View = "upright", progress: Progress = unheard
    ) -> NDArray[np.float32]:
        """The features of each photo.

        Args:
            photos: files.
            view: the photo as it is, its mirror image, or altered at random.
            progress: called with each photo.

        Returns:
            `(n, d)` float32, in the order of the photos.

        Raises:
            InputError: a photo cannot be read.
            ImageError: a photo is refused; its path is in the message.
        """
        cache = self._open_cache(view)

        def one(photo: Path) -> tuple[bytes, NDArray[np.float32]]:
            data = read_photo(photo)
            digest = hashlib.sha256(data).digest()
            found = cache.get(digest)
            return digest, self._run(photo, data, view) if found is None else found

        rows = []
        try:
            for digest, row in run_in_order(one, photos, workers=self._workers, progress=progress):
                cache.put(digest, row)
                rows.append(row)
        finally:
            cache.save()
        return np.stack(rows)

    def take(self, known: KnownFeatures) -> int:
        """Put features that were computed elsewhere into the cache, photos as they are and mirrored.

        Returns:
            How many photos they are of.
        """
        photos = 0
        for view in ("upright", "mirrored"):
            cache = self._open_cache(view)
            for digests, rows in known.parts(mirrored=view == "mirrored"):
                for digest, row in zip(digests, rows, strict=True):
                    cache.put(digest, row)
                cache.save()
                photos += len(digests) if view == "upright" else 0
        return photos

    def _open_cache(self, view: View) -> FeatureCache:
        name = view.name if isinstance(view, AugmentedView) else view
        return FeatureCache(self._cache / f"features-{self._key[:16]}-{name}" if self._cache else None)

    def _run(self, photo: Path, data: bytes, view: View) -> NDArray[np.float32]:
        try:
            image = self._prepare(data, view)
        except ImageError as error:
            raise type(error)(f"{photo}: {error}") from error
        outputs: list[NDArray[np.float32]] = self._session.run(
            ["features"], {"images": np.ascontiguousarray(image[None])}
        )
        row: NDArray[np.float32] = outputs[0][0]
        return row

    def _prepare(self, data: bytes, view: View) -> NDArray[np.uint8]:
        if not isinstance(view, AugmentedView):
            image = prepare_photo(data, self._spec)
            return image if view == "upright" else image[:, ::-1]
        height, width = (_DECODED * side for side in self._spec.size)
        generator = np.random.default_rng([int(hashlib.sha256(data).hexdigest(), 16), view.draw])
        return augment_photo(decode_image(data, min_size=(height, width)), self._spec, view.settings, generator)
