"""The backbone that a configuration names."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from binsight.bundle import load_bundle, resolve_bundle
from binsight.errors import WeightsError
from binsight.pipeline.backbone import choose_backbone
from binsight.pipeline.presets import resolve_config


def _choose(**flags):
    return choose_backbone(resolve_config(flags={name.replace("_", "-"): value for name, value in flags.items()}))


def test_size_and_preprocessing_are_its_own_unless_chosen():
    """Both are in the description's size."""
    assert _choose().size == 224
    chosen = _choose(backbone_size="64", preprocess_filter="bicubic")
    assert (chosen.size, chosen.spec.filter) == (64, "bicubic")
    assert "efficientnet_lite0, 64 px" in chosen.description
    assert chosen.at_size(96).spec.size == (96, 96)


def test_what_does_not_exist_is_refused():
    """With what was meant, or what is possible."""
    with pytest.raises(WeightsError, match="did you mean xception"):
        _choose(backbone="xcepton")
    with pytest.raises(WeightsError, match="32 to 4096 pixels, not 16"):
        _choose(backbone_size="16")


def test_pretrained_lite_needs_no_framework(monkeypatch):
    """Its graph is written from its weights file."""
    monkeypatch.setitem(sys.modules, "keras", None)
    graph = _choose(backbone_size="32").to_onnx()
    assert [output.name for output in graph.graph.output] == ["feature_map", "features"]


def test_random_weights_follow_the_seed():
    """The same seed gives the same network."""

    def first_kernel(seed):
        return _choose(weights="random", backbone_size="32", seed=seed).build().get_weights()[0]

    np.testing.assert_array_equal(first_kernel("1"), first_kernel("1"))
    assert not np.array_equal(first_kernel("1"), first_kernel("2"))


def test_other_weights_are_another_backbone(tmp_path):
    """A file that was exchanged, another seed of random ones; the seed of pretrained ones does not matter to them."""
    file = tmp_path / "xception.safetensors"
    file.write_bytes(b"one")
    first = _choose(backbone="xception", weights_dir=str(tmp_path)).identity()
    file.write_bytes(b"another")
    assert _choose(backbone="xception", weights_dir=str(tmp_path)).identity() != first
    assert _choose(seed="1").identity() == _choose(seed="2").identity()
    assert _choose(weights="random", seed="1").identity() != _choose(weights="random", seed="2").identity()


def test_the_network_of_a_bundle_without_weights_is_used_as_it_is():
    """`waste8` has no weights to train on from: heads can be fitted on its features, nothing more."""
    chosen = _choose(backbone="bundle:waste8", preset="fast")
    assert (chosen.is_fixed, chosen.size, chosen.backbone.weights) == (True, 256, "waste8 1.4.0, model.onnx")
    assert chosen.identity()["bundle"] == load_bundle(resolve_bundle("waste8")).manifest.files["model.onnx"].sha256
    assert [output.name for output in chosen.to_onnx().graph.output] == ["feature_map", "features"]
    with pytest.raises(WeightsError, match=r"no backbone\.safetensors to train on from.*--preset fast"):
        _choose(backbone="bundle:waste8")
    with pytest.raises(WeightsError, match="is for 256 pixels, not 224"):
        _choose(backbone="bundle:waste8", preset="fast", backbone_size="224")
    with pytest.raises(WeightsError, match=r"no backbone\.safetensors"):
        chosen.build()
