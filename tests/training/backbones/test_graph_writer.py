"""Writing ONNX graphs: constants, and the ends that every backbone has."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from tests.training.backbones.test_efficientnet_lite import run

from binsight.errors import WeightsError
from binsight.training.backbones.graph_writer import GraphWriter


def test_graph_by_hand() -> None:
    """Bytes come in with the channels last; the feature map has them first, and the features are its mean."""
    graph = GraphWriter(half=False)
    value = graph.read_images("images")
    graph.add("Add", [value, graph.constant("one", 1)], "feature_map")
    model = graph.finish("tiny", size=2, feature_map=(3, 2, 2))
    onnx.checker.check_model(model, full_check=True)
    images = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    feature_map, features = run(model, images)
    np.testing.assert_array_equal(feature_map[0], images[0].transpose(2, 0, 1) + 1)
    np.testing.assert_array_equal(features[0], [5.5, 6.5, 7.5])


@pytest.mark.parametrize(("size", "kind"), [(999, TensorProto.FLOAT), (1000, TensorProto.FLOAT16)])
def test_large_constants_are_halved(size: int, kind: int) -> None:
    """From 1000 elements on, a constant is stored as float16 and cast back."""
    graph = GraphWriter(half=True)
    value = graph.add("Flatten", [graph.read_images("images")], "flat")
    graph.add("Add", [value, graph.constant("many", np.full(size, 0.1))], "feature_map")
    (tensor,) = graph.finish("tiny", size=1, feature_map=(1, 1, 1)).graph.initializer
    assert tensor.data_type == kind
    np.testing.assert_allclose(numpy_helper.to_array(tensor), 0.1, rtol=1e-3)


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "float16"), (7e4, "float16"), (1e39, "float32")])
def test_impossible_constants_are_refused(value: float, kind: str) -> None:
    """What the type cannot hold is refused by name."""
    with pytest.raises(WeightsError, match=f"many has values that are not finite or too large for {kind}"):
        GraphWriter(half=kind == "float16").constant("many", np.full(1000, value))
