"""The network that is fine-tuned, and the photos, or what its frozen layers make of them, that it is tuned on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from binsight.pipeline.backbone import ChosenBackbone
from binsight.pipeline.frozen import FittedHeads
from binsight.pipeline.run import Run
from binsight.pipeline.tail import compute_views, find_cut
from binsight.probability.scores import LinearHead
from binsight.training.heads.linear import LAYERS, Heads, fit_heads
from binsight.training.photos import LabelledPhotos

if TYPE_CHECKING:
    import keras

__all__ = ["Network", "Photos", "heads_of"]


class Network:
    """A backbone, and what of it is trained, with the fitted heads on it.

    Args:
        run: the training.
        chosen: the backbone.
        heads: fitted on its features.
    """

    def __init__(self, run: Run, chosen: ChosenBackbone, heads: Heads) -> None:
        from binsight.training.fine_tune.network import split_backbone  # noqa: PLC0415 - Keras takes seconds

        self.chosen = chosen
        self.backbone = chosen.build()
        tuned = run.config.fine_tune
        self.cut = find_cut(chosen, tuned.frozen_share) if tuned.views else None
        trained = self.backbone if self.cut is None else split_backbone(self.backbone, self.cut.layer)
        self.model = _put_heads_on(trained, heads, classes=run.classes, dropout=tuned.dropout)

    def start(self, run: Run, photos: Photos, frozen: FittedHeads) -> list[NDArray[Any]]:
        """The weights that training starts from; the heads see altered photos first, where that is asked for."""
        count = run.config.fine_tune.head_views
        if count and photos.views and frozen.heads.inner is None:
            import keras  # noqa: PLC0415 - takes seconds

            from binsight.training.fine_tune.validation import predict_outputs  # noqa: PLC0415

            run.reporter.stage("Fitting the heads on altered photos")
            pooled = keras.Model(self.model.input, {"features": self.model.get_layer("pool").output})
            known = slice(len(run.data.splits["train"]))
            some = [view[known] for view in photos.views[: count + 1]]
            seen = [predict_outputs(pooled, view, len(view))["features"] for view in some]
            heads = fit_heads(
                np.concatenate(seen),
                np.tile(photos.train.labels[known], len(seen)),
                inverse_penalty=frozen.record["inverse_penalty"],
                biodegradable_mask=run.data.mask,
            )
            _set_heads(self.model, heads)
        weights: list[NDArray[Any]] = self.model.get_weights()
        return weights


@dataclass(frozen=True, eq=False)
class Photos:
    """What is trained on: photos, and what the frozen layers make of them; of `val` likewise."""

    train: LabelledPhotos
    views: Sequence[NDArray[np.float16]] = ()
    val: NDArray[np.float16] = field(default_factory=lambda: np.empty(0, np.float16))

    @classmethod
    def of(cls, run: Run, network: Network) -> Photos:
        """Those of the run; those of none of the classes come last."""
        train, strangers = run.data.labelled("train"), run.data.strangers
        if count := len(strangers.learnt):
            truth, sources = train.biodegradable, train.sources
            train = LabelledPhotos(
                [*train.paths, *strangers.learnt],
                np.concatenate([train.labels, np.full(count, -1)]),
                None if truth is None else np.concatenate([truth, np.zeros(count, bool)]),
                None if sources is None else np.concatenate([sources, np.array(strangers.sources)]),
            )
        if network.cut is None:
            return cls(train)
        return cls(train, *compute_views(run, network.chosen, network.cut, train.paths))


def _put_heads_on(backbone: keras.Model, heads: Heads, *, classes: int, dropout: float) -> keras.Model:
    """A backbone, or the last part of one, with the fitted heads on it."""
    from binsight.training.fine_tune.network import build_network  # noqa: PLC0415 - Keras takes seconds

    network = build_network(
        backbone,
        classes=classes,
        biodegradable=heads.biodegradable is not None,
        inner_size=None if heads.inner is None else heads.inner.weight.shape[1],
        dropout=dropout,
    )
    _set_heads(network, heads)
    return network


def _set_heads(network: keras.Model, heads: Heads) -> None:
    for name, layer in LAYERS.items():
        if (part := getattr(heads, name)) is not None:
            network.get_layer(layer).set_weights([part.weight.astype(np.float32), part.bias.astype(np.float32)])


def heads_of(network: keras.Model) -> Heads:
    """The heads of a network as it is now."""
    weights = {layer.name: layer.get_weights() for layer in network.layers if layer.name in LAYERS.values()}
    parts = {
        name: LinearHead(*(array.astype(np.float64) for array in weights[layer]))
        for name, layer in LAYERS.items()
        if layer in weights
    }
    return Heads(**parts)
