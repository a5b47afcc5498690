"""Where a backbone is cut, so that its first layers need to run only once per view of a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from binsight.pipeline.backbone import ChosenBackbone
from binsight.pipeline.reporting import ticker
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
    """The last block within the frozen share of a backbone's blocks whose input is added to its output.

    Args:
        chosen: the backbone.
        frozen_share: of its blocks, from the first on.

    Returns:
        None where there is no such block, or the backbone is not of a family whose graph has our own names.
    """
    config = EFFICIENTNET_LITE.get(chosen.backbone.name)
    if config is None:
        return None
    blocks = layer_blocks(config)[1:-1]  # without stem and head
    frozen = [i for i, block in enumerate(blocks) if has_shortcut(block) and i + 1 <= frozen_share * len(blocks)]
    if not frozen:
        return None
    return Cut(f"blocks_{frozen[-1]}_add", f"_blocks.{frozen[-1]}._project_conv.sum.residual")


def compute_views(run: Run, chosen: ChosenBackbone, cut: Cut) -> tuple[Sequence[Activations], Activations]:
    """What the frozen layers make of `train`, as it is and altered, and of `val` as it is.

    The files, some 40 kB for each view of each photo, are kept in the work folder until the network is trained.
    """
    cache = ActivationCache(
        cut_graph(chosen.to_onnx(), cut.tensor),
        chosen.spec,
        run.config.augmentation(),
        folder=run.work.folder("activations"),
        seed=run.config.seed,
        workers=run.workers,
    )

    def view(split: str, number: int) -> Activations:
        paths = run.data.splits[split].paths
        progress = run.reporter.stage(
            f"First layers: {split}, view {number + 1}" if number else f"First layers: {split}"
        )
        return cache.view(paths, number, progress=ticker(progress, len(paths)))

    return [view("train", k) for k in range(run.config.fine_tune.views + 1)], view("val", 0)
