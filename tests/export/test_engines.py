"""Engines: both runtimes under one interface, and what they refuse."""

from __future__ import annotations

import sys
from typing import Literal

import numpy as np
import pytest
from tests.export.tiny_network import noise
from tests.tiny_bundle import OUTPUTS

from binsight.errors import ExportError, MissingExtraError
from binsight.export.engines import import_runtime, open_engine


@pytest.mark.parametrize("runtime", ["onnx", "litert"])
def test_damaged_file(runtime: Literal["onnx", "litert"]) -> None:
    """Bytes that are no network give one line that names the runtime."""
    with pytest.raises(ExportError, match=rf"^the {runtime} file cannot be opened \(.*\)$"):
        open_engine(runtime, b"no network", threads=1)


def test_names_of_outputs(network: bytes, litert: bytes) -> None:
    """Both know their outputs."""
    assert open_engine("onnx", network, threads=1).names == frozenset(OUTPUTS)
    assert open_engine("litert", litert, threads=1).names == frozenset(OUTPUTS)


@pytest.mark.parametrize(("runtime", "fixture"), [("onnx", "network"), ("litert", "litert"), ("litert", "litert_int8")])
@pytest.mark.parametrize("threads", [1, 2])
def test_batch_equals_singles(
    runtime: Literal["onnx", "litert"], fixture: str, threads: int, request: pytest.FixtureRequest
) -> None:
    """Several photos at once give what each gives alone, in order."""
    engine = open_engine(runtime, request.getfixturevalue(fixture), threads=threads)
    photos = noise(3)
    together, alone = engine(photos)["logits"], [engine(photo[None])["logits"] for photo in photos]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-5, atol=1e-5)


def test_missing_litert(litert: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its package the error says what to install."""
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(MissingExtraError, match=r'pip install "binsight\[train\]"'):
        open_engine("litert", litert, threads=1)
    assert import_runtime("onnx").__name__ == "onnxruntime"


def test_nothing_is_said(litert: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """LiteRT's notes about its delegates do not reach the user."""
    open_engine("litert", litert, threads=1)(noise(1))
    assert capfd.readouterr() == ("", "")
