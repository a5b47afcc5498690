"""Heads on a backbone: outputs against NumPy."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from binsight.errors import BundleError
from binsight.export.onnx_graph import attach_heads, detach_heads
from binsight.probability.unfamiliarity import Familiarity, UnfamiliarityScale, unfamiliarity

DEPTH, CLASSES, GRID = 5, 3, 2


@pytest.fixture
def backbone():
    """A network whose feature map is the picture's channels, averaged over quarters and stretched to five."""
    mix = np.arange(3 * DEPTH, dtype=np.float32).reshape(DEPTH, 3, 1, 1) / 10
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["quarters"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["quarters", "mix"], ["feature_map"]),
        helper.make_node("GlobalAveragePool", ["feature_map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 8, 8, 3])],
        [
            helper.make_tensor_value_info("feature_map", TensorProto.FLOAT, ["n", DEPTH, GRID, GRID]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", DEPTH]),
        ],
        [helper.make_tensor("mix", TensorProto.FLOAT, mix.shape, mix.ravel())],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _head(outputs):
    generator = np.random.default_rng(outputs)
    return SimpleNamespace(weight=generator.normal(0, 0.01, (DEPTH, outputs)), bias=generator.normal(0, 1, outputs))


def _run(model, images):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


@pytest.fixture
def images():
    """Two pictures of noise."""
    return np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)


def test_logits_are_the_linear_head_of_the_features(backbone, images):
    """`features @ weight + bias`, for both heads."""
    categories, second = _head(CLASSES), _head(1)
    outputs = _run(attach_heads(backbone, categories, biodegradable=second), images)
    for name, head in (("logits", categories), ("biodegradable_logit", second)):
        expected = outputs["features"] @ head.weight + head.bias
        np.testing.assert_allclose(outputs[name], expected, rtol=1e-4, atol=1e-4)


def test_attention_averages_to_the_logits(backbone, images):
    """The head is linear, so its mean over the places is the head of the mean."""
    outputs = _run(attach_heads(backbone, _head(CLASSES)), images)
    assert outputs["attention"].shape == (2, GRID, GRID, CLASSES)
    np.testing.assert_allclose(outputs["attention"].mean(axis=(1, 2)), outputs["logits"], rtol=1e-4, atol=1e-4)


def test_unfamiliarity_is_the_energy_of_the_logits(backbone, images):
    """`-log(sum(exp(logits)))`."""
    outputs = _run(attach_heads(backbone, _head(CLASSES)), images)
    expected = -np.log(np.exp(outputs["logits"].astype(float)).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(outputs["unfamiliarity"], expected, rtol=1e-4, atol=1e-4)


KNOWN = Familiarity(
    np.full(DEPTH, 80.0),
    np.linalg.qr(np.random.default_rng(3).normal(0, 1, (DEPTH, 2)))[0],
    (np.random.default_rng(4).normal(0, 0.01, (DEPTH, 1)), np.array([-1.0])),
)


@pytest.mark.parametrize("loudest", ["energy", "residual", "outlier", "without an outlier"])
def test_unfamiliarity_is_the_largest_of_the_measures(backbone, images, loudest):
    """`(-log(sum(exp(logits))) - centre) / spread`, and likewise those of the features."""
    known = replace(KNOWN, outlier=None) if loudest == "without an outlier" else KNOWN
    shifts = {name: -1e4 * (name == loudest) for name in ("energy", "residual", "outlier")}
    centres = (shifts["energy"], 20.0 + shifts["residual"], 0.1 + shifts["outlier"])
    scale = UnfamiliarityScale(*(values if known.outlier else values[:2] for values in (centres, (90.0, 0.5, 0.2))))
    outputs = _run(attach_heads(backbone, _head(CLASSES), known=(known, scale)), images)
    features, logits = outputs["features"].astype(float), outputs["logits"].astype(float)
    expected = unfamiliarity(logits, known.measures(features), scale)
    np.testing.assert_allclose(outputs["unfamiliarity"][:, 0], expected, rtol=1e-3)


def test_without_a_second_head_there_is_no_such_output(backbone, images):
    """A taxonomy that leaves biodegradability open drops the output."""
    assert "biodegradable_logit" not in _run(attach_heads(backbone, _head(CLASSES)), images)


def test_the_backbone_is_left_as_it_was(backbone):
    """Attaching heads makes a new model."""
    before = backbone.SerializeToString()
    attach_heads(backbone, _head(CLASSES))
    assert backbone.SerializeToString() == before


def _relu(values):
    return np.maximum(values, 0)


@pytest.fixture
def inner():
    """A layer of four units, two of which are often below zero."""
    generator = np.random.default_rng(9)
    return SimpleNamespace(weight=generator.normal(0, 0.01, (DEPTH, 4)), bias=np.array([1.0, 0.1, -0.1, -1.0]))


def _head_of_inner(outputs):
    generator = np.random.default_rng(outputs)
    return SimpleNamespace(weight=generator.normal(0, 1, (4, outputs)), bias=generator.normal(0, 1, outputs))


def test_inner_layer_lies_between_features_and_heads(backbone, inner, images):
    """`relu(features @ W + b)` is what both heads see; the features stay those of the backbone."""
    categories, second = _head_of_inner(CLASSES), _head_of_inner(1)
    outputs = _run(attach_heads(backbone, categories, biodegradable=second, inner=inner), images)
    np.testing.assert_array_equal(outputs["features"], _run(backbone, images)["features"])
    hidden = _relu(outputs["features"] @ inner.weight + inner.bias)
    assert (hidden == 0).any()
    for name, head in (("logits", categories), ("biodegradable_logit", second)):
        np.testing.assert_allclose(outputs[name], hidden @ head.weight + head.bias, rtol=1e-4, atol=1e-4)


def test_inner_layer_is_applied_at_every_place(backbone, inner, images):
    """The heat map is what the network would say if a place were the whole photo."""
    categories = _head_of_inner(CLASSES)
    outputs = _run(attach_heads(backbone, categories, inner=inner), images)
    places = _run(backbone, images)["feature_map"].transpose(0, 2, 3, 1)
    expected = _relu(places @ inner.weight + inner.bias) @ categories.weight + categories.bias
    np.testing.assert_allclose(outputs["attention"], expected, rtol=1e-4, atol=1e-4)


def test_inner_layer_is_stored_once(backbone, inner):
    """Pooled features and places use the same constants."""
    model = attach_heads(backbone, _head_of_inner(CLASSES), inner=inner)
    assert [tuple(c.dims) for c in model.graph.initializer].count((DEPTH, 4)) == 1


def test_without_inner_layer_the_graph_is_as_ever(backbone):
    """The nodes behind the backbone, by name and order: the recipe of the shipped bundle gives the same bytes."""
    model = attach_heads(backbone, _head(CLASSES), biodegradable=_head(1))
    assert [node.name for node in model.graph.node][len(backbone.graph.node) :] == [
        *("logits.product", "logits", "biodegradable_logit.product", "biodegradable_logit"),
        *("places", "attention.product", "attention", "free_energy", "unfamiliarity"),
    ]


def test_detached_it_is_the_backbone_again(backbone, images):
    """The same features and feature map; heads of a bundle can be exchanged for others."""
    complete = attach_heads(backbone, _head(CLASSES), biodegradable=_head(1))
    again = detach_heads(complete)
    assert [output.name for output in again.graph.output] == ["feature_map", "features"]
    assert {constant.name for constant in again.graph.initializer} == {"mix"}
    expected = _run(backbone, images)
    for name, values in _run(again, images).items():
        np.testing.assert_array_equal(values, expected[name])
    assert attach_heads(again, _head(CLASSES), biodegradable=_head(1)) == complete


def test_a_network_of_others_cannot_be_detached(backbone):
    """Without a feature map of that name it is not known where the heads begin."""
    complete = attach_heads(backbone, _head(CLASSES))
    for node in complete.graph.node:
        for names in (node.input, node.output):
            names[:] = ["map" if name == "feature_map" else name for name in names]
    with pytest.raises(BundleError, match="that binsight train made"):
        detach_heads(complete)
