"""How the network for microcontrollers learns. Needs PyTorch, which only this recipe uses."""
# ruff: noqa: E402

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if "tensorflow" in sys.modules and importlib.util.find_spec("triton"):
    pytest.skip("with Triton, PyTorch must be loaded before TensorFlow: run this file alone", allow_module_level=True)
torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
pytest.importorskip("torch._dynamo")

import keras
import numpy as np
import onnx

from binsight.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Iterator

RECIPE = Path(__file__).parents[2] / "recipes" / "waste8"
MODULES = ("micro_files", "micro_network", "micro_views", "micro_distil")
SETTINGS = {
    "seed": 0,
    "network": {"dropout": 0.1},
    "teacher": {"share": 0.7},
    "views": {"mixed_share": 0.5},
    "training": {
        "epochs": 4,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "warmup_epochs": 1,
        "rounded_epochs": 2,
        "weight_decay": 0.02,
        "ema_decay": 0.9,
    },
}


@pytest.fixture(scope="module")
def recipe() -> Iterator[dict[str, Any]]:
    """Return the recipe's modules by name."""
    torch.set_num_threads(1)
    sys.path.insert(0, str(RECIPE))
    yield {name: importlib.import_module(name) for name in MODULES}
    sys.path.remove(str(RECIPE))
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def network(recipe: dict[str, Any]) -> keras.Model:
    """Return a small micro network with statistics that are not those of a new one."""
    keras.utils.set_random_seed(0)
    shape = recipe["micro_network"].Shape(size=48, channels=3, blocks=((0, 8), (1, 16), (2, 16), (3, 8)), head=16)
    made = recipe["micro_network"].build_network(shape, classes=8, dropout=0.1)
    made.set_weights([np.abs(w) + 0.1 if w.ndim == 1 else w for w in made.get_weights()])
    return made


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Return smooth pictures, `(12, 48, 48, 3)` uint8."""
    coarse = np.random.default_rng(0).integers(0, 256, (12, 6, 6, 3)).astype(np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def planes(pictures: np.ndarray) -> Any:
    """Return them as PyTorch has them."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float()


def test_the_pupil_is_the_network(recipe: dict[str, Any], network: keras.Model, pictures: np.ndarray) -> None:
    """Before it learns, it says the same; its weights fit back."""
    pupil = recipe["micro_distil"].Pupil(network, 0.1).eval()
    with torch.no_grad():
        found = pupil(recipe["micro_distil"].normalise(planes(pictures), 3)).numpy()
    wanted = network.predict(recipe["micro_network"].normalise(pictures, 3), verbose=0)
    assert found == pytest.approx(wanted, abs=1e-3 * float(np.abs(wanted).max()))
    for ours, theirs in zip(pupil.weights(), network.get_weights(), strict=True):
        assert (ours == theirs).all()


def test_grey_is_what_the_device_sees(recipe: dict[str, Any], pictures: np.ndarray) -> None:
    """The same whole numbers as its own arithmetic."""
    found = recipe["micro_distil"].normalise(planes(pictures), 1)[:, 0].numpy()
    assert (found == recipe["micro_network"].normalise(pictures, 1)[..., 0]).mean() > 0.999


def test_kernels_are_rounded_to_the_integers_of_the_file(
    recipe: dict[str, Any], network: keras.Model, pictures: np.ndarray
) -> None:
    """What the last epochs train with has as many steps per channel, and the same ones."""
    files = recipe["micro_files"]
    layers = recipe["micro_network"].fold_layers(network)
    micro = files.to_micro(layers, recipe["micro_network"].normalise(pictures, 3))
    stored = [operation.inputs[1] for operation in files.read_operations(micro) if len(operation.inputs) == 3]
    pupil = recipe["micro_distil"].Pupil(network, 0.1)
    for convolution, integers in zip(pupil.convolutions, stored, strict=True):
        rounded = recipe["micro_distil"].round_kernel(convolution.kernel).detach().numpy().transpose(0, 2, 3, 1)
        steps = 127 * rounded / np.abs(rounded).max(axis=(1, 2, 3), keepdims=True)
        assert np.abs(steps - np.round(steps)).max() < 1e-3
        as_filed = integers.values.transpose(3, 1, 2, 0) if convolution.depthwise else integers.values
        assert (np.round(steps) == as_filed).all()


