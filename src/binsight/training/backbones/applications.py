"""Backbones of Keras Applications, with their preprocessing inside and with layer names that do not change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import keras
from onnx import ModelProto

from binsight.errors import WeightsError
from binsight.training.backbones.conversion import convert_to_onnx
from binsight.training.backbones.plain import plain_copy
from binsight.training.backbones.safetensors_file import find_safetensors, load_safetensors, named_variables

__all__ = ["build", "load", "to_onnx"]


class _Application(NamedTuple):
    constructor: str  # in keras.applications
    size: int  # that the ImageNet weights were trained at
    normalises: bool  # whether `include_preprocessing` puts the normalisation inside


_APPLICATIONS: Final[Mapping[str, _Application]] = {
    "xception": _Application("Xception", 299, normalises=False),
    "mobilenet_v3_large": _Application("MobileNetV3Large", 224, normalises=True),
    "efficientnet_v2_b0": _Application("EfficientNetV2B0", 224, normalises=True),
    "convnext_tiny": _Application("ConvNeXtTiny", 224, normalises=True),
}


def build(name: str, size: int) -> keras.Model:
    """Return a backbone with random weights; see `Backbone.build`."""
    images = keras.Input((size, size, 3), name="images")
    if _APPLICATIONS[name].normalises:
        model = _construct(name, size, input_tensor=images, include_preprocessing=True)
    else:
        model = _construct(name, size, input_tensor=keras.layers.Rescaling(1 / 127.5, offset=-1.0)(images))
    return plain_copy(model)


def load(name: str, model: keras.Model, weights_dir: Path | None) -> None:
    """Give a model its ImageNet weights: from `weights_dir`, or else from Keras' cache or its download.

    Raises:
        WeightsError: they are in neither, damaged, or do not fit.
    """
    if path := find_safetensors(name, weights_dir):
        load_safetensors(path, model)
    else:
        loaded = named_variables(plain_copy(_load_application(name, weights_dir)))
        for key, variable in named_variables(model).items():
            variable.assign(loaded[key])


def to_onnx(name: str, model: keras.Model) -> ModelProto:
    """Return the model as ONNX; see `Backbone.to_onnx`."""
    return convert_to_onnx(model, name)


def _construct(name: str, size: int, *, weights: str | None = None, **options: Any) -> keras.Model:
    constructor: Callable[..., keras.Model] = getattr(keras.applications, _APPLICATIONS[name].constructor)
    return constructor(include_top=False, input_shape=(size, size, 3), weights=weights, **options)


def _load_application(name: str, weights_dir: Path | None) -> keras.Model:
    size = _APPLICATIONS[name].size
    path = weights_dir / f"{name}.weights.h5" if weights_dir else None
    if path and path.is_file():
        model = _construct(name, size)
        try:
            model.load_weights(path)
        except Exception as error:  # Keras and h5py raise all kinds
            raise WeightsError(f"{path}: no weights of {name}: {_first_line(error)}") from error
        return model
    try:
        return _construct(name, size, weights="imagenet")
    except Exception as error:  # a bare Exception where there is no connection
        raise WeightsError(_explain_absence(name, weights_dir, _first_line(error))) from error


def _explain_absence(name: str, weights_dir: Path | None, reason: str) -> str:
    where = f"{weights_dir} has no {name}.safetensors or {name}.weights.h5" if weights_dir else "no --weights-dir given"
    constructor = _APPLICATIONS[name].constructor
    return (
        f"the weights of {name} are not here ({where}) and cannot be downloaded ({reason}): where there is a "
        f'connection, run python -c "import keras; keras.applications.{constructor}(include_top=False)'
        f".save_weights('{name}.weights.h5')\" and give the folder of that file as --weights-dir"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
