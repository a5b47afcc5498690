"""Write an ONNX graph node by node, with large constants stored as float16."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from binsight.errors import WeightsError

__all__ = ["GraphWriter"]

_OPSET: Final = 17
_IR_VERSION: Final = 8  # the one of opset 17
_LARGE: Final = 1_000  # elements from which a constant is worth storing as float16


class GraphWriter:
    """The nodes and constants of a graph of float32 arithmetic, while it is written.

    Args:
        half: whether to store constants of 1000 elements and more as float16. That halves the file; ONNX Runtime turns
            them into float32 once, when it loads.
    """

    def __init__(self, *, half: bool) -> None:
        self._half = half
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Write a node that has the name of its one output, and return that."""
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: ArrayLike) -> str:
        """Write a constant and return its name.

        Raises:
            WeightsError: a value is not finite, or too large for the type it is stored as.
        """
        half = self._half and np.size(values) >= _LARGE
        with np.errstate(over="ignore"):
            array = np.asarray(values).astype(np.float16 if half else np.float32)
        if not np.isfinite(array).all():
            raise WeightsError(f"{name} has values that are not finite or too large for {array.dtype}")
        if not half:
            self._constants.append(numpy_helper.from_array(array, name))
            return name
        self._constants.append(numpy_helper.from_array(array, f"{name}.float16"))
        return self.add("Cast", [f"{name}.float16"], name, to=TensorProto.FLOAT)

    def shape(self, name: str, values: Sequence[int]) -> str:
        """Write a shape for `Reshape` and return its name."""
        self._constants.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def read_images(self, images: str) -> str:
        """Write the way from bytes `(n, h, w, 3)` to float32 `(n, 3, h, w)`; bytes are the cheapest to transpose."""
        value = self.add("Transpose", [images], "planes", perm=[0, 3, 1, 2])
        return self.add("Cast", [value], "pixels", to=TensorProto.FLOAT)

    def finish(self, name: str, *, size: int, feature_map: tuple[int, int, int]) -> ModelProto:
        """Return the graph of a backbone, which has written its `feature_map` and mean it over the places.

        Args:
            name: of the graph.
            size: height and width of `images`.
            feature_map: channels, height and width of `feature_map`.
        """
        self.add("GlobalAveragePool", ["feature_map"], "pooled")
        self.add("Flatten", ["pooled"], "features", axis=1)
        images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", size, size, 3])
        outputs = [
            helper.make_tensor_value_info("feature_map", TensorProto.FLOAT, ["n", *feature_map]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", feature_map[0]]),
        ]
        graph = helper.make_graph(self._nodes, name, [images], outputs, self._constants)
        opset = helper.make_opsetid("", _OPSET)
        return helper.make_model(graph, producer_name="binsight", opset_imports=[opset], ir_version=_IR_VERSION)
