"""`bundle.json`: everything a bundle says about its network, checked once when it is read."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any, TypeGuard

from binsight.bundle.container import (
    CARD_NAME,
    DELTA_NAME,
    MANIFEST_NAME,
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    MODEL_NAME,
    NAME_PATTERN,
    FileEntry,
)
from binsight.bundle.strict_json import encode_object, expect_object, parse_object
from binsight.errors import BinsightError, BundleError
from binsight.imaging import PreprocessSpec
from binsight.probability import ReviewThresholds
from binsight.probability.intervals import Interval
from binsight.taxonomy import Taxonomy

__all__ = ["FORMAT", "Base", "Manifest", "Metric", "SplitMetrics"]

FORMAT = 1
_SHARING_FORMAT = 2  # of a bundle with a base
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_NO_DIGEST = "0" * 64


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured value with its 95 % confidence interval; the bounds are None where none was computed."""

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, found: Interval) -> Metric:
        """The metric of a figure; bounds that are not-a-number are none."""
        low, high = (None if math.isnan(bound) else bound for bound in (found.low, found.high))
        return cls(found.value, low, high)


@dataclass(frozen=True, slots=True)
class SplitMetrics:
    """What was measured on one named split of the data."""

    photos: int
    values: Mapping[str, Metric]


@dataclass(frozen=True, slots=True)
class Base:
    """The bundle in the package from whose network that of this bundle is made.

    Attributes:
        name: of that bundle.
        version: of that bundle, for people.
        sha256: of its `model.onnx`.
        delta: the file of differences.
    """

    name: str
    version: str
    sha256: str
    delta: FileEntry


@dataclass(frozen=True)
class Manifest:
    """The content of `bundle.json`; see `docs/bundle-format.md` for every key.

    Raises:
        BundleError: listing every fault.
    """

    name: str
    version: str
    created: str
    taxonomy: Taxonomy
    preprocess: PreprocessSpec
    temperature: float
    biodegradable_temperature: float | None
    review: ReviewThresholds
    metrics: Mapping[str, SplitMetrics] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    base: Base | None = None

    def __post_init__(self) -> None:
        if faults := _faults(self):
            raise BundleError("; ".join(faults), file=MANIFEST_NAME)

    def with_files(self, files: Mapping[str, FileEntry], base: Base | None = None) -> Manifest:
        """The same manifest, listing `files`, whose network is made from that of `base`, if there is one."""
        return replace(self, files=files, base=base)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the format, with its own digest left zero."""
        shared = {} if self.base is None else {"base": {**asdict(self.base), "delta": _entry(self.base.delta)}}
        return {
            "format": _SHARING_FORMAT if shared else FORMAT,
            "sha256": _NO_DIGEST,
            "name": self.name,
            "version": self.version,
            "created": self.created,
            "taxonomy": self.taxonomy.to_dict(),
            "preprocess": self.preprocess.to_dict(),
            "temperature": self.temperature,
            "biodegradable_temperature": self.biodegradable_temperature,
            "review": {
                **asdict(self.review),
                "confidence": dict(zip(self.taxonomy.ids, self.review.confidence, strict=True)),
            },
            "metrics": {name: asdict(split) for name, split in self.metrics.items()},
            "training": dict(self.training),
            "files": {name: _entry(entry) for name, entry in sorted(self.files.items())},
            **shared,
        }

    def to_bytes(self) -> bytes:
        """`bundle.json` as it is written, its own digest filled in.

        Raises:
            BundleError: `training` holds what JSON cannot, or the whole is too large.
        """
        blank = encode_object(self.to_dict(), file=MANIFEST_NAME)
        if len(blank) > MAX_MANIFEST_BYTES:
            raise BundleError(f"expected at most {MAX_MANIFEST_BYTES:,} bytes, got {len(blank):,}", file=MANIFEST_NAME)
        return blank.replace(_NO_DIGEST.encode(), hashlib.sha256(blank).hexdigest().encode(), 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read and check `bundle.json`.

        Raises:
            BundleError: it is malformed or was altered.
        """
        raw = parse_object(data, file=MANIFEST_NAME)
        _check_keys(raw)
        _check_own_digest(data, raw["sha256"])
        try:
            return _from_dict(raw)
        except BundleError:
            raise
        except BinsightError as error:
            raise BundleError(str(error), file=MANIFEST_NAME) from error
        except TypeError as error:
            raise BundleError(f"a value has the wrong type ({error})", file=MANIFEST_NAME) from error


