"""What networks and heads say of photos, before anything is fitted to it: linear heads, and their scores.

`n` is the number of photos, `C` of classes, `d` of features.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from binsight.probability.unfamiliarity import UnfamiliarityScale, unfamiliarity

__all__ = ["HeadScores", "LinearHead", "NetworkScores"]


@dataclass(frozen=True, eq=False)
class LinearHead:
    """`logits = features @ weight + bias`, with weight `(d, k)` and bias `(k,)`, float64."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """`(n, k)` logits of `(n, d)` features."""
        return features @ self.weight + self.bias


@dataclass(frozen=True, eq=False)
class _Scores:
    """What is said of n photos.

    Attributes:
        logits: `(n, C)`.
        biodegradable: `(n,)` logits of the second head; None where the taxonomy leaves it open.
        mask: `(C,)`, which classes are biodegradable; None likewise.
    """

    logits: NDArray[np.float64]
    biodegradable: NDArray[np.float64] | None = None
    mask: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.logits)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Self:
        """The scores of some photos."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "mask"}
        return replace(self, **{name: values[rows] for name, values in own.items() if values is not None})


@dataclass(frozen=True, eq=False)
class NetworkScores(_Scores):
    """What an exported network gives for n photos.

    Attributes:
        unfamiliarity: `(n,)`, how unlike the training photos; None for a network that does not say.
    """

    unfamiliarity: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class HeadScores(_Scores):
    """What heads give for n photos.

    Attributes:
        strangeness: `(n, 1 or 2)`, as `Familiarity.measures` gives it; None: unfamiliarity is the energy.
    """

    strangeness: NDArray[np.float64] | None = None

    def exported(self, scale: UnfamiliarityScale | None) -> NetworkScores:
        """What the exported network gives; its `unfamiliarity` is the energy, where there is no scale."""
        strange = unfamiliarity(self.logits, self.strangeness, scale)
        return NetworkScores(self.logits, self.biodegradable, self.mask, strange)
