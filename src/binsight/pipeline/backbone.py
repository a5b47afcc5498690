"""The backbone of a training: chosen by the configuration, as an ONNX graph for features and as a Keras model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from binsight.bundle import load_bundle
from binsight.bundle.container import MODEL_NAME
from binsight.errors import WeightsError
from binsight.extras import needs_extra
from binsight.imaging import PreprocessSpec
from binsight.pipeline.config import AUTO, SMALLEST, TrainConfig
from binsight.training.backbones import Backbone, find_backbone
from binsight.training.backbones.backbone import check_size
from binsight.training.backbones.safetensors_file import BACKBONE_FILE, bundled_backbone, find_safetensors

if TYPE_CHECKING:
    import keras
    from onnx import ModelProto

__all__ = ["ChosenBackbone", "choose_backbone"]


@dataclass(frozen=True)
class ChosenBackbone:
    """A backbone at the size and with the preprocessing of a training.

    Attributes:
        backbone: from the registry.
        spec: how photos are prepared for it.
        weights: `imagenet`, or `random`.
        seed: of random weights.
    """

    backbone: Backbone
    spec: PreprocessSpec
    weights: str
    seed: int = 0

    @property
    def size(self) -> int:
        """Height and width of its input in pixels."""
        return self.spec.size[0]

    @property
    def description(self) -> str:
        """One line for the bundle: what it is, and where its weights come from."""
        source = "random weights" if self.weights == "random" else f"weights from {self.backbone.weights}"
        return f"{self.backbone.name}, {self.size} px, {source} ({self.backbone.licence})"

    def identity(self) -> dict[str, Any]:
        """What its starting weights are, JSON-ready: where they come from, and which version of them."""
        own = self.backbone
        found: dict[str, Any] = {"name": own.name, "weights": self.weights}
        if self.weights == "random":
            return found | {"seed": self.seed}
        if own.bundle is not None:
            files = load_bundle(own.bundle).manifest.files
            return found | {"bundle": files.get(BACKBONE_FILE, files[MODEL_NAME]).sha256}
        file = find_safetensors(own.name, own.weights_dir)
        return found | ({"file": [file.name, file.stat().st_size, file.stat().st_mtime_ns]} if file else {})

    @property
    def is_fixed(self) -> bool:
        """Whether it is the network of a bundle without weights to train on from."""
        own = self.backbone
        return own.bundle is not None and BACKBONE_FILE not in load_bundle(own.bundle).manifest.files

    def at_size(self, size: int) -> ChosenBackbone:
        """The same for photos of another size."""
        return replace(self, spec=replace(self.spec, size=(size, size)))

    def build(self) -> keras.Model:
        """The backbone as a Keras model with its starting weights.

        Raises:
            MissingExtraError: Keras or TensorFlow is not installed.
            WeightsError: its weights are not there, or do not fit.
        """
        with needs_extra("training", "train"):
            import keras  # noqa: PLC0415 - takes seconds

            if self.weights == "random":
                keras.utils.set_random_seed(self.seed)
            return self.backbone.build(weights=None if self.weights == "random" else "imagenet", size=self.size)

    def to_onnx(self, model: keras.Model | None = None, *, exact: bool = False) -> ModelProto:
        """The graph that gives features: of `model`, or of the starting weights.

        EfficientNet-Lite is written from its weights file directly, which needs no framework; its constants take half
        the room, unless they are to be `exact`.
        """
        if model is None and self._is_direct():
            from binsight.training.backbones.efficientnet_lite import (  # noqa: PLC0415 - needs onnx
                EFFICIENTNET_LITE,
                build_backbone,
                load_pretrained,
            )

            name = self.backbone.name
            config = replace(EFFICIENTNET_LITE[name], size=self.size)
            return build_backbone(load_pretrained(name), config, storage="float32" if exact else "float16")
        if model is None and self.is_fixed:
            from onnx import load_from_string  # noqa: PLC0415 - takes a while

            from binsight.export.onnx_graph import detach_heads  # noqa: PLC0415 - likewise

            return detach_heads(load_from_string(load_bundle(self.backbone.bundle or "").read_model()))
        return self.backbone.to_onnx(self.build() if model is None else model)

    def _is_direct(self) -> bool:
        own = self.backbone
        is_packaged = own.bundle is None and find_safetensors(own.name, own.weights_dir) is None
        return own.family == "efficientnet_lite" and self.weights == "imagenet" and is_packaged


def choose_backbone(config: TrainConfig) -> ChosenBackbone:
    """The backbone that a configuration names; where it leaves it open, the one to begin with.

    Raises:
        WeightsError: there is none of that name, or it cannot have that size.
    """
    chosen = config.backbone
    folder = None if chosen.weights_dir is None else Path(chosen.weights_dir).expanduser()
    backbone = find_backbone(SMALLEST if chosen.name == AUTO else chosen.name, weights_dir=folder)
    spec = config.spec(backbone.spec)
    check_size(backbone, spec.size[0])
    found = ChosenBackbone(backbone, spec, chosen.weights, config.seed)
    if found.is_fixed and config.fine_tune.enabled:
        bundled_backbone(load_bundle(backbone.bundle or ""))  # refuses
    if found.is_fixed and spec.size != backbone.spec.size:
        raise WeightsError(f"{chosen.name} is for {backbone.size} pixels, not {spec.size[0]}: it has only its network")
    return found