def _check_keys(raw: Mapping[str, Any]) -> None:
    found = raw.get("format")
    if type(found) is not int or found not in (FORMAT, _SHARING_FORMAT):
        raise BundleError(
            f"expected format {FORMAT} or {_SHARING_FORMAT}, got {json.dumps(found)[:50]}; update binsight, or train "
            "the model again",
            file=MANIFEST_NAME,
        )
    keys = ["format", "sha256", *(entry.name for entry in fields(Manifest))]
    _object(raw, "", [key for key in keys if key != "base" or found == _SHARING_FORMAT])


def _check_own_digest(data: bytes, stated: object) -> None:
    if not _is_sha256(stated):
        raise BundleError("sha256: expected 64 lower-case hex digits", file=MANIFEST_NAME)
    # No other place can hold the same digits: they would have to be a hash of themselves.
    if hashlib.sha256(data.replace(stated.encode(), _NO_DIGEST.encode(), 1)).hexdigest() != stated:
        raise BundleError("altered: its content does not match its own sha256", file=MANIFEST_NAME)


def _object(value: object, where: str, keys: Collection[str] | None = None) -> Mapping[str, Any]:
    return expect_object(value, where, keys, file=MANIFEST_NAME)


def _from_dict(raw: Mapping[str, Any]) -> Manifest:
    taxonomy = Taxonomy.from_dict(_object(raw["taxonomy"], "taxonomy"))
    return Manifest(
        name=raw["name"],
        version=raw["version"],
        created=raw["created"],
        taxonomy=taxonomy,
        preprocess=PreprocessSpec.from_dict(_object(raw["preprocess"], "preprocess")),
        temperature=raw["temperature"],
        biodegradable_temperature=raw["biodegradable_temperature"],
        review=_review_from_dict(raw["review"], taxonomy),
        metrics={name: _split_from_dict(name, split) for name, split in _object(raw["metrics"], "metrics").items()},
        training=_object(raw["training"], "training"),
        files={name: _file_from_dict(name, entry) for name, entry in _object(raw["files"], "files").items()},
        base=_base_from_dict(raw["base"]) if "base" in raw else None,
    )


def _base_from_dict(raw: object) -> Base:
    base = _object(raw, "base", ("name", "version", "sha256", "delta"))
    return Base(base["name"], base["version"], base["sha256"], _file_from_dict(DELTA_NAME, base["delta"]))


def _file_from_dict(name: str, raw: object) -> FileEntry:
    entry = _object(raw, f"files: {name}", ("sha256", "bytes"))
    return FileEntry(sha256=entry["sha256"], size=entry["bytes"])


def _entry(file: FileEntry) -> dict[str, Any]:
    return {"sha256": file.sha256, "bytes": file.size}


def _review_from_dict(raw: object, taxonomy: Taxonomy) -> ReviewThresholds:
    review = _object(raw, "review", ("confidence", "disagreement", "unfamiliarity"))
    confidence = _object(review["confidence"], "review.confidence", taxonomy.ids)
    return ReviewThresholds(
        confidence=tuple(confidence[c] for c in taxonomy.ids),
        disagreement=review["disagreement"],
        unfamiliarity=review["unfamiliarity"],
    )


def _split_from_dict(name: str, raw: object) -> SplitMetrics:
    where = f"metrics.{name}"
    split = _object(raw, where, ("photos", "values"))
    metrics = _object(split["values"], f"{where}.values")
    keys = ("value", "low", "high")
    values = {key: Metric(**_object(metric, f"{where}.values.{key}", keys)) for key, metric in metrics.items()}
    return SplitMetrics(split["photos"], values)


