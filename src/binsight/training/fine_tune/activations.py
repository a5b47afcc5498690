"""What a backbone's first layers make of photos, computed once for a fixed number of altered views.

Layers that are not trained see the same numbers in every epoch. So their part of the network runs once per view, by
ONNX Runtime, and only the rest is trained: on a processor that is several times faster, and the layers that hold the
most general of what was pretrained stay as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, shape_inference
from onnx.utils import Extractor

from binsight.bundle.runtime import open_graph
from binsight.files import replacing
from binsight.imaging import PreprocessSpec, prepare_photo
from binsight.predictor import run_in_order
from binsight.progress import Progress, unheard
from binsight.training.augment.photo import augment_photo
from binsight.training.augment.settings import AugmentSettings
from binsight.training.photos import decode_for_augmentation, draw_photo, open_photo

__all__ = ["ActivationCache", "cut_graph"]

Activations = NDArray[np.float16]


def cut_graph(backbone: ModelProto, tensor: str) -> bytes:
    """Return the part of a graph from its `images` to an inner tensor, as the content of an ONNX file."""
    return bytes(
        Extractor(shape_inference.infer_shapes(backbone)).extract_model(["images"], [tensor]).SerializeToString()
    )


class ActivationCache:
    """Runs the first layers of a backbone on photos, and keeps what they give in files.

    Args:
        front: from `cut_graph`; its output is `(n, d, gh, gw)`.
        spec: how photos are prepared for the backbone.
        augment: how they are altered; view 0 never is.
        backdrops: photos of empty places, which objects may be pasted on.
        folder: where the files are; one of `n * gh * gw * d * 2` bytes per view.
        seed: of the alterations.
        workers: photos in work at a time; one per core is best.
    """

    def __init__(
        self,
        front: bytes,
        spec: PreprocessSpec,
        augment: AugmentSettings,
        *,
        folder: Path,
        seed: int,
        workers: int,
        backdrops: Sequence[Path] = (),
    ) -> None:
        self._session = open_graph(front)
        self._spec = spec
        self._augment = augment
        self._folder = folder
        self._seed = seed
        self._workers = workers
        about = {"spec": spec.to_dict(), "augment": asdict(augment), "seed": seed}
        places = b"".join(hashlib.sha256(photo.read_bytes()).digest() for photo in backdrops)
        self._key = hashlib.sha256(front + json.dumps(about, sort_keys=True).encode() + places).digest()
        self._backdrops = backdrops

    def view(self, photos: Sequence[Path], number: int, *, progress: Progress = unheard) -> Activations:
        """What the first layers make of one view of each photo.

        Args:
            photos: files; one may be put before the background of another, so that none of them may judge the network.
            number: of the view: 0 is each photo as it is, every other one is altered in its own way.
            progress: called with each photo; not at all where the file is there already.

        Returns:
            `(n, gh, gw, d)` float16, in the order of the photos; read from the file as it is needed.

        Raises:
            InputError: a photo cannot be read.
            ImageError: a photo is refused; its path is in the message.
        """
        path = self._folder / f"activations-{self._name(photos, number)}.npy"
        if not path.exists():
            self._compute(path, partial(self._row, photos, number), len(photos), progress)
        stored: Activations = np.load(path, mmap_mode="r", allow_pickle=False)
        return stored

    def _name(self, photos: Sequence[Path], number: int) -> str:
        digest = hashlib.sha256(self._key)
        for photo in photos:
            digest.update(hashlib.sha256(photo.read_bytes()).digest())
        return f"{digest.hexdigest()[:16]}-{number}"

    def _compute(self, path: Path, row_of: Callable[[int], Activations], count: int, progress: Progress) -> None:
        rows = run_in_order(row_of, range(count), workers=self._workers, progress=progress)
        with replacing(path) as file:
            for i, row in enumerate(rows):
                if i == 0:
                    about = {"descr": "<f2", "fortran_order": False, "shape": (count, *row.shape)}
                    np.lib.format.write_array_header_1_0(file, about)
                file.write(row.astype("<f2").tobytes())

    def _row(self, photos: Sequence[Path], number: int, index: int) -> Activations:
        image = self._picture(photos, number, index)
        (found,) = self._session.run(None, {"images": np.ascontiguousarray(image[None])})
        row: Activations = found[0].transpose(1, 2, 0).astype(np.float16)
        return row

    def _picture(self, photos: Sequence[Path], number: int, index: int) -> NDArray[np.uint8]:
        if number == 0:
            return open_photo(photos[index], partial(prepare_photo, spec=self._spec))
        decode = partial(decode_for_augmentation, size=self._spec.size)
        rng = np.random.default_rng([self._seed, number, index])
        other = photos[int(rng.integers(len(photos)))]
        return augment_photo(
            open_photo(photos[index], decode),
            self._spec,
            self._augment,
            rng,
            other=partial(open_photo, other, decode),
            place=draw_photo(self._backdrops, decode, rng),
        )
