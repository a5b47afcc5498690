"""`calibration.json`: what a bundle was calibrated for, and which photos it has seen; see `docs/bundle-format.md`."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from binsight.bundle.bundle import Bundle
from binsight.bundle.container import CALIBRATION_NAME
from binsight.bundle.strict_json import encode_object, expect_object, parse_object
from binsight.errors import BundleError
from binsight.probability.calibration import ReviewTargets

__all__ = ["ROLES", "CalibrationRecord", "photo_key", "read_calibration"]

ROLES: Final = ("trained", "calibrated", "chosen")
"""What photos are used for: the weights, the temperatures and thresholds, the choice among settings or weights."""

_FORMAT = 1
_KEY_BYTES = 8


@dataclass(frozen=True, eq=False)
class CalibrationRecord:
    """How a bundle was calibrated, and on what.

    Attributes:
        targets: what its review thresholds were chosen for.
        shown_precision: what was shown of the wanted precision, in [0, 1]; see `binsight.probability.thresholds`.
        photos: for each of `ROLES` the sorted keys of the photos used for it, `(n,)` uint64.
    """

    targets: ReviewTargets
    shown_precision: float
    photos: Mapping[str, NDArray[np.uint64]]

    @classmethod
    def of(
        cls, targets: ReviewTargets, shown_precision: float, photos: Mapping[str, Iterable[int]]
    ) -> CalibrationRecord:
        """The record; of each role the keys of its photos, in any order. A role that is not named has none."""
        found = {role: np.unique(np.fromiter(photos.get(role, ()), np.uint64)) for role in ROLES}
        return cls(targets, shown_precision, found)

    def used(self, role: str, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of n photos, by their keys `(n,)`, were used for one of `ROLES`: `(n,)`."""
        return np.isin(keys, self.photos[role])

    def to_bytes(self) -> bytes:
        """The file."""
        photos = {role: base64.b64encode(keys.astype(">u8").tobytes()).decode() for role, keys in self.photos.items()}
        content = {
            "format": _FORMAT,
            "targets": asdict(self.targets),
            "shown_precision": self.shown_precision,
            "photos": photos,
        }
        return encode_object(content, file=CALIBRATION_NAME)

    @classmethod
    def from_bytes(cls, data: bytes) -> CalibrationRecord:
        """Read and check the file.

        Raises:
            BundleError: it is malformed, or of a later format.
        """
        raw = parse_object(data, file=CALIBRATION_NAME)
        if raw.get("format") != _FORMAT:
            raise _fault(f"expected format {_FORMAT}, got {str(raw.get('format'))[:50]}; update binsight")
        _object(raw, "", ("format", "targets", "shown_precision", "photos"))
        names = tuple(ReviewTargets.__dataclass_fields__)
        targets = _object(raw["targets"], "targets", names)
        shares = {**{f"targets.{name}": targets[name] for name in names}, "shown_precision": raw["shown_precision"]}
        for name, value in shares.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise _fault(f"{name}: expected a number in [0, 1], got {str(value)[:50]}")
        photos = _object(raw["photos"], "photos", ROLES)
        return cls(ReviewTargets(**targets), raw["shown_precision"], {r: _keys(r, photos[r]) for r in ROLES})


def photo_key(sha256: str | bytes) -> int:
    """The key of a photo: the first 8 bytes, as a number, of the SHA-256 of its file.

    Args:
        sha256: the digest in hexadecimal, or the file's bytes.
    """
    digest = hashlib.sha256(sha256).digest() if isinstance(sha256, bytes) else bytes.fromhex(sha256)
    return int.from_bytes(digest[:_KEY_BYTES], "big")


def read_calibration(bundle: Bundle) -> CalibrationRecord | None:
    """The record in a bundle; None where it has none, as bundles from before there were any.

    Raises:
        BundleError: it is malformed or was altered.
    """
    if CALIBRATION_NAME not in bundle.manifest.files:
        return None
    return CalibrationRecord.from_bytes(bundle.read(CALIBRATION_NAME))


def _keys(role: str, text: object) -> NDArray[np.uint64]:
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        data = None
    if data is None or len(data) % _KEY_BYTES:
        raise _fault(f"photos.{role}: expected keys of {_KEY_BYTES} bytes each, in base64")
    return np.frombuffer(data, ">u8").astype(np.uint64)


def _object(value: object, where: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    return expect_object(value, where, keys, file=CALIBRATION_NAME)


def _fault(message: str) -> BundleError:
    return BundleError(message, file=CALIBRATION_NAME)
