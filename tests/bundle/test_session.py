"""Networks that do not fit their manifest, when they are opened and when they are run."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.capi.onnxruntime_inference_collection import Session
from tests.tiny_bundle import OUTPUTS, SIZE, tiny_bundle, tiny_files, tiny_manifest, tiny_model, tiny_taxonomy

from binsight.bundle import load_bundle, verify_bundle
from binsight.bundle.session import open_session, run_session
from binsight.errors import BundleError
from binsight.imaging import PreprocessSpec
from binsight.probability import ReviewThresholds

if TYPE_CHECKING:
    from binsight.bundle import Manifest

WHITE = np.full((2, SIZE, SIZE, 3), 255, np.uint8)


def with_last(model: onnx.ModelProto, output: str, *nodes: onnx.NodeProto, **constants: np.ndarray) -> onnx.ModelProto:
    """Let `nodes` compute `output` from what the model computed under that name, which is now called `before`."""
    for node in model.graph.node:
        node.output[:] = ["before" if name == output else name for name in node.output]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return model


def with_output_type(model: onnx.ModelProto, output: str, element_type: int) -> onnx.ModelProto:
    """Cast an output to another type."""
    with_last(model, output, helper.make_node("Cast", ["before"], [output], to=element_type))
    next(o for o in model.graph.output if o.name == output).type.tensor_type.elem_type = element_type
    return model


def with_output_shape(model: onnx.ModelProto, output: str, shape: list[int | str]) -> onnx.ModelProto:
    """Flatten or extend an output to another rank."""
    constants = {"wanted_shape": np.array([-1 if isinstance(size, str) else size for size in shape])}
    with_last(model, output, helper.make_node("Reshape", ["before", "wanted_shape"], [output]), **constants)
    info = next(o for o in model.graph.output if o.name == output)
    info.CopyFrom(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
    return model


def with_input_name(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Give the input another name."""
    model.graph.input[0].name = model.graph.node[0].input[0] = name
    return model


