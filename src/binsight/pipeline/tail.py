"""Where a backbone is cut, so that its first layers need to run only once per view of a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from binsight.pipeline.backbone import ChosenBackbone
from binsight.pipeline.run import Run
from binsight.training.backbones.efficientnet_lite import EFFICIENTNET_LITE, has_shortcut, layer_blocks
from binsight.training.fine_tune.activations import ActivationCache, Activations, cut_graph

__all__ = ["Cut", "compute_views", "find_cut"]


@dataclass(frozen=True, slots=True)
class Cut:
    """The last layer that is not trained.

    Attributes:
        layer: its name in the Keras model.
        tensor: its output in the ONNX graph.
    """

    layer: str
    tensor: str


def find_cut(chosen: ChosenBackbone, frozen_share: float) -> Cut | None:
    """The last block within the frozen share of a backbone's layers whose input is added to its output.

    Args:
        chosen: the backbone.
        frozen_share: of its layers with weights, from the first on.

    Returns:
        None where there is no such block, or the backbone is not of a family whose graph has our own names.
    """
    config = EFFICIENTNET_LITE.get(chosen.backbone.name)
    if config is None:
        return None
    blocks = layer_blocks(config)  # each convolution has a normalisation, so shares of both are the same
    layers, seen, last = sum(map(len, blocks)), len(blocks[0]), None
    for number, block in enumerate(blocks[1:-1]):
        seen += len(block)
        if has_shortcut(block) and seen <= frozen_share * layers + 1e-9:
            last = number
    return None if last is None else Cut(f"blocks_{last}_add", f"_blocks.{last}._project_conv.sum.residual")


def compute_views(
    run: Run, chosen: ChosenBackbone, cut: Cut, train: Sequence[Path]
) -> tuple[Sequence[Activations], Activations]:
    """What the frozen layers make of photos to train on, as they are and altered, and of `val` as it is.

    The files, some 40 kB for each view of each photo, are kept in the work folder until the network is trained.
    """
    cache = ActivationCache(
        cut_graph(chosen.to_onnx(exact=True), cut.tensor),
        chosen.spec,
        run.config.augment,
        folder=run.work.folder("activations"),
        seed=run.config.seed,
        workers=run.workers,
        backdrops=run.data.strangers.places,
    )

    def view(what: str, paths: Sequence[Path], number: int) -> Activations:
        progress = run.reporter.stage(f"First layers: {what}, view {number + 1}" if number else f"First layers: {what}")
        return cache.view(paths, number, progress=progress)

    views = [view("train", train, k) for k in range(run.config.fine_tune.views + 1)]
    return views, view("val", run.data.splits["val"].paths, 0)
