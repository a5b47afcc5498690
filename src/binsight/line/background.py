"""What an empty belt looks like, learnt from pictures of the belt at work."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Background"]

_FIRST_SAMPLES, _MAX_SAMPLES = 8, 48
_AGREED_SHARE = 0.97  # of the pixels must be known before the model counts as the empty belt
_TOLERANCE = 12.0  # grey levels within which two looks at the same place of the belt agree
_SPREAD_FLOOR = 2.0  # grey levels: quieter than this no camera is, once the light of a real hall falls on it
_WANDER = 0.5  # pixels of the small picture by which a belt runs off its track
_FADE = 0.02  # share of the difference taken over by an adaptation, where the belt is bare
_GHOST_STEP = 0.5  # grey levels of an adaptation towards what lies where the belt is not bare
_MAX_GAIN = 1.3
_LINE_LIMIT = 16.0  # grey levels: more than this along a whole line is a wide piece


class Background:
    """Brightness and spread of the empty belt, for every pixel of a small picture and every colour.

    A camera stands still and the belt moves under it, so each pixel sees a strip of belt go by: the median over
    samples taken some way apart is the bare belt wherever pieces cover that strip less than half of the time, and their
    median deviation is how much the belt's texture and the camera make it vary. A belt of stripes, seams and dirt is so
    judged by its own roughness, place by place.

    Args:
        line_axis: along which axis of the picture, 0 or 1, a line across the belt runs.
    """

    def __init__(self, *, line_axis: int) -> None:
        self._line_axis = line_axis
        self._samples: list[NDArray[np.uint8]] = []
        self._mean: NDArray[np.float32] | None = None
        self._spread = self._floor = np.zeros(0, dtype=np.float32)
        self.known_share = 0.0

    @property
    def ready(self) -> bool:
        """Whether an empty belt has been seen: nearly every place was bare often enough to be sure."""
        return self._mean is not None

    @property
    def mean(self) -> NDArray[np.float32]:
        """`(3, h, w)` float32 in [0, 255]: the empty belt.

        Raises:
            ValueError: none has been seen yet.
        """
        if self._mean is None:
            raise ValueError("expected an empty belt to have been seen; add more samples")
        return self._mean

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Take one more sample, at least some centimetres of belt after the last.

        Of n looks at a place, at least n/2 + √n must agree with their median: if pieces cover it half of the time, that
        happens by chance in 2 of 100 places, so that a belt that is always full is never taken for an empty one.

        Args:
            picture: `(3, h, w)` uint8, each of the same size; colours first, since each is worked on as a whole.
        """
        self._samples = [*self._samples[-(_MAX_SAMPLES - 1) :], picture]
        n = len(self._samples)
        if n < _FIRST_SAMPLES or (n >= 2 * _FIRST_SAMPLES and n % 4 and n < _MAX_SAMPLES):
            return
        stack = np.stack(self._samples)
        mean = np.median(stack, axis=0).astype(np.float32)
        deviation = np.abs(stack - mean)
        agree = (deviation.max(axis=1) <= _TOLERANCE + 2 * np.median(deviation, axis=0).max(axis=0)).sum(axis=0)
        self.known_share = float((agree >= n / 2 + n**0.5).mean())
        if self.known_share >= _AGREED_SHARE:
            self._mean = mean
            residuals = np.stack([np.abs(self._residual(sample, mean)[0]) for sample in self._samples])
            # 1.4826: from the median absolute deviation to the standard deviation of a normal distribution.
            self._floor = np.maximum(_SPREAD_FLOOR, _WANDER * np.abs(np.gradient(mean, axis=1 + self._line_axis)))
            self._spread = np.maximum(1.4826 * np.median(residuals, axis=0), self._floor).astype(np.float32)
            self._samples = []

    def dump(self) -> dict[str, NDArray[np.float16]]:
        """What was learnt, for `restore`.

        Raises:
            ValueError: no empty belt has been seen yet.
        """
        found = {"mean": self.mean, "spread": self._spread, "floor": self._floor}
        return {name: array.astype(np.float16) for name, array in found.items()}

    def restore(self, found: Mapping[str, ArrayLike]) -> None:
        """Take over what `dump` gave, with nothing left to learn.

        Raises:
            ValueError: it is no such thing.
        """
        mean, spread, floor = (np.asarray(found[name], dtype=np.float32) for name in ("mean", "spread", "floor"))
        if mean.ndim != 3 or mean.shape[0] != 3 or not mean.shape == spread.shape == floor.shape:
            raise ValueError(f"expected three arrays of one shape (3, h, w), got {mean.shape}, {spread.shape}")
        if not (np.isfinite(mean).all() and np.isfinite(spread).all() and (floor > 0).all()):
            raise ValueError("expected finite levels and spreads above 0")
        self._mean, self._spread, self._floor, self._samples = mean, spread, floor, []

    def distance(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """How far each pixel is from the empty belt: `(h, w)` float32, in standard deviations of the worst colour."""
        residual, roughness = self._residual(picture, self.mean)
        residual = np.abs(residual, out=residual)
        residual /= np.maximum(self._spread, roughness)
        return np.asarray(residual.max(axis=0))

    def adapt(self, picture: NDArray[np.uint8], bare: NDArray[np.bool_]) -> None:
        """Follow slow changes of light and dirt; call some times a second while the belt moves.

        What is not bare is taken over too, by half a grey level a time: pieces leave little behind, since the belt
        between them is taken over faster, and a stain or a scratch is belt after a dozen metres.

        Args:
            picture: `(3, h, w)` uint8.
            bare: `(h, w)`, where nothing lies on the belt.
        """
        if self._mean is None:
            return
        difference = picture - self._mean
        shown = bare[None]
        self._mean = self._mean + np.where(
            shown, _FADE * difference, np.clip(difference, -_GHOST_STEP, _GHOST_STEP)
        ).astype(np.float32)
        # 1.2533: from the mean absolute deviation to the standard deviation of a normal distribution.
        followed = self._spread + _FADE * (1.2533 * np.abs(self._residual(picture, self._mean)[0]) - self._spread)
        self._spread = np.where(shown, np.maximum(followed, self._floor), self._spread).astype(np.float32)

    def _residual(
        self, picture: NDArray[np.uint8], mean: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What is left of the difference to the empty belt when light that all share is taken out.

        The exposure is fitted first: an automatic exposure that answers to a white bottle makes no pieces of the belt.
        Then each line across the belt is judged by its own median and spread, as far as those are small: the joint of a
        belt, a band of dust or a flickering lamp lies over the whole width.

        Returns:
            The residual `(3, h, w)`, and the roughness of each line across the belt, which fits it by broadcasting.
        """
        difference = picture - _fit_gain(picture, mean) * mean
        line = difference[1, ::3] if self._line_axis == 0 else difference[1, :, ::3]
        offset = np.median(line, axis=self._line_axis, keepdims=True)
        roughness = 1.4826 * np.median(np.abs(line - offset), axis=self._line_axis, keepdims=True)
        offset[np.abs(offset) > _LINE_LIMIT] = 0
        roughness[roughness > _LINE_LIMIT] = 0
        difference -= offset
        return difference, roughness


def _fit_gain(picture: NDArray[np.uint8], mean: NDArray[np.float32]) -> np.float32:
    """How much brighter the bare belt is than the model, by the pixels that differ as most do."""
    seen, known = picture[:, ::4, ::4].astype(np.float32), mean[:, ::4, ::4]
    difference = seen - known
    usual = np.abs(difference - np.median(difference)) <= _TOLERANCE / 2
    total = float(known[usual].sum())
    if total < float(usual.sum()):  # black: nothing to compare
        return np.float32(1)
    return np.float32(np.clip(seen[usual].sum() / total, 1 / _MAX_GAIN, _MAX_GAIN))
