"""The pictures of the self-test, as the C core makes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["make_pattern"]

_CELLS = 8


def make_pattern(which: int, height: int, width: int) -> NDArray[np.uint8]:
    """Patches of colour with noise on them, `(height, width, 3)` uint8 RGB; the same as `binsight_pattern` in C."""
    count = height * width * 3
    draws = _draws(which, _CELLS * _CELLS * 3 + count)
    colours = (draws[: _CELLS * _CELLS * 3] >> 8 & 255).reshape(_CELLS, _CELLS, 3)
    noise = (draws[_CELLS * _CELLS * 3 :] & 63).reshape(height, width, 3) - 32
    rows, columns = np.arange(height) * _CELLS // height, np.arange(width) * _CELLS // width
    return np.clip(colours[rows][:, columns] + noise, 0, 255).astype(np.uint8)


def _draws(seed: int, count: int) -> NDArray[np.int64]:
    """The upper 16 bits of a linear congruential generator: `x = 1664525 x + 1013904223` modulo 2 ** 32."""
    values, state = np.empty(count, np.int64), seed
    for position in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values[position] = state >> 16
    return values