def test_activations_are_rounded_and_gradients_pass(recipe: dict[str, Any]) -> None:
    """To 256 values between the least and the largest."""
    values = torch.linspace(-1, 6, 5000, requires_grad=True)
    rounded = recipe["micro_distil"].round_activations(values)
    rounded.sum().backward()
    assert len(np.unique(rounded.detach().numpy())) == 256
    assert (rounded - values).abs().max() <= 7 / 255 / 2 + 1e-3
    assert (values.grad == 1).all()


def test_the_teacher_says_what_the_bundle_says(recipe: dict[str, Any]) -> None:
    """Its graph as far as its logits, operator for operator."""
    predictor = Predictor.load("waste8", threads=1)
    coarse = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    photos = coarse.repeat(16, axis=1).repeat(16, axis=2)
    teacher = recipe["micro_distil"].Teacher(onnx.load_model_from_string(predictor.bundle.read("model.onnx"))).eval()
    with torch.no_grad():
        found = teacher(planes(photos)).numpy()
    assert found == pytest.approx(predictor.run(photos, ["logits"]).logits, abs=0.02)


def test_views_are_drawn_from_the_seed(recipe: dict[str, Any], pictures: np.ndarray) -> None:
    """The same twice, another with another; pixels stay pixels."""
    views = recipe["micro_views"]

    def drawn(seed: int) -> Any:
        torch.manual_seed(seed)
        return views.degrade(views.alter(planes(pictures)))

    first = drawn(1)
    assert first.shape == (12, 3, 48, 48)
    assert 0 <= first.min() <= first.max() <= 255
    assert torch.equal(first, drawn(1))
    assert not torch.equal(first, drawn(2))


def test_compression_changes_less_at_higher_quality(recipe: dict[str, Any], pictures: np.ndarray) -> None:
    """And nothing of a flat picture but the rounding of its level."""
    compress, given = recipe["micro_views"].compress, planes(pictures)
    low, high = ((compress(given, torch.full((12,), q)) - given).abs().mean() for q in (25.0, 95.0))
    assert high < low / 2
    flat = torch.full((1, 3, 16, 16), 100.0)
    assert (compress(flat, torch.full((1,), 90.0)) - flat).abs().max() < 1


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    recipe: dict[str, Any], network: keras.Model, pictures: np.ndarray, tmp_path: Path
) -> None:
    """Exactly the same weights, rounded epochs among what is repeated."""
    teacher = onnx.load_model_from_string(Predictor.load("waste8", threads=1).bundle.read("model.onnx"))
    labels = np.eye(8)[np.arange(12) % 8]
    lesson = recipe["micro_distil"].Lesson(pictures, labels, np.ones(12), pictures, np.arange(12) % 8)
    start = network.get_weights()

    def run(kept: str, *, stops: bool = False) -> Any:
        network.set_weights(start)
        made = recipe["micro_distil"].Distillation(network, teacher, 0.5, lesson, SETTINGS, tmp_path / kept)
        if stops:
            keep = made._keep

            def stop() -> None:
                keep()
                if made.epoch == 3:
                    raise KeyboardInterrupt

            made._keep = stop
        return made

    run("whole").train()
    whole = network.get_weights()
    with pytest.raises(KeyboardInterrupt):
        run("stopped", stops=True).train()
    again = run("stopped")
    again.train()
    assert again.epoch == 4
    for ours, theirs in zip(network.get_weights(), whole, strict=True):
        assert (ours == theirs).all()
    assert any((ours != theirs).any() for ours, theirs in zip(whole, start, strict=True))
