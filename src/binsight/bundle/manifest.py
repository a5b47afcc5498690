"""`bundle.json`: everything a bundle says about its network, checked once when it is read."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from binsight.bundle.container import MANIFEST_NAME, MODEL_NAME, NAME_PATTERN, FileEntry
from binsight.errors import BinsightError, BundleError
from binsight.imaging import PreprocessSpec
from binsight.probability import ReviewThresholds
from binsight.taxonomy import Taxonomy

__all__ = ["FORMAT", "Manifest", "Metric", "SplitMetrics"]

FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OWN_DIGEST = re.compile(rb'"sha256": "([0-9a-f]{64})"')
_NO_DIGEST = "0" * 64
_KEYS = (
    "format",
    "sha256",
    "name",
    "version",
    "created",
    "taxonomy",
    "preprocess",
    "temperature",
    "biodegradable_temperature",
    "review",
    "metrics",
    "training",
    "files",
)


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured value with its 95 % confidence interval; the bounds are None where none was computed."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class SplitMetrics:
    """What was measured on one named split of the data."""

    photos: int
    values: Mapping[str, Metric]


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

    def __post_init__(self) -> None:
        if faults := _faults(self):
            raise BundleError("; ".join(faults), file=MANIFEST_NAME)

    def with_files(self, files: Mapping[str, FileEntry]) -> Manifest:
        """The same manifest, listing `files`."""
        return replace(self, files=files)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the format, with its own digest left zero."""
        return {
            "format": FORMAT,
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
            "files": {name: {"sha256": e.sha256, "bytes": e.size} for name, e in sorted(self.files.items())},
        }

    def to_bytes(self) -> bytes:
        """`bundle.json` as it is written, its own digest filled in."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        blank = text.encode("utf-8")
        return blank.replace(_NO_DIGEST.encode(), hashlib.sha256(blank).hexdigest().encode(), 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read and check `bundle.json`.

        Raises:
            BundleError: it is malformed or was altered.
        """
        raw = _parse(data)
        _check_keys(raw)
        _check_own_digest(data, raw["sha256"])
        try:
            return _from_dict(raw)
        except BundleError:
            raise
        except BinsightError as error:
            raise BundleError(str(error), file=MANIFEST_NAME) from error
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise BundleError(f"a value has the wrong type or is missing ({error})", file=MANIFEST_NAME) from error