def _faults(manifest: Manifest) -> list[str]:
    base = manifest.base
    names = [("name", manifest.name), ("version", manifest.version)]
    names += [] if base is None else [("base.name", base.name), ("base.version", base.version)]
    faults = [
        f"{key} must match {NAME_PATTERN.pattern}, got {value!r}"
        for key, value in names
        if not isinstance(value, str) or not NAME_PATTERN.fullmatch(value)
    ]
    if not _is_utc(manifest.created):
        faults.append(f"created must be YYYY-MM-DDThh:mm:ssZ, got {manifest.created!r}")
    faults += _number_faults(manifest)
    for split, metrics in manifest.metrics.items():
        if not _is_count(metrics.photos):
            faults.append(f"metrics.{split}.photos must be a whole number, got {metrics.photos!r}")
        faults += [
            f"metrics.{split}.values.{name}: value must be a number, low and high numbers or null"
            for name, metric in metrics.values.items()
            if not _is_metric(metric)
        ]
    if not isinstance(manifest.training, Mapping):
        faults.append("training must be an object")
    if base is not None and not _is_sha256(base.sha256):
        faults.append("base.sha256: expected 64 lower-case hex digits")
    return faults + _file_faults(manifest.files, {} if base is None else {DELTA_NAME: base.delta})


def _number_faults(manifest: Manifest) -> list[str]:
    faults = []
    if not _is_number(manifest.temperature) or manifest.temperature <= 0:
        faults.append(f"temperature must be a number above 0, got {manifest.temperature!r}")
    second = manifest.biodegradable_temperature
    if (second is not None) is not manifest.taxonomy.has_biodegradability:
        faults.append("biodegradable_temperature must be given exactly when the taxonomy says what is biodegradable")
    elif second is not None and (not _is_number(second) or second <= 0):
        faults.append(f"biodegradable_temperature must be a number above 0, got {second!r}")
    review = manifest.review
    if len(review.confidence) != len(manifest.taxonomy) or not all(_is_share(v) for v in review.confidence):
        faults.append("review.confidence: expected a number in [0, 1] for every class")
    if review.disagreement is not None and not _is_share(review.disagreement):
        faults.append(f"review.disagreement must be in [0, 1] or null, got {review.disagreement!r}")
    if review.unfamiliarity is not None and not _is_number(review.unfamiliarity):
        faults.append(f"review.unfamiliarity must be a number or null, got {review.unfamiliarity!r}")
    return faults


def _file_faults(files: Mapping[str, FileEntry], beside: Mapping[str, FileEntry]) -> list[str]:
    faults = [f"files: {name!r} is not a plain file name" for name in files if not NAME_PATTERN.fullmatch(name)]
    if files and not {MODEL_NAME, CARD_NAME} <= set(files):
        faults.append(f"files: expected {MODEL_NAME} and {CARD_NAME} among them")
    if len(files) >= MAX_FILES:
        faults.append(f"files: expected fewer than {MAX_FILES}, got {len(files)}")
    faults += [f"files: {name} cannot list itself" for name in (MANIFEST_NAME, DELTA_NAME) if name in files]
    for name, entry in {**files, **beside}.items():
        if not _is_count(entry.size) or entry.size > MAX_FILE_BYTES:
            faults.append(f"files: {name}: bytes must be a whole number up to {MAX_FILE_BYTES:,}, got {entry.size!r}")
        if not _is_sha256(entry.sha256):
            faults.append(f"files: {name}: sha256 must be 64 lower-case hex digits")
    return faults


def _is_sha256(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(_SHA256.fullmatch(value))


def _is_utc(text: object) -> bool:
    try:
        return isinstance(text, str) and bool(_UTC.fullmatch(text) and datetime.fromisoformat(text))
    except ValueError:
        return False


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1  # type: ignore[operator]  # a number, as just checked


def _is_metric(metric: Metric) -> bool:
    return _is_number(metric.value) and all(bound is None or _is_number(bound) for bound in (metric.low, metric.high))
