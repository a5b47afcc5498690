"""`replay.safetensors`: what a head needs to keep what it knows while it learns a camera; see `docs/bundle-format.md`.

`n` is the number of photos, `d` of features, `k` of directions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from binsight.bundle.bundle import Bundle
from binsight.bundle.container import REPLAY_NAME
from binsight.bundle.strict_json import parse_object
from binsight.errors import BundleError

__all__ = ["MAX_REPLAY_BYTES", "CameraPhotos", "Replay", "make_replay", "read_replay"]

MAX_REPLAY_BYTES: Final = 3_000_000
_DIRECTIONS: Final = 192  # what they leave out of the logits of `val` decides one photo in a hundred: docs/results.md
_MOST_PHOTOS: Final = 7000
_LARGEST_CODE: Final = 127
_MAX_HEADER: Final = 1 << 16
_DTYPES: Final[dict[str, str]] = {"F32": "<f4", "F16": "<f2", "I8": "|i1", "U16": "<u2", "U8": "|u1"}
_NAMES: Final = ("mean", "basis", "scale", "codes", "labels", "held", "camera.codes", "camera.scale", "camera.labels")
_NOTHING_OUTSIDE: Final = 65535  # the label of a photo of none of the classes
_ALIGNMENT: Final = 8


@dataclass(frozen=True, eq=False)
class CameraPhotos:
    """Photos of a camera that a head has been taught.

    Attributes:
        features: `(n, d)` float32.
        labels: `(n,)`; -1 for a photo of none of the classes.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> CameraPhotos:
        """Some of the photos."""
        return CameraPhotos(self.features[rows], self.labels[rows])

    def followed_by(self, others: CameraPhotos) -> CameraPhotos:
        """These and then the others."""
        return CameraPhotos(
            np.concatenate([self.features, others.features]), np.concatenate([self.labels, others.labels])
        )


@dataclass(frozen=True, eq=False)
class Replay:
    """The features of the photos that a network was trained and calibrated on, reduced.

    A photo's features are about `mean + basis @ codes`.

    Attributes:
        mean: `(d,)` float32.
        basis: `(d, k)` float32, orthonormal but for rounding.
        codes: `(n, k)` float32.
        labels: `(n,)`, the classes.
        held: `(n,)`, which of them the network did not learn from: they calibrate.
        camera: photos of cameras it was taught since.
    """

    mean: NDArray[np.float32]
    basis: NDArray[np.float32]
    codes: NDArray[np.float32]
    labels: NDArray[np.int64]
    held: NDArray[np.bool_]
    camera: CameraPhotos = field(
        default_factory=lambda: CameraPhotos(np.zeros((0, 0), np.float32), np.zeros(0, np.int64))
    )

    def calibration_photos(self) -> CameraPhotos:
        """Those that the network did not learn from."""
        return CameraPhotos(self.mean + self.codes[self.held] @ self.basis.T, self.labels[self.held])

    def to_bytes(self) -> bytes:
        """The file; of the photos of cameras as many as there is room for, evenly spread."""
        scale = np.maximum(np.abs(self.codes).max(axis=0), 1e-12) / _LARGEST_CODE
        tensors: dict[str, NDArray[Any]] = {
            "mean": self.mean.astype("<f4"),
            "basis": self.basis.astype("<f2"),
            "scale": scale.astype("<f4"),
            "codes": np.rint(self.codes / scale).astype("|i1"),
            "labels": self.labels.astype("<u2"),
            "held": self.held.astype("|u1"),
        }
        taken = sum(tensor.nbytes for tensor in tensors.values()) + _MAX_HEADER
        room = (MAX_REPLAY_BYTES - taken) // (len(self.mean) + 6)
        if room < 0:
            raise BundleError(f"expected at most {MAX_REPLAY_BYTES:,} bytes; train on fewer photos", file=REPLAY_NAME)
        if count := min(len(self.camera), room):
            kept = np.linspace(0, len(self.camera) - 1, count).astype(np.intp)
            features = self.camera.features[kept]
            rows = np.maximum(np.abs(features).max(axis=1), 1e-12) / _LARGEST_CODE
            tensors |= {
                "camera.codes": np.rint(features / rows[:, None]).astype("|i1"),
                "camera.scale": rows.astype("<f4"),
                "camera.labels": np.where(
                    self.camera.labels[kept] < 0, _NOTHING_OUTSIDE, self.camera.labels[kept]
                ).astype("<u2"),
            }
        return _save(tensors)

    @classmethod
    def from_bytes(cls, data: bytes) -> Replay:
        """Read and check the file.

        Raises:
            BundleError: it is malformed.
        """
        found = _load(data)
        if missing := [name for name in _NAMES[:6] if name not in found]:
            raise _fault(f"missing {', '.join(missing)}")
        mean, basis, codes = found["mean"], found["basis"], found["codes"]
        (n, k), d = codes.shape if codes.ndim == 2 else (0, 0), len(mean) if mean.ndim == 1 else 0
        expected = {"mean": (d,), "basis": (d, k), "scale": (k,), "codes": (n, k), "labels": (n,), "held": (n,)}
        rows = len(found["camera.labels"]) if "camera.labels" in found else 0
        if rows:
            expected |= {"camera.codes": (rows, d), "camera.scale": (rows,), "camera.labels": (rows,)}
        faults = [
            f"{name}: expected {list(shape)}" for name, shape in expected.items()
            if name not in found or found[name].shape != shape
        ]  # fmt: skip
        if faults or not (n and d and k):
            raise _fault("; ".join(faults) or "it holds no photos")
        if not 0 < np.count_nonzero(found["held"]) < n:
            raise _fault("held: expected photos that were learned from and photos that were not")
        if not all(np.isfinite(found[name]).all() for name in expected):
            raise _fault("it holds what is not a number")
        camera = _camera(found, d) if rows else CameraPhotos(np.zeros((0, d), np.float32), np.zeros(0, np.int64))
        return cls(
            mean.astype(np.float32),
            basis.astype(np.float32),
            codes.astype(np.float32) * found["scale"].astype(np.float32),
            found["labels"].astype(np.int64),
            found["held"] != 0,
            camera,
        )


