"""The micro interpreter on the host."""

from __future__ import annotations

import numpy as np
import pytest

from binsight.bundle import load_bundle, resolve_bundle
from binsight.bundle.container import MICRO_NAME
from binsight.errors import ExportError
from binsight.export.engines import open_engine
from binsight.export.micro import arena_bytes, run_micro

pytest.importorskip("tflite_micro", reason="the micro interpreter is for Python 3.11 on x86-64 Linux")


@pytest.fixture(scope="module")
def network() -> bytes:
    """Return the micro network of the package."""
    return load_bundle(resolve_bundle("waste8-micro")).read(MICRO_NAME)


def test_an_arena_of_this_size_is_enough_and_nothing_smaller(network: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """Held against the interpreter, which fails where it is too small."""
    from tflite_micro import runtime  # noqa: PLC0415 - not everywhere

    size = arena_bytes(network)
    assert capfd.readouterr().err == ""
    runtime.Interpreter.from_bytes(network, arena_size=size)
    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_bytes(network, arena_size=size - 2000)


def test_litert_takes_pixels_and_gives_logits(network: bytes) -> None:
    """Those of the micro interpreter: its kernels round elsewhere, up to seven steps of the output on photos."""
    pictures = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3)).astype(np.uint8)
    integers = run_micro(network, (pictures.astype(np.int16) - 128).astype(np.int8))
    engine = open_engine("litert", network, threads=1)
    given = engine(pictures)["logits"]
    scale, zero = engine._outputs["logits"]["quantization"]  # type: ignore[attr-defined]
    assert np.abs(given - (integers.astype(np.float32) - zero) * scale).max() <= 8.01 * scale


def test_what_is_no_network_is_refused() -> None:
    """As an export error."""
    with pytest.raises(ExportError, match="micro interpreter cannot run"):
        run_micro(b"", np.zeros((1, 96, 96, 3), np.int8))
