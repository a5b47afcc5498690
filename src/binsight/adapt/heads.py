"""The heads in a bundle's network: read, and written back without the onnx package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binsight.adapt.learning import LinearHead
from binsight.bundle.constants import read_constants, replace_constants
from binsight.errors import BundleError
from binsight.probability.unfamiliarity import UnfamiliarityScale

__all__ = ["Heads", "read_heads", "write_heads"]

_SCALES = ("known.energy.scaled", "known.residual.scaled")
_NAMES = {
    *(f"{head}.weight" for head in ("logits", "attention", "biodegradable_logit", "inner")),
    *(f"{head}.bias" for head in ("logits", "attention", "biodegradable_logit")),
    *(f"{scale}.{part}" for scale in _SCALES for part in ("centre", "factor")),
    "known.mean",
    "known.directions",
}


@dataclass(frozen=True, eq=False)
class Heads:
    """What of a network can be taught.

    Attributes:
        categories: of the classes.
        biodegradable: `(d, 1)`; None where the taxonomy leaves it open.
        mean: `(d,)`, of the features of known photos; None for a network whose unfamiliarity has no second measure.
        directions: `(d, k)`, in which these differ; None likewise.
    """

    categories: LinearHead
    biodegradable: LinearHead | None
    mean: NDArray[np.float64] | None = None
    directions: NDArray[np.float64] | None = None

    def residual(self, features: NDArray[np.floating]) -> NDArray[np.float64] | None:
        """How long the part of `(n, d)` features is that no direction explains, `(n,)`, as the network has it."""
        if self.mean is None or self.directions is None:
            return None
        centred = features - self.mean
        squares = (centred**2).sum(axis=1) - ((centred @ self.directions) ** 2).sum(axis=1)
        result: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0))
        return result


def read_heads(model: bytes) -> Heads:
    """The heads of a network.

    Raises:
        BundleError: it has no heads that can be taught.
    """
    found = {name: value.astype(np.float64) for name, value in read_constants(model, _NAMES).items()}
    if "inner.weight" in found:
        raise BundleError("a layer lies between its features and its heads, so it cannot be taught; train linear heads")
    linear = {name: _linear(found, name) for name in ("logits", "attention", "biodegradable_logit")}
    categories, places = linear["logits"], linear["attention"]
    if categories is None or places is None or categories.weight.shape != places.weight.shape:
        raise BundleError("its heads are not those that binsight train writes, so it cannot be taught")
    return Heads(categories, linear["biodegradable_logit"], found.get("known.mean"), found.get("known.directions"))


def write_heads(model: bytes, heads: Heads, scale: UnfamiliarityScale | None) -> bytes:
    """The network with other heads; there may be more classes than before.

    Args:
        model: as `read_heads` took it.
        heads: the new ones; mean and directions stay as they are.
        scale: of the unfamiliarity, where it has two measures.

    Raises:
        BundleError: the network does not have what is to be replaced.
    """
    head = heads.categories
    values = {f"{name}.weight": head.weight for name in ("logits", "attention")}
    values |= {f"{name}.bias": head.bias for name in ("logits", "attention")}
    if heads.biodegradable is not None:
        values |= {"biodegradable_logit.weight": heads.biodegradable.weight}
        values |= {"biodegradable_logit.bias": heads.biodegradable.bias}
    if scale is not None:
        pairs = ((scale.energy_centre, scale.energy_spread), (scale.residual_centre, scale.residual_spread))
        for name, (centre, spread) in zip(_SCALES, pairs, strict=True):
            values |= {f"{name}.centre": np.array([centre]), f"{name}.factor": np.array([1 / spread])}
    classes = len(head.bias)
    return replace_constants(model, values, last_axis={"logits": classes, "attention": classes})


def _linear(found: dict[str, NDArray[np.float64]], name: str) -> LinearHead | None:
    weight, bias = found.get(f"{name}.weight"), found.get(f"{name}.bias")
    if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[1:]:
        return None
    return LinearHead(weight, bias)