def with_second_input(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let the model ask for one input more."""
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n"]))
    return model


def with_unknown_output(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give out a tensor that the format does not know."""
    model.graph.output.append(helper.make_tensor_value_info("cells", TensorProto.FLOAT, ["n", 2, 2, 3]))
    return model


def without(*names: str) -> onnx.ModelProto:
    """Return the tiny model without some of its outputs."""
    return tiny_model(outputs=[name for name in OUTPUTS if name not in names])


def open_path(path: Path) -> ort.InferenceSession:
    """Open the network of a bundle on one thread."""
    return open_session(load_bundle(path), threads=1)


OPEN = tiny_manifest(tiny_taxonomy(is_open=True))
STRANGE = tiny_manifest(review=ReviewThresholds((0.0,) * 3, unfamiliarity=1.0))
LARGER = tiny_manifest(preprocess=PreprocessSpec(size=(SIZE, 2 * SIZE)))

MISFITS = {
    "other number of classes": (tiny_model(4), None, "output 'logits': expected .*3.* got .*4"),
    "double logits": (
        with_output_type(tiny_model(), "logits", TensorProto.DOUBLE),
        None,
        "'logits': expected .*double",
    ),
    "float input": (tiny_model(images=TensorProto.FLOAT), None, r"input 'images': expected tensor\(uint8\)"),
    "other input size": (tiny_model(), LARGER, "input 'images': expected .*16, 32, 3.* got .*16, 16, 3"),
    "fixed batch": (tiny_model(batch=1), None, "input 'images': expected .* with a free batch, got .*1, 16"),
    "fixed batch of an output": (
        with_output_shape(tiny_model(), "features", [2, 3]),
        None,
        "output 'features': expected .* with a free batch",
    ),
    "other input name": (
        with_input_name(tiny_model(), "input_1"),
        None,
        "input 'images' is missing; .*'input_1' is unk",
    ),
    "second input": (with_second_input(tiny_model()), None, "input 'mask' is unknown"),
    "unknown output": (with_unknown_output(tiny_model()), None, "output 'cells' is unknown"),
    "no logits": (without("logits"), None, "output 'logits' is missing"),
    "no attention": (without("attention"), None, "output 'attention' is missing"),
    "no second head": (without("biodegradable_logit"), None, "output 'biodegradable_logit' is missing"),
    "second head though open": (tiny_model(), OPEN, "output 'biodegradable_logit' is unknown"),
    "no unfamiliarity though used": (without("unfamiliarity"), STRANGE, "output 'unfamiliarity' is missing"),
    "flat attention": (with_output_shape(tiny_model(), "attention", ["n", 12]), None, "output 'attention': expected"),
    "wide second head": (with_output_shape(tiny_model(), "biodegradable_logit", ["n", 1, 1]), None, "'biodegradable_l"),
    "wide unfamiliarity": (
        with_output_shape(tiny_model(), "unfamiliarity", ["n"]),
        None,
        "output 'unfamiliarity': exp",
    ),
}


@pytest.mark.parametrize(("model", "manifest", "fault"), MISFITS.values(), ids=MISFITS)
def test_misfit_is_refused(tmp_path: Path, model: onnx.ModelProto, manifest: Manifest | None, fault: str) -> None:
    """A network whose inputs or outputs are not those of its manifest is refused, with what was expected and came."""
    path = tiny_bundle(tmp_path / "bundle", model, manifest)
    with pytest.raises(BundleError, match=fault) as caught:
        open_path(path)
    assert caught.value.file == "model.onnx"
    assert [fault.file for fault in verify_bundle(path)] == ["model.onnx"]


@pytest.mark.parametrize(("model", "manifest", "fault"), MISFITS.values(), ids=MISFITS)
def test_misfit_in_the_quantised_network_is_refused(
    tmp_path: Path, model: onnx.ModelProto, manifest: Manifest | None, fault: str
) -> None:
    """The quantised network of a bundle is held to the same inputs and outputs, under its own name."""
    path = tiny_bundle(tmp_path / "bundle", tiny_model(), manifest, model__int8__onnx=model.SerializeToString())
    with pytest.raises(BundleError, match=fault) as caught:
        open_session(load_bundle(path), threads=1, model="model.int8.onnx")
    assert caught.value.file == "model.int8.onnx"
    assert "model.int8.onnx" in [fault.file for fault in verify_bundle(path)]


@pytest.mark.parametrize(
    ("model", "manifest"),
    [(without("features", "unfamiliarity"), None), (without("biodegradable_logit"), OPEN), (tiny_model(), STRANGE)],
)
def test_optional_outputs_may_be_there_or_not(
    tmp_path: Path, model: onnx.ModelProto, manifest: Manifest | None
) -> None:
    """Features and unfamiliarity may be left out, and so must the second head of an open taxonomy."""
    assert verify_bundle(tiny_bundle(tmp_path / "bundle", model, manifest)) == []


@pytest.mark.parametrize("length", [0, 1, 20, 200, -1])
def test_network_cut_short_is_refused(tmp_path: Path, length: int) -> None:
    """A network whose file was cut before it was sealed is refused as a network, with its name."""
    path = tiny_bundle(tmp_path / "bundle", tiny_model().SerializeToString()[:length])
    with pytest.raises(BundleError, match="ONNX") as caught:
        open_path(path)
    assert caught.value.file == "model.onnx"


def test_unknown_operator_is_refused_in_one_line(tmp_path: Path) -> None:
    """A network of operators that ONNX Runtime lacks is refused, with its reason on one line."""
    model = with_last(tiny_model(), "logits", helper.make_node("Frobnicate", ["before"], ["logits"]))
    with pytest.raises(BundleError, match=r"model.onnx: ONNX Runtime cannot load it \(.*Frobnicate") as caught:
        open_path(tiny_bundle(tmp_path / "bundle", model))
    assert "\n" not in str(caught.value)


NOT_TEXT = [(b"logits", b"log\xffts"), (b"\x12\x01n", b"\x12\x01\xff"), (b"Cast", b"Ca\xfft")]


@pytest.mark.parametrize(("text", "other"), NOT_TEXT)
def test_names_that_are_no_text_are_refused(tmp_path: Path, text: bytes, other: bytes) -> None:
    """Names in the network that are not UTF-8 make it a malformed one."""
    data = tiny_model().SerializeToString()
    assert text in data
    with pytest.raises(BundleError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        open_path(tiny_bundle(tmp_path / "bundle", data.replace(text, other)))


@pytest.mark.skipif(
    "enable_fallback" not in inspect.signature(Session.__init__).parameters,
    reason="this ONNX Runtime cannot be kept from printing",
)
def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """ONNX Runtime's own remarks on a malformed network do not get into the output."""
    data = tiny_model().SerializeToString().replace(*NOT_TEXT[-1])
    with pytest.raises(BundleError):
        open_path(tiny_bundle(tmp_path / "bundle", data))
    assert capfd.readouterr() == ("", "")


def test_format_of_the_runtime_is_refused(tmp_path: Path) -> None:
    """ONNX Runtime's own file format, which nothing here has looked into, is refused."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(tiny_model().SerializeToString(), options)
    path = tiny_bundle(tmp_path / "bundle", (tmp_path / "model.ort").read_bytes())
    with pytest.raises(BundleError, match="ONNX"):
        open_path(path)


def test_hidden_external_data_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file named in a tensor is not read, though it lies where ONNX Runtime would find it."""
    np.eye(3, dtype=np.float32).tofile(tmp_path / "secret")
    monkeypatch.chdir(tmp_path)
    model = tiny_model()
    head = next(tensor for tensor in model.graph.initializer if tensor.name == "head")
    head.ClearField("raw_data")
    head.data_location = TensorProto.EXTERNAL
    head.external_data.add(key="location", value="secret")
    with pytest.raises(BundleError, match="in another file"):
        open_path(tiny_bundle(tmp_path / "bundle", model))


def test_run_gives_the_outputs_asked_for(shared_bundle: Path) -> None:
    """Only the outputs asked for are computed: white has logits of 4 and, in three channels, unfamiliarity 3."""
    outputs = run_session(open_path(shared_bundle), WHITE, ["logits", "unfamiliarity"], classes=3)
    assert outputs.keys() == {"logits", "unfamiliarity"}
    np.testing.assert_allclose(outputs["logits"], np.full((2, 3), 4.0), atol=1e-6)
    np.testing.assert_allclose(outputs["unfamiliarity"], [[3.0], [3.0]], atol=1e-6)


def run_white(path: Path) -> dict[str, np.ndarray]:
    """Run a bundle's network on two white photos."""
    return run_session(open_path(path), WHITE, OUTPUTS, classes=3)


def test_shape_that_depends_on_the_photo_is_refused(tmp_path: Path) -> None:
    """A network that states one shape and computes another, as it may, is refused when it does."""
    model = with_last(
        tiny_model(),
        "logits",
        helper.make_node("Cast", ["images"], ["as_int"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["as_int"], ["brightest"], keepdims=0),
        helper.make_node("Add", ["brightest", "offsets"], ["secret_shape"]),
        helper.make_node("Reshape", ["before", "secret_shape"], ["logits"]),
        offsets=np.array([3 - 255, 2 - 255]),
    )
    path = tiny_bundle(tmp_path / "bundle", model)
    assert verify_bundle(path) == []
    with pytest.raises(BundleError, match=r"model.onnx: output 'logits' has the shape \(3, 2\)"):
        run_white(path)


@pytest.mark.parametrize("output", ["logits", "biodegradable_logit", "attention", "features"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_output_that_is_no_number_is_refused(tmp_path: Path, output: str, value: float) -> None:
    """A network that gives NaN or infinity is refused: it would pass for an answer."""
    model = with_last(
        tiny_model(), output, helper.make_node("Add", ["before", "odd"], [output]), odd=np.array(value, np.float32)
    )
    with pytest.raises(BundleError, match=f"model.onnx: output '{output}' is not a finite number"):
        run_session(open_path(tiny_bundle(tmp_path / "bundle", model)), WHITE, [output], classes=3)


def test_unfamiliarity_that_is_no_number_is_given_out(tmp_path: Path) -> None:
    """Unfamiliarity that is not a number is left to the decision, which makes a review of it."""
    add = helper.make_node("Add", ["before", "odd"], ["unfamiliarity"])
    model = with_last(tiny_model(), "unfamiliarity", add, odd=np.array(np.nan, np.float32))
    assert np.isnan(run_white(tiny_bundle(tmp_path / "bundle", model))["unfamiliarity"]).all()


def test_network_that_fails_is_reported(tmp_path: Path) -> None:
    """A network that fails on a photo gives an error with ONNX Runtime's reason, on one line."""
    model = with_last(
        tiny_model(),
        "logits",
        helper.make_node("Cast", ["images"], ["as_int"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["as_int"], ["brightest"], keepdims=0),
        helper.make_node("Gather", ["before", "brightest"], ["one"], axis=0),
        helper.make_node("Add", ["before", "one"], ["logits"]),
    )
    with pytest.raises(BundleError, match=r"model.onnx: the network fails on this photo \(.*255") as caught:
        run_white(tiny_bundle(tmp_path / "bundle", model))
    assert "\n" not in str(caught.value)


def test_tiny_bundle_is_what_the_tests_take_it_for() -> None:
    """The tiny bundle's network passes ONNX's own checker."""
    onnx.checker.check_model(onnx.load_from_string(tiny_files()["model.onnx"]), full_check=True)
