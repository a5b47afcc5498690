"""Photos that cannot be used, or of which little can be learnt, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

import numpy as np

from binsight.dataset.audit.findings import Finding, Severity
from binsight.dataset.audit.look import LOOK
from binsight.dataset.audit.measure import Measurements
from binsight.dataset.audit.settings import AuditSettings
from binsight.dataset.samples import Dataset

__all__ = ["quality_findings"]

# What photos may be called, by format; docs/audit.md.
_EXTENSIONS = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"},
    "PNG": {".png"},
    "WebP": {".webp"},
    "BMP": {".bmp", ".dib"},
    "GIF": {".gif"},
    "TIFF": {".tif", ".tiff"},
    "HEIC": {".heic", ".heif"},
    "AVIF": {".avif"},
}
_LEAVE_OUT = "leave it out; binsight data clean does"
_CLIPPED = 0.1  # of the pixels, for a light photo to count as overexposed


def quality_findings(dataset: Dataset, found: Measurements, settings: AuditSettings) -> list[Finding]:
    """What is wrong with single photos: one finding each, several for one photo where several things are."""
    return [*_faults(found), *_wrong_extensions(dataset, found), *_looks(found, settings)]


def _faults(found: Measurements) -> Iterator[Finding]:
    for position, fault in sorted(found.faults.items()):
        if fault.code == "truncated":
            yield _finding("truncated", "error", position, fault.message, "copy or download it again, or leave it out")
        elif fault.code in {"damaged", "broken"}:
            yield _finding("damaged", "error", position, fault.message, "copy or download it again, or leave it out")
        else:
            yield _finding("unreadable", "error", position, fault.message, _LEAVE_OUT)


def _wrong_extensions(dataset: Dataset, found: Measurements) -> Iterator[Finding]:
    for position, (sample, usable) in enumerate(zip(dataset, found.usable.tolist(), strict=True)):
        if sample.format is None or not usable:
            continue
        suffix = PurePosixPath(sample.path).suffix.lower()
        if suffix not in _EXTENSIONS[sample.format]:
            message = f"called {suffix or 'without extension'}, but it is a {sample.format} picture"
            yield _finding("wrong_extension", "info", position, message, "rename it; other programs go by the name")


def _looks(found: Measurements, settings: AuditSettings) -> Iterator[Finding]:
    usable = np.flatnonzero(found.usable).tolist()
    # Plain numbers: taking each from the array would be most of the work.
    for position, row in zip(usable, found.look[usable].tolist(), strict=True):
        yield from _look(position, dict(zip(LOOK, row, strict=True)), settings)


def _look(position: int, look: Mapping[str, float], settings: AuditSettings) -> Iterator[Finding]:
    width, height = look["width"], look["height"]
    if look["animated"]:
        message = "animated, or of several pages; only the first is used"
        yield _finding("animated", "info", position, message, "leave it out, or keep the frame you mean")
    if min(width, height) < settings.min_side:
        message = f"{width:.0f} x {height:.0f} pixels, the shorter side is below {settings.min_side}"
        yield _finding("tiny", "warning", position, message, "find a larger original, or leave it out")
    if max(width, height) > settings.max_aspect * min(width, height):
        message = f"{width:.0f} x {height:.0f} pixels, more than {settings.max_aspect:g} to 1"
        yield _finding("extreme_aspect", "info", position, message, "crop it to the item: fitting squeezes or cuts it")
    yield from _exposure(position, look, settings)


def _exposure(position: int, look: Mapping[str, float], settings: AuditSettings) -> Iterator[Finding]:
    level = {p: look[f"level_{p}"] for p in (1, 5, 95, 99)}
    sharp = look["sharpness"]
    if level[99] - level[1] < settings.blank_contrast:
        message = f"one plain surface: luminance from {level[1]:.0f} to {level[99]:.0f}"
        yield _finding("blank", "warning", position, message, _LEAVE_OUT)
        return
    if level[95] < settings.dark_level:
        message = f"too dark: 95 % of it is below {level[95]:.0f} of 255"
        yield _finding("dark", "warning", position, message, "take it again with light, or leave it out")
    if level[5] > settings.light_level and look["clipped"] > _CLIPPED:
        message = f"overexposed: 95 % of it is above {level[5]:.0f} of 255, and much at the limit"
        yield _finding("overexposed", "info", position, message, "check whether the item can still be made out")
    if sharp < settings.min_sharpness:
        message = f"blurred: its sharpest edges have sharpness {sharp:.2f}, below {settings.min_sharpness:g}"
        yield _finding("blurred", "info", position, message, "leave it out, unless the camera in use is as soft")


def _finding(kind: str, severity: Severity, position: int, message: str, action: str) -> Finding:
    return Finding(kind, severity, (position,), message, action)