def _parse(data: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(data.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"not valid JSON: {error}", file=MANIFEST_NAME) from error
    if not isinstance(raw, dict):
        raise BundleError(f"expected a JSON object, got {type(raw).__name__}", file=MANIFEST_NAME)
    return raw


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError(f"key {next(k for k in keys if keys.count(k) > 1)!r} appears twice")
    return dict(pairs)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _check_keys(raw: Mapping[str, Any]) -> None:
    found = raw.get("format")
    if found != FORMAT or isinstance(found, bool):
        raise BundleError(
            f"expected format {FORMAT}, got {found!r}; update binsight, or train the model again", file=MANIFEST_NAME
        )
    faults = [f"missing {key}" for key in _KEYS if key not in raw]
    faults += [f"unknown key {key}" for key in raw if key not in _KEYS]
    if faults:
        raise BundleError("; ".join(faults), file=MANIFEST_NAME)


def _check_own_digest(data: bytes, stated: object) -> None:
    match = _OWN_DIGEST.search(data)
    if match is None or match[1].decode() != stated:
        raise BundleError('expected "sha256" with 64 hex digits ahead of all other digests', file=MANIFEST_NAME)
    blank = data[: match.start(1)] + _NO_DIGEST.encode() + data[match.end(1) :]
    if hashlib.sha256(blank).hexdigest() != stated:
        raise BundleError("altered: its content does not match its own sha256", file=MANIFEST_NAME)


def _from_dict(raw: Mapping[str, Any]) -> Manifest:
    taxonomy = Taxonomy.from_dict(raw["taxonomy"])
    return Manifest(
        name=raw["name"],
        version=raw["version"],
        created=raw["created"],
        taxonomy=taxonomy,
        preprocess=PreprocessSpec.from_dict(raw["preprocess"]),
        temperature=raw["temperature"],
        biodegradable_temperature=raw["biodegradable_temperature"],
        review=_review_from_dict(raw["review"], taxonomy),
        metrics={name: _split_from_dict(split) for name, split in raw["metrics"].items()},
        training=raw["training"],
        files={name: _file_from_dict(entry) for name, entry in raw["files"].items()},
    )


def _file_from_dict(raw: Mapping[str, Any]) -> FileEntry:
    if set(raw) != {"sha256", "bytes"}:
        raise BundleError(f"files: expected sha256 and bytes, got {', '.join(raw)}", file=MANIFEST_NAME)
    return FileEntry(sha256=raw["sha256"], size=raw["bytes"])


def _review_from_dict(raw: Mapping[str, Any], taxonomy: Taxonomy) -> ReviewThresholds:
    if set(raw) != {"confidence", "disagreement", "unfamiliarity"}:
        raise BundleError(
            f"review: expected confidence, disagreement and unfamiliarity, got {', '.join(raw)}", file=MANIFEST_NAME
        )
    confidence = raw["confidence"]
    if set(confidence) != set(taxonomy.ids):
        raise BundleError("review.confidence: expected one number for every class", file=MANIFEST_NAME)
    return ReviewThresholds(
        confidence=tuple(confidence[c] for c in taxonomy.ids),
        disagreement=raw["disagreement"],
        unfamiliarity=raw["unfamiliarity"],
    )


def _split_from_dict(raw: Mapping[str, Any]) -> SplitMetrics:
    values = {name: Metric(**metric) for name, metric in raw["values"].items()}
    return SplitMetrics(**{**raw, "values": values})


def _faults(manifest: Manifest) -> list[str]:
    faults = [
        f"{key} must match {NAME_PATTERN.pattern}, got {value!r}"
        for key, value in (("name", manifest.name), ("version", manifest.version))
        if not isinstance(value, str) or not NAME_PATTERN.fullmatch(value)
    ]
    if not _is_utc(manifest.created):
        faults.append(f"created must be YYYY-MM-DDThh:mm:ssZ, got {manifest.created!r}")
    faults += _number_faults(manifest)
    for split, metrics in manifest.metrics.items():
        if not isinstance(metrics.photos, int) or not all(_is_metric(m) for m in metrics.values.values()):
            faults.append(f"metrics.{split}: expected a number of photos, and numbers")
    if not isinstance(manifest.training, Mapping):
        faults.append("training must be an object")
    return faults + _file_faults(manifest.files)


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


def _file_faults(files: Mapping[str, FileEntry]) -> list[str]:
    faults = [f"files: {name!r} is not a plain file name" for name in files if not NAME_PATTERN.fullmatch(name)]
    if files and not {MODEL_NAME, "card.md"} <= set(files):
        faults.append(f"files: expected {MODEL_NAME} and card.md among them")
    if MANIFEST_NAME in files:
        faults.append(f"files: {MANIFEST_NAME} cannot list itself")
    for name, entry in files.items():
        if not isinstance(entry.size, int) or entry.size < 0 or isinstance(entry.size, bool):
            faults.append(f"files: {name}: bytes must be a whole number")
        if not isinstance(entry.sha256, str) or not _SHA256.fullmatch(entry.sha256):
            faults.append(f"files: {name}: sha256 must be 64 lower-case hex digits")
    return faults


def _is_utc(text: object) -> bool:
    try:
        return (
            isinstance(text, str)
            and datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").tzname() == "UTC"
            and text[-1] == "Z"
        )
    except ValueError:
        return False


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1  # type: ignore[operator]  # a number, as just checked


def _is_metric(metric: Metric) -> bool:
    return _is_number(metric.value) and all(bound is None or _is_number(bound) for bound in (metric.low, metric.high))
