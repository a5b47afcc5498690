"""Speed: what is measured, not how much of it; that belongs into `benchmarks/`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from tests.export.tiny_network import noise

from binsight.bundle import load_bundle
from binsight.errors import BundleError, ExportError, ImageError
from binsight.export.formats import FORMATS, add_to_bundle
from binsight.export.speed import Subject, measure_speeds

if TYPE_CHECKING:
    from pathlib import Path


def _photos(count: int) -> list[bytes]:
    encoded = []
    for picture in noise(count, size=32):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        encoded.append(file.getvalue())
    return encoded


def test_each_subject_is_measured(conv_folder: Path, litert: bytes, tmp_path: Path) -> None:
    """One result for each engine and number of threads, in order, on every photo."""
    edge = add_to_bundle(load_bundle(conv_folder), FORMATS["litert"], litert, tmp_path / "edge.zip", facts={})
    subjects = [Subject(edge, "onnx", 1), Subject(edge, "litert", 2)]
    rounds = []
    speeds = measure_speeds(subjects, _photos(7), progress=lambda: rounds.append(1))
    assert [(s.model, s.engine, s.threads, s.photos) for s in speeds] == [
        ("tiny 1.0.0", "onnx", 1, 7),
        ("tiny 1.0.0", "litert", 2, 7),
    ]
    assert [s.file_bytes for s in speeds] == [(conv_folder / "model.onnx").stat().st_size, len(litert)]
    assert len(rounds) == 10
    for speed in speeds:
        assert 0 < speed.decode_p50_ms <= speed.decode_p95_ms
        assert 0 < speed.engine_p50_ms <= speed.engine_p95_ms
        assert min(speed.load_ms, speed.photos_per_s) > 0
        assert speed.peak_memory_bytes is None or speed.peak_memory_bytes > 10e6
        assert speed.to_dict()["engine"] == speed.engine


def test_one_photo(conv_folder: Path) -> None:
    """Fewer photos than rounds make fewer rounds."""
    (speed,) = measure_speeds([Subject(conv_folder, "onnx", 1)], _photos(1))
    assert speed.photos == 1


def test_what_goes_wrong_comes_back(conv_folder: Path) -> None:
    """A file that is not in the bundle, or a photo that is none, is the error it is elsewhere."""
    with pytest.raises(BundleError, match=r"model\.tflite: the manifest does not list it"):
        measure_speeds([Subject(conv_folder, "onnx", 1), Subject(conv_folder, "litert", 1)], _photos(1))
    with pytest.raises(ImageError):
        measure_speeds([Subject(conv_folder, "onnx", 1)], [b"no photo"])


def test_no_photos(conv_folder: Path) -> None:
    """Without photos no process is started."""
    with pytest.raises(ExportError, match="expected photos to measure with, got none"):
        measure_speeds([Subject(conv_folder, "onnx", 1)], [])
