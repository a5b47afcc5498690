"""Activations of a graph's first layers: right numbers, one file per view, the same for the same seed."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

from binsight.errors import ImageError
from binsight.imaging import PreprocessSpec
from binsight.training.augment.settings import AugmentSettings
from binsight.training.fine_tune.activations import ActivationCache, cut_graph

SPEC = PreprocessSpec(size=(8, 8), filter="nearest")
AUGMENT = AugmentSettings(flip_horizontal=1.0)


@pytest.fixture
def backbone():
    """Half-size planes of the pixels, `half`, and behind it their negative, `feature_map`."""
    nodes = [
        helper.make_node("Transpose", ["images"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["pixels"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Neg", ["half"], ["feature_map"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 8, 8, 3])],
        [helper.make_tensor_value_info("feature_map", TensorProto.FLOAT, ["n", 3, 4, 4])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def photos(tmp_path):
    """Two pictures; the left half of the first is red."""
    paths = []
    for name, red in (("a", 200), ("b", 40)):
        pixels = np.zeros((8, 8, 3), np.uint8)
        pixels[:, :4, 0] = red
        paths.append(tmp_path / f"{name}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def cache(backbone, folder, **options):
    """A cache on the first part of the network."""
    return ActivationCache(
        cut_graph(backbone, "half"), SPEC, AUGMENT, folder=folder, **{"seed": 3, "workers": 2} | options
    )


def test_view_zero_is_the_photo_as_it_is(backbone, photos, tmp_path):
    """Places first, channels last, in the order of the photos."""
    seen = cache(backbone, tmp_path / "cache").view(photos, 0)
    assert seen.shape == (2, 4, 4, 3)
    assert seen.dtype == np.float16
    np.testing.assert_array_equal(seen[0, :, :, 0], [[200, 200, 0, 0]] * 4)
    np.testing.assert_array_equal(seen[1, 0, :, 0], [40, 40, 0, 0])


def test_other_views_are_altered(backbone, photos, tmp_path):
    """These settings mirror every photo."""
    seen = cache(backbone, tmp_path / "cache").view(photos, 1)
    np.testing.assert_array_equal(seen[0, 0, :, 0], [0, 0, 200, 200])


def test_a_view_is_computed_once(backbone, photos, tmp_path, monkeypatch):
    """The second cache reads the file; nothing else is left in the folder."""
    folder = tmp_path / "cache"
    first = cache(backbone, folder).view(photos, 1)
    again = cache(backbone, folder, workers=1)
    monkeypatch.setattr(again, "_row", lambda *_: pytest.fail("computed again"))
    np.testing.assert_array_equal(again.view(photos, 1), first)
    assert len(list(folder.iterdir())) == 1


def test_another_seed_or_order_has_files_of_its_own(backbone, photos, tmp_path):
    """Nothing is taken over from activations of another kind."""
    folder = tmp_path / "cache"
    cache(backbone, folder).view(photos, 1)
    cache(backbone, folder, seed=4).view(photos, 1)
    cache(backbone, folder).view(photos[::-1], 1)
    assert len(list(folder.iterdir())) == 3


def test_a_broken_photo_is_named_and_leaves_nothing(backbone, photos, tmp_path):
    """The message has its path; no half-written file stays."""
    photos[1].write_bytes(photos[1].read_bytes()[:45])
    with pytest.raises(ImageError, match=r"b\.png"):
        cache(backbone, tmp_path / "cache").view(photos, 0)
    assert not list((tmp_path / "cache").iterdir())


def test_progress_is_told_per_photo(backbone, photos, tmp_path):
    """Once for each, and not at all when the file is there."""
    ticks = []
    cache(backbone, tmp_path / "cache").view(photos, 0, progress=lambda *_: ticks.append(1))
    cache(backbone, tmp_path / "cache").view(photos, 0, progress=lambda *_: ticks.append(1))
    assert len(ticks) == 2
