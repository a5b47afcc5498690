"""Whether an exported network says the same as the bundle it came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Bundle
from binsight.errors import ExportError
from binsight.export.engines import Network
from binsight.predictor import Predictor
from binsight.probability import sigmoid, softmax

__all__ = ["Parity", "check_parity"]


@dataclass(frozen=True, slots=True)
class Parity:
    """How far two networks agree on real photos.

    Attributes:
        photos: how many were compared.
        same_label: share of photos with the same most probable class, in [0, 1].
        max_difference: the largest difference of any class's probability on any photo.
        median_difference: the median over the photos of the largest difference of any class's probability.
        max_biodegradable_difference: the largest difference of the second output's probability, or None without it.
    """

    photos: int
    same_label: float
    max_difference: float
    median_difference: float
    max_biodegradable_difference: float | None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)


def check_parity(bundle: Bundle, network: Network, photos: Iterable[NDArray[np.uint8]]) -> Parity:
    """Compare a network with a bundle's `model.onnx`, by the probabilities that the bundle's temperatures give.

    Args:
        bundle: the reference.
        network: an engine with an exported file, or any function, such as one that calls the Keras network the bundle
            was made from.
        photos: each `(h, w, 3)` uint8 RGB of the bundle's input size.

    Raises:
        ExportError: there are no photos, or `network` lacks an output or gives another shape.
    """
    reference = Predictor(bundle, threads=1)
    wanted = ["logits"] + ["biodegradable_logit"] * bundle.manifest.taxonomy.has_biodegradability
    ours: dict[str, list[Any]] = {name: [] for name in wanted}
    theirs: dict[str, list[Any]] = {name: [] for name in wanted}
    for photo in photos:
        expected, given = reference.run(photo[None], wanted), network(photo[None])
        for name in wanted:
            ours[name].append(getattr(expected, name)[0])
            theirs[name].append(_row(given, name, ours[name][-1].shape))
    if not ours["logits"]:
        raise ExportError("expected photos to compare on, got none")
    return _compare(
        {name: np.stack(rows) for name, rows in ours.items()},
        {name: np.stack(rows) for name, rows in theirs.items()},
        temperature=bundle.manifest.temperature,
        biodegradable_temperature=bundle.manifest.biodegradable_temperature,
    )


def _row(given: Any, name: str, shape: tuple[int, ...]) -> NDArray[np.floating]:
    """The output `name` for one photo."""
    value = np.asarray(given[name]) if name in given else None
    if value is None or value.shape != (1, *shape) or not np.isfinite(value).all():
        came = "none" if value is None else f"{value.shape}"
        raise ExportError(f"expected the network's output {name} as finite numbers in shape {(1, *shape)}, got {came}")
    row: NDArray[np.floating] = value[0]
    return row


def _compare(
    ours: dict[str, NDArray[Any]],
    theirs: dict[str, NDArray[Any]],
    *,
    temperature: float,
    biodegradable_temperature: float | None,
) -> Parity:
    """`|softmax(z / T) - softmax(z' / T)|` and the like, over all photos."""
    expected, given = (softmax(values["logits"], temperature=temperature) for values in (ours, theirs))
    differences = np.abs(expected - given).max(axis=1)
    second = None
    if biodegradable_temperature is not None:
        logits = (values["biodegradable_logit"] for values in (ours, theirs))
        left, right = (sigmoid(z, temperature=biodegradable_temperature) for z in logits)
        second = float(np.abs(left - right).max())
    return Parity(
        photos=len(differences),
        same_label=float((expected.argmax(axis=1) == given.argmax(axis=1)).mean()),
        max_difference=float(differences.max()),
        median_difference=float(np.median(differences)),
        max_biodegradable_difference=second,
    )
