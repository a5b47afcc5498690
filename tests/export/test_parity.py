"""Parity: by hand, with the tiny bundle whose logits are 4 x colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.tiny_bundle import SIZE, tiny_bundle, tiny_manifest, tiny_model, tiny_taxonomy

from binsight.bundle import load_bundle
from binsight.errors import ExportError
from binsight.export.engines import open_engine
from binsight.export.parity import Parity, check_parity

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RED, GREEN = (np.broadcast_to(np.array(c, np.uint8), (SIZE, SIZE, 3)) for c in ((255, 0, 0), (0, 255, 0)))


def _always(logits: list[float], second: float) -> Any:
    """A network that says the same of every photo."""
    return lambda images: {"logits": np.array([logits]), "biodegradable_logit": np.array([[second]])}


def test_by_hand(shared_bundle: Path) -> None:
    """Red has e⁴ / (e⁴ + 2) = 0.9647 for red; a network that says so of all photos is wrong about the green one."""
    parity = check_parity(load_bundle(shared_bundle), _always([4, 0, 0], -4), [RED, GREEN])
    sure, other = np.exp(4) / (np.exp(4) + 2), 1 / (np.exp(4) + 2)
    assert (parity.photos, parity.same_label) == (2, 0.5)
    assert parity.max_difference == pytest.approx(sure - other)
    assert parity.median_difference == pytest.approx((sure - other) / 2)
    # Red has 8 * 0 - 4 = -4, green 8 * 1 - 4 = 4.
    assert parity.max_biodegradable_difference == pytest.approx(1 / (1 + np.exp(-4)) - 1 / (1 + np.exp(4)))


def test_temperatures_count(tmp_path: Path) -> None:
    """Probabilities are those the bundle's temperatures give: at T = 4 red has e / (e + 2)."""
    path = tiny_bundle(tmp_path / "b", manifest=tiny_manifest(temperature=4.0, biodegradable_temperature=2.0))
    parity = check_parity(load_bundle(path), _always([0, 0, 0], 0), [RED])
    assert parity.max_difference == pytest.approx(np.e / (np.e + 2) - 1 / 3)
    assert parity.max_biodegradable_difference == pytest.approx(0.5 - 1 / (1 + np.exp(2)))


def test_without_a_second_head(tmp_path: Path) -> None:
    """Where biodegradability is open there is no such difference, and the network need not have that output."""
    model = tiny_model(outputs=("logits", "attention"))
    path = tiny_bundle(tmp_path / "b", model, tiny_manifest(tiny_taxonomy(is_open=True)))
    parity = check_parity(load_bundle(path), lambda images: {"logits": np.array([[4, 0, 0]])}, [RED])
    assert parity == Parity(1, 1.0, pytest.approx(0, abs=1e-6), pytest.approx(0, abs=1e-6), None)


@pytest.mark.parametrize("fixture", ["litert", "network"])
def test_exported_equals_bundle(conv: Any, fixture: str, request: pytest.FixtureRequest) -> None:
    """Float files say what the bundle says."""
    engine = open_engine("onnx" if fixture == "network" else "litert", request.getfixturevalue(fixture), threads=1)
    photos = np.random.default_rng(3).integers(0, 256, (10, SIZE, SIZE, 3), dtype=np.uint8)
    parity = check_parity(conv, engine, photos)
    assert (parity.photos, parity.same_label) == (10, 1.0)
    assert parity.max_difference < 1e-5


def test_no_photos(shared_bundle: Path) -> None:
    """Nothing can be said of no photos."""
    with pytest.raises(ExportError, match="expected photos to compare on, got none"):
        check_parity(load_bundle(shared_bundle), _always([0, 0, 0], 0), [])


@pytest.mark.parametrize(
    ("outputs", "came"),
    [
        ({"biodegradable_logit": np.zeros((1, 1))}, "none"),
        ({"logits": np.zeros((1, 4)), "biodegradable_logit": np.zeros((1, 1))}, r"\(1, 4\)"),
        ({"logits": np.full((1, 3), np.nan), "biodegradable_logit": np.zeros((1, 1))}, r"\(1, 3\)"),
    ],
)
def test_unfit_outputs(shared_bundle: Path, outputs: dict[str, NDArray[np.float64]], came: str) -> None:
    """A network that lacks an output, or gives another shape or no numbers, cannot be compared."""
    with pytest.raises(ExportError, match=rf"expected the network's output logits as .* \(1, 3\), got {came}$"):
        check_parity(load_bundle(shared_bundle), lambda images: outputs, [RED])


def test_json_form() -> None:
    """All keys, by name."""
    assert Parity(1, 1.0, 0.5, 0.25, None).to_dict() == {
        "photos": 1,
        "same_label": 1.0,
        "max_difference": 0.5,
        "median_difference": 0.25,
        "max_biodegradable_difference": None,
    }