def make_replay(
    features: NDArray[np.floating], labels: NDArray[np.integer], held: NDArray[np.bool_], *, heads: NDArray[np.floating]
) -> Replay:
    """Reduce the features of photos to what heads see of them and what else they differ in most.

    Of more than 7,000 photos as many are taken, each class in its share; first of all those that may calibrate, up to
    half of the room.

    Args:
        features: `(n, d)`.
        labels: `(n,)`.
        held: `(n,)`, which the network did not learn from.
        heads: `(d, C)`, weights whose products with the features are to be kept.
    """
    if len(labels) > _MOST_PHOTOS:
        calibrating = _spread(np.flatnonzero(held), labels, _MOST_PHOTOS // 2)
        kept = np.sort(np.append(calibrating, _spread(np.flatnonzero(~held), labels, _MOST_PHOTOS - len(calibrating))))
        features, labels, held = features[kept], labels[kept], held[kept]
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean
    seen = np.linalg.qr(heads.astype(np.float64))[0]
    beside = centred - (centred @ seen) @ seen.T
    _, vectors = np.linalg.eigh(beside.T @ beside)
    count = max(0, min(_DIRECTIONS, *features.shape) - seen.shape[1])
    rest = vectors[:, ::-1][:, :count]
    basis = np.linalg.qr(np.concatenate([seen, rest], axis=1))[0].astype(np.float16).astype(np.float32)
    codes = (centred @ basis).astype(np.float32)
    return Replay(mean.astype(np.float32), basis, codes, labels.astype(np.int64), np.asarray(held, bool))


def _spread(rows: NDArray[np.intp], labels: NDArray[np.integer], most: int) -> NDArray[np.intp]:
    """So many of the rows at most, each class in its share."""
    order = rows[np.argsort(labels[rows], kind="stable")]
    return order[np.linspace(0, len(order) - 1, min(most, len(order))).astype(np.intp)]


def read_replay(bundle: Bundle) -> Replay | None:
    """The replay of a bundle; None where it has none.

    Raises:
        BundleError: it is malformed or was altered, or of other classes than the bundle.
    """
    if REPLAY_NAME not in bundle.manifest.files:
        return None
    if bundle.manifest.files[REPLAY_NAME].size > MAX_REPLAY_BYTES:
        raise _fault(f"expected at most {MAX_REPLAY_BYTES:,} bytes")
    replay = Replay.from_bytes(bundle.read(REPLAY_NAME))
    classes = len(bundle.manifest.taxonomy)
    if max(replay.labels.max(), replay.camera.labels.max(initial=-1)) >= classes:
        raise _fault(f"expected labels of {classes} classes")
    return replay


def _camera(found: Mapping[str, NDArray[Any]], width: int) -> CameraPhotos:
    labels = found["camera.labels"].astype(np.int64)
    features = found["camera.codes"].astype(np.float32) * found["camera.scale"][:, None].astype(np.float32)
    return CameraPhotos(features.reshape(-1, width), np.where(labels == _NOTHING_OUTSIDE, -1, labels))


def _save(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    names = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
    header: dict[str, Any] = {}
    end = 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [end, end + tensor.nbytes],
        }  # fmt: skip
        end += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return b"".join([len(text).to_bytes(8, "little"), text, *(tensor.tobytes() for tensor in tensors.values())])


def _load(data: bytes) -> dict[str, NDArray[Any]]:
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(_MAX_HEADER, len(data) - 8):
        raise _fault("not a safetensors file, or cut short")
    header, body = parse_object(data[8 : 8 + size], file=REPLAY_NAME), data[8 + size :]
    if unknown := [name for name in header if name not in _NAMES]:
        raise _fault(f"unknown tensor {unknown[0][:50]!r}")
    found, end = {}, 0
    for name, entry in header.items():
        try:
            dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(int(size) for size in entry["shape"])
            first, last = entry["data_offsets"]
        except (KeyError, TypeError, ValueError):
            raise _fault(f"{name}: expected dtype, shape and data_offsets") from None
        count = math.prod(shape)
        if any(size < 0 for size in shape) or first != end or last != first + count * dtype.itemsize:
            raise _fault(f"{name}: its place does not fit its shape")
        if last > len(body):
            raise _fault("cut short")
        found[name], end = np.frombuffer(body, dtype, count, first).reshape(shape), last
    if end != len(body):
        raise _fault("something follows the last tensor")
    return found


def _fault(message: str) -> BundleError:
    return BundleError(message, file=REPLAY_NAME)
