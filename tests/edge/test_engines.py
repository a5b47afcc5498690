"""Which network of a bundle is run, and that all say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.tiny_bundle import SIZE, tiny_bundle, tiny_model

from binsight.bundle import load_bundle
from binsight.edge.engines import choose_engine, open_predictor
from binsight.errors import InputError
from binsight.export.litert import to_litert

if TYPE_CHECKING:
    from pathlib import Path

    from binsight.bundle import Bundle


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return a bundle for ONNX Runtime and for LiteRT."""
    network = tiny_model().SerializeToString()
    path = tiny_bundle(tmp_path_factory.mktemp("both") / "tiny", model__tflite=to_litert(network))
    return load_bundle(path)


def test_both_engines_predict_the_same(both: Bundle) -> None:
    """Up to rounding, from one predictor's interface."""
    pictures = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3)).astype(np.uint8)
    first, second = (
        open_predictor(both, engine, threads=1).predict_prepared(pictures) for engine in ("onnx", "litert")
    )
    for one, other in zip(first, second, strict=True):
        assert one.category == other.category
        assert one.confidence == pytest.approx(other.confidence, abs=1e-5)
        assert one.biodegradable_probability == pytest.approx(other.biodegradable_probability, abs=1e-5)


def test_the_fastest_is_taken(both: Bundle) -> None:
    """Of those there are files for; each is measured."""
    predictor, medians = choose_engine(both, threads=1)
    assert set(medians) == {"onnx", "litert"}
    assert min(medians.values()) > 0
    assert predictor.bundle is both


def test_an_engine_without_a_file_is_refused(shared_bundle: Path) -> None:
    """With those there are."""
    with pytest.raises(InputError, match=r"has a file for \(onnx\), got micro"):
        open_predictor(load_bundle(shared_bundle), "micro", threads=1)
