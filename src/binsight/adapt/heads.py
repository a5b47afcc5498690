"""The heads in a bundle's network: read, and written back without the onnx package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binsight.bundle.constants import read_constants, replace_constants
from binsight.errors import BundleError
from binsight.probability.scores import LinearHead
from binsight.probability.unfamiliarity import MEASURES, Familiarity, UnfamiliarityScale

__all__ = ["Heads", "read_heads", "write_heads"]

_SCALES = tuple(f"known.{measure}.scaled" for measure in MEASURES)
_NAMES = {
    *(f"{head}.weight" for head in ("logits", "attention", "biodegradable_logit", "inner")),
    *(f"{head}.bias" for head in ("logits", "attention", "biodegradable_logit")),
    *(f"{scale}.{part}" for scale in _SCALES for part in ("centre", "factor")),
    *(f"known.{part}" for part in ("mean", "directions", "outlier_logit.weight", "outlier_logit.bias")),
}


@dataclass(frozen=True, eq=False)
class Heads:
    """What of a network can be taught.

    Attributes:
        categories: of the classes.
        biodegradable: `(d, 1)`; None where the taxonomy leaves it open.
        known: what tells known features from others; None for a network whose unfamiliarity is the energy.
    """

    categories: LinearHead
    biodegradable: LinearHead | None
    known: Familiarity | None = None


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
    mean, directions, weight = (found.get(f"known.{part}") for part in ("mean", "directions", "outlier_logit.weight"))
    outlier = None if weight is None else (weight, found["known.outlier_logit.bias"])
    known = None if mean is None or directions is None else Familiarity(mean, directions, outlier)
    return Heads(categories, linear["biodegradable_logit"], known)


def write_heads(model: bytes, heads: Heads, scale: UnfamiliarityScale | None) -> bytes:
    """The network with other heads; there may be more classes than before.

    Args:
        model: as `read_heads` took it.
        heads: the new ones; what is known of features stays as it is.
        scale: of the unfamiliarity, where it has several measures.

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
        for name, centre, spread in zip(_SCALES, scale.centres, scale.spreads, strict=False):
            values |= {f"{name}.centre": np.array([centre]), f"{name}.factor": np.array([1 / spread])}
    classes = len(head.bias)
    return replace_constants(model, values, last_axis={"logits": classes, "attention": classes})


def _linear(found: dict[str, NDArray[np.float64]], name: str) -> LinearHead | None:
    weight, bias = found.get(f"{name}.weight"), found.get(f"{name}.bias")
    if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[1:]:
        return None
    return LinearHead(weight, bias)
