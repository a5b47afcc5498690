"""Weights as safetensors files: what is written, and what is refused."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load, save

from binsight.errors import WeightsError
from binsight.training.backbones import find_safetensors, write_backbone_safetensors
from binsight.training.backbones.safetensors_file import load_safetensors

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


@pytest.fixture
def model() -> keras.Model:
    """Return a convolution of 3 kernels and a batch normalisation: 6 tensors."""
    images = keras.Input((4, 4, 2))
    value = keras.layers.Conv2D(3, 1, name="first")(images)
    return keras.Model(images, keras.layers.BatchNormalization(name="norm")(value))


def tensors_of(model: keras.Model) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors that are written of a model."""
    return load(write_backbone_safetensors("any", model))


def test_file_is_as_documented(model: keras.Model) -> None:
    """Kernels are float16 and all else float32, under `layer/variable`; the metadata has the backbone's name."""
    data = write_backbone_safetensors("efficientnet_lite0", model)
    found = {name: (array.dtype.name, array.shape) for name, array in load(data).items()}
    assert found == {
        "first/kernel": ("float16", (1, 1, 2, 3)),
        **{f"first/{name}": ("float32", (3,)) for name in ("bias",)},
        **{f"norm/{name}": ("float32", (3,)) for name in ("gamma", "beta", "moving_mean", "moving_variance")},
    }
    (length,) = struct.unpack_from("<Q", data)
    assert json.loads(data[8 : 8 + length])["__metadata__"] == {"backbone": "efficientnet_lite0"}


def test_same_weights_give_the_same_bytes(model: keras.Model) -> None:
    """So the hash of a bundle can be reproduced."""
    assert write_backbone_safetensors("any", model) == write_backbone_safetensors("any", model)


def test_weights_come_back(model: keras.Model, tmp_path: Path) -> None:
    """Every tensor of a file gets into its variable."""
    tensors = {name: np.full_like(array, index) for index, (name, array) in enumerate(tensors_of(model).items())}
    path = tmp_path / "any.safetensors"
    path.write_bytes(save(tensors))
    load_safetensors(path, model)
    assert tensors_of(model).keys() == tensors.keys()
    for name, array in tensors_of(model).items():
        np.testing.assert_array_equal(array, tensors[name])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"norm/gamma": None}, "norm/gamma is missing"),
        ({"second/kernel": np.zeros(1, np.float32)}, "second/kernel is left over"),
        ({"norm/beta": np.zeros(4, np.float32)}, r"norm/beta has shape \(4,\), not \(3,\)"),
        ({"norm/beta": np.full(3, np.nan, np.float32)}, "norm/beta has values that are not finite"),
        ({"norm/beta": np.zeros(3, np.int64)}, "expected weights of type F16 or F32, got I64"),
        ({f"more{i}": np.zeros(1, np.float32) for i in range(9)}, "left over; and 4 more"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    model: keras.Model, tmp_path: Path, change: dict[str, npt.NDArray[Any] | None], fault: str
) -> None:
    """A missing, left-over, misshapen, infinite or whole-number tensor is named, and the model stays as it was."""
    before = model.get_weights()
    changed = {name: array for name, array in (tensors_of(model) | change).items() if array is not None}
    path = tmp_path / "any.safetensors"
    path.write_bytes(save(changed))
    with pytest.raises(WeightsError, match=fault):
        load_safetensors(path, model)
    for found, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        b"PK\x03\x04" + b"\x00" * 100,
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 7) + b'{"a":1}',
    ],
)
def test_damaged_files_are_refused(model: keras.Model, tmp_path: Path, data: bytes) -> None:
    """What is no safetensors file is refused in one line with its path."""
    path = tmp_path / "any.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"any.safetensors: no readable safetensors file: [^\n]+$"):
        load_safetensors(path, model)


def test_truncated_file_is_refused(model: keras.Model, tmp_path: Path) -> None:
    """A file that ends early is refused."""
    path = tmp_path / "any.safetensors"
    path.write_bytes(write_backbone_safetensors("any", model)[:-1])
    with pytest.raises(WeightsError, match="no readable safetensors file"):
        load_safetensors(path, model)


def test_missing_file_is_refused(model: keras.Model, tmp_path: Path) -> None:
    """A file that is not there is refused with the system's reason."""
    with pytest.raises(WeightsError, match="cannot be read: No such file"):
        load_safetensors(tmp_path / "none.safetensors", model)


@pytest.mark.parametrize(("value", "name"), [(1e6, "float16"), (np.inf, "float16")])
def test_impossible_weights_are_not_written(model: keras.Model, value: float, name: str) -> None:
    """A kernel beyond float16's 65,504 is refused by name rather than stored as infinity."""
    model.get_layer("first").kernel.assign(np.full((1, 1, 2, 3), value))
    with pytest.raises(WeightsError, match=f"first/kernel has values that are not finite or too large for {name}"):
        write_backbone_safetensors("any", model)


class TestFind:
    def test_no_folder(self) -> None:
        """Without a folder of weights there is no file."""
        assert find_safetensors("xception", None) is None

    def test_exact_name_comes_first(self, tmp_path: Path) -> None:
        """`NAME.safetensors` is preferred over longer names; one longer name is taken."""
        assert find_safetensors("xception", tmp_path) is None
        (tmp_path / "xception_imagenet_notop.safetensors").touch()
        assert find_safetensors("xception", tmp_path) == tmp_path / "xception_imagenet_notop.safetensors"
        (tmp_path / "xception.safetensors").touch()
        assert find_safetensors("xception", tmp_path) == tmp_path / "xception.safetensors"

    def test_several_files_are_no_guess(self, tmp_path: Path) -> None:
        """Where several files would do, the user has to say which."""
        (tmp_path / "xception_a.safetensors").touch()
        (tmp_path / "xception_b.safetensors").touch()
        with pytest.raises(WeightsError, match=r"several weights of xception: rename the right one to xception.safe"):
            find_safetensors("xception", tmp_path)

    def test_missing_folder(self, tmp_path: Path) -> None:
        """A folder of weights that is not there is an error, not a reason to look elsewhere."""
        with pytest.raises(WeightsError, match="no folder of weights at"):
            find_safetensors("xception", tmp_path / "none")
