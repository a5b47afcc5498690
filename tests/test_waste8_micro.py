"""The model for microcontrollers in the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from tensorflow.lite.python import schema_py_generated as schema

from binsight.bundle import load_bundle, resolve_bundle, verify_bundle
from binsight.bundle.container import MICRO_NAME, MODEL_NAME
from binsight.edge.engines import open_predictor
from binsight.export.micro import arena_bytes, run_micro
from binsight.imaging import prepare_photo
from binsight.predictor import Predictor
from binsight.taxonomy import builtin_taxonomy

VAL = Path(__file__).parent.parent.parent / "shared" / "data" / "waste8" / "val"
PARITY_PHOTOS = 60  # 500: benchmarks/micro.py


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """Return the model, by ONNX Runtime."""
    return Predictor.load("waste8-micro", threads=1)


@pytest.fixture(scope="module")
def pictures(predictor: Predictor) -> np.ndarray:
    """Return photos of val as the network sees them."""
    if not VAL.is_dir():
        pytest.skip("needs the photos of waste8")
    photos = sorted(VAL.rglob("*.jpg"))
    chosen = [photos[i] for i in np.linspace(0, len(photos) - 1, PARITY_PHOTOS).astype(int)]
    return np.stack([prepare_photo(photo.read_bytes(), predictor.spec) for photo in chosen])


def test_it_is_sound_and_small() -> None:
    """Found by name, of the classes of waste8; 300 kB of file and 128 kB of arena at most, for a microcontroller."""
    pytest.importorskip("tflite_micro", reason="the micro interpreter is for Python 3.11 on x86-64 Linux")
    bundle = load_bundle(resolve_bundle("waste8-micro"))
    assert verify_bundle(resolve_bundle("waste8-micro")) == []
    assert bundle.manifest.taxonomy == builtin_taxonomy("waste8")
    network, stated = bundle.read(MICRO_NAME), bundle.manifest.training["micro"]
    assert len(network) == stated["weights_bytes"] <= 300_000
    assert arena_bytes(network) == stated["arena_bytes"] <= 128_000
    assert bundle.manifest.files[MODEL_NAME].size <= 300_000
    assert (bundle.manifest.review.disagreement, bundle.manifest.review.unfamiliarity) == (None, None)


def test_it_has_four_kinds_of_operators_and_computes_in_integers() -> None:
    """Those that micro kernels compute exactly; a pixel less 128 goes in."""
    network = load_bundle(resolve_bundle("waste8-micro")).read(MICRO_NAME)
    model = schema.ModelT.InitFromPackedBuf(network, 0)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    assert {names[code.builtinCode] for code in model.operatorCodes} == {
        "CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "RESHAPE",
    }  # fmt: skip
    (graph,) = model.subgraphs
    assert {tensor.type for tensor in graph.tensors} == {schema.TensorType.INT8, schema.TensorType.INT32}
    (given,) = (graph.tensors[i] for i in graph.inputs)
    assert list(given.shape) == [1, 96, 96, 3]
    assert (given.quantization.scale[0], given.quantization.zeroPoint[0]) == (1 / 128, -1)


def test_every_engine_says_what_the_microcontroller_says(predictor: Predictor, pictures: np.ndarray) -> None:
    """LiteRT and ONNX Runtime round otherwise here and there, by a step of the logits or two."""
    pytest.importorskip("tflite_micro", reason="the micro interpreter is for Python 3.11 on x86-64 Linux")
    integers = run_micro(predictor.bundle.read(MICRO_NAME), (pictures.astype(np.int16) - 128).astype(np.int8))
    best = integers.argmax(axis=1)
    # Where two classes have the same integer, either may win.
    ahead = np.sort(integers.astype(int), axis=1)
    clear = ahead[:, -1] - ahead[:, -2] > 2
    for predict in (predictor, open_predictor(predictor.bundle, "micro", threads=1)):
        found = predict.run(pictures).logits.argmax(axis=1)
        assert (found == best)[clear].all()
        assert (found != best).sum() <= 2


def test_its_card_is_read_by_the_hub() -> None:
    """The figures before the text are those of the manifest."""
    bundle = load_bundle(resolve_bundle("waste8-micro"))
    data = ModelCard(bundle.read("card.md").decode()).data
    found = {(r.dataset_split, r.metric_name): r.metric_value for r in data.eval_results}
    stated = bundle.manifest.metrics["test"].values["accuracy"].value
    assert found["test", "accuracy"] == pytest.approx(stated, abs=1e-4)
