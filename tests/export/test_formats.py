"""The formats of an export, and bundles that carry their files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from tests.export.tiny_network import noise

from binsight.bundle import load_bundle, verify_bundle
from binsight.errors import BundleError, MissingExtraError, OutputError
from binsight.export.engines import open_engine
from binsight.export.formats import FORMATS, add_to_bundle, export_network, read_network

if TYPE_CHECKING:
    from pathlib import Path

    from binsight.bundle import Bundle


def test_names_and_requirements() -> None:
    """Four formats; the float ones must keep 99.9 % of labels, the quantised ones 99 %."""
    assert {name: (f.is_quantised, f.least_same_label) for name, f in FORMATS.items()} == {
        "onnx": (False, 0.999),
        "onnx-int8": (True, 0.99),
        "litert": (False, 0.999),
        "litert-int8": (True, 0.99),
    }


def test_onnx_is_the_bundle_s_own(conv: Bundle, network: bytes) -> None:
    """Byte for byte."""
    assert export_network(conv, FORMATS["onnx"]) == network


@pytest.mark.parametrize("name", ["onnx-int8", "litert", "litert-int8"])
def test_every_format_runs(conv: Bundle, name: str) -> None:
    """What comes out is a file that its runtime opens."""
    data = export_network(conv, FORMATS[name], list(noise(4)))
    assert open_engine(FORMATS[name].runtime, data, threads=1)(noise(2))["logits"].shape == (2, 3)


def test_altered_network_is_not_exported(conv_folder: Path, bundle: Path) -> None:
    """A bundle whose network is not the one of its manifest is refused."""
    (bundle / "model.onnx").write_bytes((conv_folder / "model.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"model\.onnx: expected"):
        export_network(load_bundle(bundle), FORMATS["onnx"])


@pytest.mark.parametrize(("name", "module"), [("onnx-int8", "onnx_int8"), ("litert", "litert")])
def test_missing_libraries(conv: Bundle, name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the libraries that convert, the error says what to install."""
    monkeypatch.delitem(sys.modules, f"binsight.export.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "onnx" if name == "onnx-int8" else "tensorflow", None)
    with pytest.raises(MissingExtraError, match=r'exporting to .*pip install "binsight\[train\]"'):
        export_network(conv, FORMATS[name], list(noise(1)))


@pytest.mark.parametrize("out", ["copy", "copy.zip"])
def test_copy_carries_the_file(conv: Bundle, litert: bytes, tmp_path: Path, out: str) -> None:
    """The copy is sound, has the file and says what was measured; the original is as it was."""
    before = {path.name: path.read_bytes() for path in conv.path.iterdir()}
    path = add_to_bundle(conv, FORMATS["litert"], litert, tmp_path / out, facts={"photos": 7})
    copy = load_bundle(path)
    assert verify_bundle(path) == []
    assert read_network(copy, FORMATS["litert"]) == litert
    assert read_network(copy, FORMATS["onnx"]) == read_network(conv, FORMATS["onnx"])
    assert copy.manifest.training["exports"] == {"model.tflite": {"photos": 7}}
    assert {path.name: path.read_bytes() for path in conv.path.iterdir()} == before


def test_several_files(conv: Bundle, litert: bytes, onnx_int8: bytes, tmp_path: Path) -> None:
    """One after another, each with its own facts."""
    path = add_to_bundle(conv, FORMATS["litert"], litert, tmp_path / "copy", facts={"photos": 1})
    again = load_bundle(path)
    add_to_bundle(again, FORMATS["onnx-int8"], onnx_int8, path, facts={"photos": 2}, overwrite=True)
    exports = load_bundle(path).manifest.training["exports"]
    assert exports == {"model.tflite": {"photos": 1}, "model.int8.onnx": {"photos": 2}}


def test_nothing_is_replaced_unasked(conv: Bundle, litert: bytes) -> None:
    """The bundle itself is changed only on request."""
    with pytest.raises(OutputError, match="exists"):
        add_to_bundle(conv, FORMATS["litert"], litert, conv.path, facts={})


def test_file_that_is_not_there(conv: Bundle) -> None:
    """A bundle without the file says so."""
    with pytest.raises(BundleError, match=r"model\.tflite: the manifest does not list it"):
        read_network(conv, FORMATS["litert"])
