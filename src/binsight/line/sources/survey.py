"""A first pass over a recording: where the belt carries pieces, how fast, and what it looks like when it is empty."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.line.detect import Detector
from binsight.line.field import Direction
from binsight.line.ports import Source
from binsight.line.records import Frame

__all__ = ["Motion", "learn_belt", "measure_motion", "read_frames"]

_PAIRS, _EVERY_S = 40, 0.5  # pairs of frames that are compared, and how far apart they are taken
_SIDE = 160  # pixels of the longer side of the small pictures
_LEAST_SHARE = 0.02  # of the picture's side that pieces move between the two frames
_LEAST_CONTRAST = 12.0  # grey levels of a difference to the usual picture that may be a piece
_LEARN_SAMPLES = 96


@dataclass(frozen=True, slots=True)
class Motion:
    """How pieces move in a picture.

    Attributes:
        direction: where the belt carries them.
        field_per_s: how much of the picture's width (or height, where they move up or down) they pass each second.
    """

    direction: Direction
    field_per_s: float


def measure_motion(source: Source) -> Motion | None:
    """How the pieces in a recording move; None where nothing moves evenly.

    The difference of each picture to the usual one shows the pieces; its cross-correlation with that of a picture a
    little later peaks at how far they went. The median over many pairs counts.

    Args:
        source: the recording, with every frame; read up to where enough was seen.
    """
    pairs = list(_pairs(source))
    if len(pairs) < 3:
        return None
    usual = np.median(np.stack([first for first, _, _ in pairs]), axis=0)
    shifts = [_shift(first - usual, second - usual) / gap_s for first, second, gap_s in pairs]
    moving = np.array([shift for shift in shifts if np.abs(shift).sum() > 0])
    if len(moving) < 3:
        return None
    down, right = (float(value) for value in np.median(moving, axis=0))
    height, width = usual.shape
    if abs(right) >= abs(down):
        return Motion("right" if right > 0 else "left", abs(right) / width) if right else None
    return Motion("down" if down > 0 else "up", abs(down) / height)


def learn_belt(source: Source, detector: Detector) -> bytes | None:
    """What the empty belt of a recording looks like, for `Engine(empty_belt=…)`; None where it was never empty enough.

    Args:
        source: the recording, with every frame.
        detector: of the line's region and direction; it learns.
    """
    next_s, taken = 0.0, 0
    for frame in read_frames(source):
        if frame.captured_s < next_s:
            continue
        next_s, taken = frame.captured_s + _EVERY_S / 2, taken + 1
        if detector.learn([frame.image]):
            return detector.dump()
        if taken >= _LEARN_SAMPLES:
            break
    return None


def read_frames(source: Source) -> Iterator[Frame]:
    """Every frame of a recording, to its end."""
    while True:
        try:
            frame = source.read(timeout_s=1.0)
        except EOFError:
            return
        if frame is not None:
            yield frame


def _pairs(source: Source) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], float]]:
    """Small grey pictures, two frames apart, and the seconds between them."""
    recent: deque[Frame] = deque(maxlen=3)
    next_s, found = 0.0, 0
    for frame in read_frames(source):
        recent.append(frame)
        if len(recent) < 3 or frame.captured_s < next_s:
            continue
        first, _, last = recent
        if last.captured_s <= first.captured_s:
            continue
        next_s, found = frame.captured_s + _EVERY_S, found + 1
        yield _small(first.image), _small(last.image), last.captured_s - first.captured_s
        if found >= _PAIRS:
            return


def _small(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = Image.fromarray(image).convert("L")
    return np.asarray(grey.reduce(max(1, round(max(grey.size) / _SIDE))), dtype=np.float32)


def _shift(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """By how many pixels, down and right, what differs in the first picture has moved; zeros where nothing did."""
    first, second = (np.where(np.abs(part) > _LEAST_CONTRAST, part, 0.0) for part in (first, second))
    if not first.any() or not second.any():
        return np.zeros(2)
    shape = [2 * side for side in first.shape]
    product = np.fft.rfft2(second, shape) * np.conj(np.fft.rfft2(first, shape))
    correlation = np.fft.irfft2(product, shape)
    peak = np.array(np.unravel_index(int(correlation.argmax()), correlation.shape))
    found = np.where(peak > np.array(first.shape), peak - np.array(shape), peak).astype(np.float64)
    return found if np.abs(found).max() >= _LEAST_SHARE * min(first.shape) else np.zeros(2)
