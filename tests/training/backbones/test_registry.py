"""Finding backbones: by name, in a bundle, and the messages where there is none."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
from tests.tiny_bundle import tiny_bundle, tiny_manifest

from binsight.bundle import pack_bundle
from binsight.errors import BundleError, InputError, WeightsError
from binsight.training.backbones import (
    BACKBONE_FILE,
    backbone_names,
    find_backbone,
    write_backbone_safetensors,
)
from binsight.training.backbones.efficientnet_lite import EFFICIENTNET_LITE

if TYPE_CHECKING:
    from collections.abc import Callable

LITE = "efficientnet_lite0"
NAMES = (
    *EFFICIENTNET_LITE,
    "xception",
    "mobilenet_v3_large",
    "efficientnet_v2_b0",
    "convnext_tiny",
)


@pytest.fixture(scope="module")
def lite() -> keras.Model:
    """Return EfficientNet-Lite0 with random weights, for small pictures."""
    return find_backbone(LITE).build(weights=None, size=64)


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Return what writes a bundle with a backbone in it, whose preprocessing may be changed."""

    def make(data: bytes | None, **changes: Any) -> Path:
        manifest = tiny_manifest(preprocess=replace(find_backbone(LITE).spec, size=(64, 64), **changes))
        more = {} if data is None else {BACKBONE_FILE.replace(".", "__"): data}
        return tiny_bundle(tmp_path / "model.zip", manifest=manifest, **more)

    return make


def test_all_names_are_found() -> None:
    """Every name has a backbone with a specification of its own size."""
    assert backbone_names() == NAMES
    for name in backbone_names():
        backbone = find_backbone(name)
        assert backbone.name == name
        assert backbone.spec.size == (backbone.size, backbone.size)
        assert backbone.licence
        assert name in backbone.weights


def test_lite_has_the_sizes_of_its_family() -> None:
    """The registry and the family agree."""
    for name, config in EFFICIENTNET_LITE.items():
        assert find_backbone(name).size == config.size
        assert find_backbone(name).spec.mean == (127.0,) * 3
        assert find_backbone(name).spec.scale == (1 / 128,) * 3


def test_finding_loads_no_framework() -> None:
    """Names and specifications are there without Keras, matplotlib or onnx."""
    code = (
        "import sys; from binsight.training.backbones import find_backbone; find_backbone('xception');"
        "print(sorted({'keras', 'tensorflow', 'onnx', 'safetensors'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("xcepton", r"no backbone 'xcepton'; did you mean xception\?"),
        ("efficientnet-lite0", r"did you mean efficientnet_lite0\?"),
        ("vgg", r"there are efficientnet_lite0, .*, convnext_tiny, bundle:PATH"),
    ],
)
def test_unknown_names(name: str, advice: str) -> None:
    """A name that is nearly right is suggested; otherwise all are listed."""
    with pytest.raises(WeightsError, match=advice):
        find_backbone(name)


@pytest.mark.parametrize(("name", "size"), [("xception", 70), ("efficientnet_lite0", 31), ("convnext_tiny", 5000)])
def test_sizes_out_of_range(name: str, size: int) -> None:
    """A size that the network cannot have is refused before anything is built."""
    with pytest.raises(WeightsError, match=rf"{name} takes inputs of \d+ to 4096 pixels, not {size}"):
        find_backbone(name).build(weights=None, size=size)


def test_backbone_of_a_bundle(lite: keras.Model, make_bundle: Callable[..., Path]) -> None:
    """A bundle's backbone has the bundle's preprocessing and, up to float16, the weights that it was written from."""
    path = make_bundle(write_backbone_safetensors(LITE, lite), fit="crop", crop_fraction=0.9)
    backbone = find_backbone(f"bundle:{path}")
    assert (backbone.name, backbone.size, backbone.bundle) == (LITE, 64, path)
    assert (backbone.spec.fit, backbone.spec.crop_fraction) == ("crop", 0.9)
    assert backbone.weights == "tiny 1.0.0, backbone.safetensors"
    for found, expected in zip(backbone.build().get_weights(), lite.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    assert backbone.build(weights=None).output_shape == (None, 2, 2, 1280)


def test_bundle_without_backbone(make_bundle: Callable[..., Path]) -> None:
    """A bundle that only predicts says so, and what works instead."""
    with pytest.raises(WeightsError, match=r"has no backbone.safetensors .* --backbone efficientnet_lite0"):
        find_backbone(f"bundle:{make_bundle(None)}")


def test_missing_bundle(tmp_path: Path) -> None:
    """A bundle that is not there is reported as such."""
    with pytest.raises(InputError, match="no model bundle at"):
        find_backbone(f"bundle:{tmp_path / 'none'}")


def test_bundle_of_an_unknown_backbone(lite: keras.Model, make_bundle: Callable[..., Path]) -> None:
    """A backbone of a later version is refused by name."""
    with pytest.raises(WeightsError, match="is of 'transformer', which this version does not know"):
        find_backbone(f"bundle:{make_bundle(write_backbone_safetensors('transformer', lite))}")


def test_bundle_with_other_normalisation(lite: keras.Model, make_bundle: Callable[..., Path]) -> None:
    """A bundle that normalises otherwise than the backbone would not give its features."""
    path = make_bundle(write_backbone_safetensors(LITE, lite), mean=(0.0, 0.0, 0.0))
    with pytest.raises(WeightsError, match="its preprocessing is not that of efficientnet_lite0"):
        find_backbone(f"bundle:{path}")


def test_altered_bundle(lite: keras.Model, make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    """Weights that were changed after the bundle was written are refused."""
    folder = pack_bundle(make_bundle(write_backbone_safetensors(LITE, lite)), tmp_path / "folder")
    data = bytearray((folder / BACKBONE_FILE).read_bytes())
    data[-1] ^= 1
    (folder / BACKBONE_FILE).write_bytes(data)
    with pytest.raises(BundleError, match="altered"):
        find_backbone(f"bundle:{folder}")
