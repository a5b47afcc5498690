"""Adam over one vector of parameters, as Keras computes it.

References:
    Kingma and Ba 2015, Adam, arXiv 1412.6980, algorithm 1 in the more efficient order of the end of its section 2, with
    the constants that Keras has by default.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Adam"]

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-7
# Parameters updated at a time: with their moments and gradients they stay in the second-level cache.
_CHUNK: Final = 32_768


class Adam:
    """Updates parameters in place.

    Args:
        parameters: `(p,)` float32, one vector for the whole network.
        rate: the step size.
    """

    def __init__(self, parameters: NDArray[np.float32], *, rate: float) -> None:
        self._parameters = parameters
        self._rate = rate
        self._steps = 0
        self._first, self._second = np.zeros_like(parameters), np.zeros_like(parameters)
        self._spare = np.empty(min(_CHUNK, len(parameters)), np.float32)

    def update(self, gradient: NDArray[np.float32]) -> None:
        """One step against the `(p,)` gradient, which is used up.

        m ← m + (1 - β₁)(g - m),  v ← v + (1 - β₂)(g² - v),  θ ← θ - rate · √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε)
        """
        self._steps += 1
        rate = np.float32(self._rate * math.sqrt(1 - _BETA2**self._steps) / (1 - _BETA1**self._steps))
        for start in range(0, len(gradient), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            g, m, v = gradient[chunk], self._first[chunk], self._second[chunk]
            spare = self._spare[: len(g)]
            np.subtract(g, m, out=spare)
            spare *= np.float32(1 - _BETA1)
            m += spare
            np.multiply(g, g, out=g)
            g -= v
            g *= np.float32(1 - _BETA2)
            v += g
            np.sqrt(v, out=spare)
            spare += np.float32(_EPSILON)
            np.divide(m, spare, out=spare)
            spare *= rate
            self._parameters[chunk] -= spare
