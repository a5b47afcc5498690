"""Features of photos from a frozen backbone, computed once and kept.

The cache is one `.npz` file per backbone, preprocessing and view; in it, a photo is known by the SHA-256 of its bytes.
So renaming or moving photos costs nothing, and a changed photo is computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from binsight.bundle.runtime import import_onnxruntime
from binsight.errors import ImageError, WeightsError
from binsight.imaging import PreprocessSpec, prepare_photo, read_photo
from binsight.predictor import run_in_order

__all__ = ["FeatureExtractor", "View"]

View = Literal["upright", "mirrored"]


class FeatureExtractor:
    """Runs a backbone's ONNX graph on photo files, each only once.

    Args:
        backbone: an ONNX file's content, input `images` uint8 `(n, h, w, 3)`, output `features` float32 `(n, d)`.
        spec: how photos are prepared for it.
        cache: the folder to keep features in, or None to keep nothing.
        workers: how many photos to work on at a time; one per core is best.
    """

    def __init__(self, backbone: bytes, spec: PreprocessSpec, *, cache: Path | None, workers: int) -> None:
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(backbone, options, providers=["CPUExecutionProvider"])
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
            view: the photo as it is, or its mirror image.
            progress: called once per photo.

        Returns:
            `(n, d)` float32, in the order of the photos.

        Raises:
            InputError: a photo cannot be read.
            ImageError: a photo is refused; its path is in the message.
        """
        path = self._cache / f"features-{self._key[:16]}-{view}.npz" if self._cache else None
        known = _load(path) if path else {}

        def one(photo: Path) -> tuple[str, NDArray[np.float32]]:
            data = read_photo(photo)
            digest = hashlib.sha256(data).hexdigest()
            found = known.get(digest)
            return digest, self._run(photo, data, view) if found is None else found

        rows = []
        for digest, row in run_in_order(one, photos, workers=self._workers):
            known[digest] = row
            rows.append(row)
            progress()
        if path:
            _save(path, known)
        return np.stack(rows)

    def _run(self, photo: Path, data: bytes, view: View) -> NDArray[np.float32]:
        try:
            image = prepare_photo(data, self._spec)
        except ImageError as error:
            raise type(error)(f"{photo}: {error}") from error
        if view == "mirrored":
            image = image[:, ::-1]
        outputs: list[NDArray[np.float32]] = self._session.run(
            ["features"], {"images": np.ascontiguousarray(image[None])}
        )
        row: NDArray[np.float32] = outputs[0][0]
        return row


def _load(path: Path) -> dict[str, NDArray[np.float32]]:
    if not path.exists():
        return {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return dict(zip(stored["digests"].tolist(), stored["features"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path}: the feature cache is damaged ({error}); delete it and run again") from error


def _save(path: Path, known: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with draft.open("xb") as file:
            np.savez(file, digests=np.array(list(known)), features=np.stack(list(known.values())))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
