"""The recipe of the network for microcontrollers: what is pruned and folded stays what it was."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import onnxruntime
import pytest

from binsight.export.engines import open_engine
from binsight.export.micro import as_input, run_micro

if TYPE_CHECKING:
    from collections.abc import Iterator

RECIPE = Path(__file__).parents[2] / "recipes" / "waste8"
MODULES = ("micro_files", "micro_network")


@pytest.fixture(scope="module")
def recipe() -> Iterator[dict[str, Any]]:
    """Return the recipe's modules by name."""
    sys.path.insert(0, str(RECIPE))
    yield {name: importlib.import_module(name) for name in MODULES}
    sys.path.remove(str(RECIPE))
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Return smooth pictures of 64 pixels, `(12, 64, 64, 3)` uint8."""
    coarse = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3)).astype(np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def test_pruned_to_all_channels_it_is_the_donor(recipe: dict[str, Any], pictures: np.ndarray) -> None:
    """Shortcuts too, of which there is one in block 2, are what they were."""
    network = recipe["micro_network"]
    shape = network.Shape(size=64, channels=3, blocks=((0, 32), (1, 96), (2, 144)), head=8, carry=0.1)
    chain = network.build_network(shape, classes=3, dropout=0.0)
    assert not any(isinstance(layer, keras.layers.Add) for layer in chain.layers)
    network.transplant(chain, shape, network.normalise(pictures, 3))
    donor = network.find_backbone(network.DONOR).build(size=64)
    ours = keras.Model(chain.input, chain.get_layer("blocks_2_project_conv_bn").output)
    theirs = keras.Model(donor.input, donor.get_layer("blocks_2_add").output)
    found = ours.predict(network.normalise(pictures, 3), verbose=0)
    wanted = theirs.predict(pictures.astype(np.float32), verbose=0)
    assert np.abs(found - wanted).mean() < 0.03 * np.abs(wanted).mean()


@pytest.mark.parametrize("channels", [3, 1])
def test_integers_are_what_was_trained(recipe: dict[str, Any], pictures: np.ndarray, channels: int) -> None:
    """Folded exactly; then rounded, the same in the file for the micro interpreter and in the ONNX graph."""
    pytest.importorskip("tflite_micro", reason="the micro interpreter is for Python 3.11 on x86-64 Linux")
    network, files = recipe["micro_network"], recipe["micro_files"]
    shape = network.Shape(size=64, channels=channels, blocks=((0, 8), (1, 16), (2, 16)), head=16)
    keras.utils.set_random_seed(0)
    chain = network.build_network(shape, classes=3, dropout=0.1)
    values = network.normalise(pictures, channels)
    trained = chain.predict(values, verbose=0)
    layers = network.fold_layers(chain)
    assert np.asarray(network.compute(layers, values)) == pytest.approx(trained, abs=1e-4)
    micro = files.to_micro(layers, values)
    output = files.read_operations(micro)[-1].output
    given = as_input(pictures, channels)
    assert (given == np.round(values * 128 - 1)).all()
    integers = run_micro(micro, given).astype(np.float32)
    logits = (integers - output.zero) * output.scale[0]
    spread = trained.max() - trained.min()
    assert np.abs(logits - trained).max() < 0.1 * spread
    graph = files.to_onnx(micro, mask=np.array([True, False, True]), temperature=0.5)
    names = ["logits", "biodegradable_logit", "attention"]
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found = dict(zip(names, session.run(names, {"images": pictures}), strict=True))
    assert np.abs(found["logits"] - logits).max() <= 8.1 * output.scale[0]  # of 255
    (by_litert,) = open_engine("litert", micro, threads=1)(pictures).values()  # as an edge device runs it
    assert np.abs(by_litert - logits).max() <= 8.1 * output.scale[0]
    exponentials = np.exp(found["logits"] / 0.5)
    odds = exponentials[:, [0, 2]].sum(axis=1) / exponentials[:, 1]
    assert found["biodegradable_logit"][:, 0] == pytest.approx(np.log(odds), abs=1e-3)
    assert found["attention"].shape == (12, 16, 16, 3)
