"""LiteRT files: what goes in, what comes out, and that it is what the ONNX file gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from onnx import helper
from tests.export.tiny_network import conv_model, noise
from tests.tiny_bundle import OUTPUTS, SIZE, tiny_model

from binsight.errors import ExportError
from binsight.export.engines import open_engine
from binsight.export.litert import to_litert, to_litert_int8

PHOTOS = noise(20, seed=5)


def _signature(file: bytes) -> Any:
    return Interpreter(model_content=file).get_signature_runner()


def test_float_is_what_onnx_gives(network: bytes, litert: bytes) -> None:
    """Every output agrees to float32's accuracy."""
    expected = open_engine("onnx", network, threads=1)(PHOTOS)
    given = open_engine("litert", litert, threads=1)(PHOTOS)
    for name, values in expected.items():
        np.testing.assert_allclose(given[name], values, rtol=1e-4, atol=1e-4)


def test_float_signature(litert: bytes) -> None:
    """Bytes of one photo go in; all outputs of the bundle come out, under their names and in their shapes."""
    runner = _signature(litert)
    (name, image), *rest = runner.get_input_details().items()
    assert (name, image["dtype"], image["shape"].tolist(), rest) == ("images", np.uint8, [1, SIZE, SIZE, 3], [])
    shapes = {name: (d["dtype"], d["shape"].tolist()) for name, d in runner.get_output_details().items()}
    assert shapes == {
        "logits": (np.float32, [1, 3]),
        "biodegradable_logit": (np.float32, [1, 1]),
        "attention": (np.float32, [1, 8, 8, 3]),
        "features": (np.float32, [1, 8]),
        "unfamiliarity": (np.float32, [1, 1]),
    }


def test_int8_signature(litert_int8: bytes) -> None:
    """A pixel's value is the integer that goes in; the two heads come out as float32."""
    runner = _signature(litert_int8)
    (image,) = runner.get_input_details().values()
    assert (image["dtype"], image["quantization"]) == (np.uint8, (1.0, 0))
    assert {name: d["dtype"] for name, d in runner.get_output_details().items()} == {
        "logits": np.float32,
        "biodegradable_logit": np.float32,
    }


def test_int8_computes_in_integers(litert_int8: bytes) -> None:
    """Only the two outputs are float; all between them and the photo is integer."""
    tensors = Interpreter(model_content=litert_int8).get_tensor_details()
    assert [t["shape"].tolist() for t in tensors if np.issubdtype(t["dtype"], np.floating)] == [[1, 1], [1, 3]]


def test_int8_is_near_float(network: bytes, litert_int8: bytes) -> None:
    """The logits differ by a few percent of their spread."""
    photos = noise(40)
    expected = open_engine("onnx", network, threads=1)(photos)
    given = open_engine("litert", litert_int8, threads=1)(photos)
    for name, values in given.items():
        assert np.abs(values - expected[name]).max() < 0.1 * expected[name].std()


def test_network_of_other_operators(shared_bundle: Any) -> None:
    """The tiny bundle's network, which works on cells of pixels, is exported as well."""
    data = tiny_model().SerializeToString()
    expected = open_engine("onnx", data, threads=1)(PHOTOS)
    given = open_engine("litert", to_litert(data), threads=1)(PHOTOS)
    for name, values in expected.items():
        np.testing.assert_allclose(given[name], values, rtol=1e-4, atol=1e-4)


def test_only_what_is_asked_for_must_be_known() -> None:
    """A taxonomy that leaves biodegradability open: the integer file has one output."""
    outputs = [name for name in OUTPUTS if name != "biodegradable_logit"]
    file = to_litert_int8(tiny_model(outputs=outputs).SerializeToString(), list(noise(3)))
    assert list(_signature(file).get_output_details()) == ["logits"]


def test_unknown_operators_are_named() -> None:
    """An operator that LiteRT export does not know is refused in one line that names it."""
    model = conv_model()
    for node in model.graph.node:
        if node.op_type == "Relu":
            node.op_type = "Elu"
    with pytest.raises(ExportError, match=r"^the network has operators that cannot be exported to LiteRT: Elu$"):
        to_litert(model.SerializeToString())


def test_known_operator_with_unknown_option_is_named() -> None:
    """A dilated convolution is refused, with the name of the node."""
    model = conv_model()
    (node,) = (node for node in model.graph.node if node.output[0] == "c")
    node.attribute.append(helper.make_attribute("dilations", [2, 2]))
    node.attribute.remove(next(a for a in node.attribute if a.name == "pads"))
    node.attribute.append(helper.make_attribute("pads", [2, 2, 2, 2]))
    with pytest.raises(ExportError, match=r"^operator Conv \(c\): dilation cannot be exported to LiteRT$"):
        to_litert(model.SerializeToString())


def test_no_photos_to_calibrate(network: bytes) -> None:
    """Without photos there is nothing to take the ranges from."""
    with pytest.raises(ExportError, match="expected photos to calibrate with, got none"):
        to_litert_int8(network, [])


def test_what_tensorflow_refuses_is_one_line(network: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the converter says over many lines is told in one."""

    def convert() -> bytes:
        raise RuntimeError("error:\n  no such operator")

    fake = SimpleNamespace(convert=convert)
    monkeypatch.setattr("tensorflow.lite.TFLiteConverter.from_saved_model", lambda *args, **options: fake)
    with pytest.raises(ExportError, match=r"^TensorFlow cannot convert the network \(error: no such operator\)$"):
        to_litert(network)
