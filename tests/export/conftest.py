"""Networks converted once for all tests: each conversion takes a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.export.tiny_network import conv_bundle, conv_model, noise

from binsight.bundle import Bundle, load_bundle
from binsight.export.litert import to_litert, to_litert_int8
from binsight.export.onnx_int8 import to_onnx_int8

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def conv_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a bundle of convolutions that no test changes."""
    return conv_bundle(tmp_path_factory.mktemp("bundle") / "conv")


@pytest.fixture
def conv(conv_folder: Path) -> Bundle:
    """Return that bundle."""
    return load_bundle(conv_folder)


@pytest.fixture(scope="session")
def network() -> bytes:
    """Return the ONNX file in it."""
    data: bytes = conv_model().SerializeToString()
    return data


@pytest.fixture(scope="session")
def litert(network: bytes) -> bytes:
    """Return it as LiteRT."""
    return to_litert(network)


@pytest.fixture(scope="session")
def litert_int8(network: bytes) -> bytes:
    """Return it as quantised LiteRT."""
    return to_litert_int8(network, list(noise(40)))


@pytest.fixture(scope="session")
def onnx_int8(network: bytes) -> bytes:
    """Return it as quantised ONNX."""
    return to_onnx_int8(network, list(noise(40)))
