"""What a backbone is: a name, how photos are prepared for it, and where its weights come from."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from binsight.errors import WeightsError
from binsight.imaging import PreprocessSpec

if TYPE_CHECKING:
    import keras
    from onnx import ModelProto

__all__ = ["Backbone", "Family", "check_size"]

Family = Literal["efficientnet_lite", "keras_applications"]

_MODULES = {
    "efficientnet_lite": "binsight.training.backbones.lite",
    "keras_applications": "binsight.training.backbones.applications",
}
_MAX_SIZE = 4096  # of a PreprocessSpec


class _Builder(Protocol):
    """What the module of a family has; it imports Keras, so it is imported when a backbone is built."""

    def build(self, name: str, size: int) -> keras.Model: ...

    def load(self, name: str, model: keras.Model, weights_dir: Path | None) -> None: ...

    def to_onnx(self, name: str, model: keras.Model) -> ModelProto: ...


@dataclass(frozen=True)
class Backbone:
    """A network without its classifier.

    Attributes:
        name: its name in the registry.
        family: who builds it.
        size: height and width of its input in pixels, unless `build` is told another.
        min_size: the smallest input it can be built for.
        features: channels of its last feature map.
        spec: how photos are prepared for it, and what it does to pixels itself.
        licence: of the weights.
        weights: where they come from, in words.
        weights_dir: a folder of the user's with weights, looked into first.
        bundle: the model bundle to start from, instead of from ImageNet.
    """

    name: str
    family: Family
    size: int
    min_size: int
    features: int
    spec: PreprocessSpec
    licence: str
    weights: str
    weights_dir: Path | None = None
    bundle: Path | None = None

    def build(self, *, weights: Literal["imagenet"] | None = "imagenet", size: int | None = None) -> keras.Model:
        """Return the backbone as a Keras model called `backbone`.

        Args:
            weights: `"imagenet"` for the pretrained ones (those in `bundle`, where one is given), None for random ones.
            size: height and width of the input in pixels; None for `self.size`.

        Returns:
            Model from pictures `(n, size, size, 3)`, RGB, 0 to 255, float32 (uint8 is cast), to the last feature map
            `(n, gh, gw, features)`. Its first layers do what `spec` says; layer names are the same in every process.

        Raises:
            WeightsError: the size is out of range; or the weights are not there, damaged, or those of another network.
        """
        size = check_size(self, self.size if size is None else size)
        builder = self._builder()
        model = builder.build(self.name, size)
        if weights is not None and self.bundle is not None:
            from binsight.training.backbones.safetensors_file import load_from_bundle  # noqa: PLC0415 - needs Keras's model

            load_from_bundle(self.bundle, model)
        elif weights is not None:
            builder.load(self.name, model, self.weights_dir)
        return model

    def to_onnx(self, model: keras.Model) -> ModelProto:
        """Return a model that `build` made, trained or not, as an ONNX graph for inference.

        Args:
            model: of this architecture; batch normalisation uses its moving statistics.

        Returns:
            Graph from `images` uint8 `(n, size, size, 3)` to `feature_map` float32 `(n, features, gh, gw)` and
            `features` float32 `(n, features)`, the mean over the places. Large constants are stored as float16; the
            arithmetic is float32.

        Raises:
            WeightsError: a weight is not finite or too large for float16.
        """
        return self._builder().to_onnx(self.name, model)

    def _builder(self) -> _Builder:
        return cast("_Builder", importlib.import_module(_MODULES[self.family]))


def check_size(backbone: Backbone, size: int) -> int:
    """Return `size` if the backbone can be built for it.

    Raises:
        WeightsError: it cannot.
    """
    if not backbone.min_size <= size <= _MAX_SIZE:
        raise WeightsError(f"{backbone.name} takes inputs of {backbone.min_size} to {_MAX_SIZE} pixels, not {size}")
    return size
