"""Features of photos from a frozen backbone, computed once and kept.

The cache is a folder for each backbone, preprocessing and view (`feature_cache`); in it, a photo is known by the
SHA-256 of its bytes. So renaming or moving photos costs nothing, and a changed photo is computed again. It is added to
now and then while the photos are looked at, so an interrupted pass is continued.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from binsight.bundle.runtime import open_graph
from binsight.errors import ImageError
from binsight.imaging import PreprocessSpec, decode_image, prepare_photo, read_photo
from binsight.predictor import run_in_order
from binsight.training.augment.photo import augment_photo
from binsight.training.augment.settings import AugmentSettings
from binsight.training.feature_cache import FeatureCache

__all__ = ["AugmentedView", "FeatureExtractor", "View"]

_DECODED = 2  # times the network's input; more pixels only cost time


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
        self, photos: Sequence[Path], *, view: View = "upright", progress: Callable[[], None] = lambda: None
    ) -> NDArray[np.float32]:
        """The features of each photo.

        Args:
            photos: files.
            view: the photo as it is, its mirror image, or altered at random.
            progress: called once per photo.

        Returns:
            `(n, d)` float32, in the order of the photos.

        Raises:
            InputError: a photo cannot be read.
            ImageError: a photo is refused; its path is in the message.
        """
        name = view.name if isinstance(view, AugmentedView) else view
        cache = FeatureCache(self._cache / f"features-{self._key[:16]}-{name}" if self._cache else None)

        def one(photo: Path) -> tuple[bytes, NDArray[np.float32]]:
            data = read_photo(photo)
            digest = hashlib.sha256(data).digest()
            found = cache.get(digest)
            return digest, self._run(photo, data, view) if found is None else found

        rows = []
        try:
            for digest, row in run_in_order(one, photos, workers=self._workers):
                cache.put(digest, row)
                rows.append(row)
                progress()
        finally:
            cache.save()
        return np.stack(rows)

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
