"""Features and their cache, with a tiny backbone."""

import io

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

from binsight.errors import ImageError, InputError
from binsight.imaging import PreprocessSpec
from binsight.notes import Note
from binsight.training import feature_cache
from binsight.training.augment.settings import AugmentSettings
from binsight.training.features import AugmentedView, FeatureExtractor

SPEC = PreprocessSpec(size=(8, 8), filter="bilinear")


@pytest.fixture
def backbone():
    """Its three features are the mean red of the left half, of the right half, and the mean blue."""
    weight = np.zeros((3, 8, 8, 3), np.float32)
    weight[0, :, :4, 0] = weight[1, :, 4:, 0] = 1 / 32
    weight[2, :, :, 2] = 1 / 64
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight"], ["features"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 8, 8, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor("weight", TensorProto.FLOAT, (3, 192), weight.ravel())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@pytest.fixture
def photo(tmp_path):
    """A picture whose left half is red and whose right half is black."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4, 0] = 200
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    path = tmp_path / "half.png"
    path.write_bytes(buffer.getvalue())
    return path


def test_features_are_those_of_the_network(backbone, photo):
    """Red on the left only."""
    extractor = FeatureExtractor(backbone, SPEC, cache=None, workers=2)
    np.testing.assert_allclose(extractor.extract([photo]), [[200, 0, 0]], atol=1e-3)


def test_the_mirrored_view_swaps_left_and_right(backbone, photo):
    """Red on the right only."""
    extractor = FeatureExtractor(backbone, SPEC, cache=None, workers=1)
    np.testing.assert_allclose(extractor.extract([photo], view="mirrored"), [[0, 200, 0]], atol=1e-3)


def test_a_known_photo_is_not_computed_again(backbone, photo, tmp_path, monkeypatch):
    """The second extractor reads the cache, also for a copy under another name."""
    cache = tmp_path / "cache"
    first = FeatureExtractor(backbone, SPEC, cache=cache, workers=1).extract([photo])
    copy = photo.with_name("copy.png")
    copy.write_bytes(photo.read_bytes())
    again = FeatureExtractor(backbone, SPEC, cache=cache, workers=1)
    monkeypatch.setattr(again, "_run", lambda *_: pytest.fail("computed again"))
    np.testing.assert_array_equal(again.extract([copy, photo]), np.concatenate([first, first]))


def test_another_preprocessing_has_a_cache_of_its_own(backbone, photo, tmp_path):
    """Nothing is taken over from features made in another way."""
    cache = tmp_path / "cache"
    FeatureExtractor(backbone, SPEC, cache=cache, workers=1).extract([photo])
    other = PreprocessSpec(size=(8, 8), filter="nearest")
    FeatureExtractor(backbone, other, cache=cache, workers=1).extract([photo])
    assert len(list(cache.iterdir())) == 2


def test_a_damaged_cache_is_made_anew(backbone, photo, tmp_path):
    """The features are computed again, and kept."""
    cache = tmp_path / "cache"
    whole = FeatureExtractor(backbone, SPEC, cache=cache, workers=1).extract([photo])
    (file,) = cache.glob("*/*")
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:50])
    np.testing.assert_array_equal(FeatureExtractor(backbone, SPEC, cache=cache, workers=1).extract([photo]), whole)
    assert file.stat().st_size == size


def test_a_cache_that_cannot_be_written(backbone, photo, tmp_path):
    """A warning says so, and the features are there."""
    (tmp_path / "cache").write_text("a file")
    with pytest.warns(Note, match="going on without the cache"):
        found = FeatureExtractor(backbone, SPEC, cache=tmp_path / "cache", workers=1).extract([photo])
    assert len(found) == 1


def test_an_unreadable_photo_is_named(backbone, photo, tmp_path):
    """Training does not go on without a photo it was given."""
    extractor = FeatureExtractor(backbone, SPEC, cache=None, workers=1)
    broken = tmp_path / "broken.png"
    broken.write_bytes(photo.read_bytes()[:40])
    with pytest.raises(ImageError, match=r"broken\.png"):
        extractor.extract([photo, broken])
    with pytest.raises(InputError, match=r"missing\.png"):
        extractor.extract([tmp_path / "missing.png"])


def test_progress_is_told_for_each_photo(backbone, photo):
    """Three photos, three calls."""
    ticks = []
    FeatureExtractor(backbone, SPEC, cache=None, workers=2).extract([photo] * 3, progress=lambda *_: ticks.append(1))
    assert len(ticks) == 3


def test_an_altered_view_is_the_same_every_time(backbone, photo, tmp_path):
    """Its draws depend on the photo and on the number of the view only."""
    brightness = AugmentSettings(colour=1.0, brightness=0.5)
    first, other = (AugmentedView(brightness, draw) for draw in (0, 1))
    extractor = FeatureExtractor(backbone, SPEC, cache=None, workers=1)
    copy = tmp_path / "copy.png"
    copy.write_bytes(photo.read_bytes())
    one = extractor.extract([photo], view=first)
    np.testing.assert_array_equal(extractor.extract([copy], view=first), one)
    assert not np.array_equal(extractor.extract([photo], view=other), one)


def test_a_view_that_alters_nothing_is_the_photo(backbone, photo):
    """Up to the pixel."""
    extractor = FeatureExtractor(backbone, SPEC, cache=None, workers=1)
    np.testing.assert_array_equal(
        extractor.extract([photo], view=AugmentedView(AugmentSettings())), extractor.extract([photo])
    )


def test_every_view_has_a_cache_of_its_own(backbone, photo, tmp_path):
    """Named by what is altered and by its number."""
    extractor = FeatureExtractor(backbone, SPEC, cache=tmp_path / "cache", workers=1)
    flip, turn = AugmentSettings(flip_horizontal=1.0), AugmentSettings(warp=1.0, rotation=20.0)
    for view in ("upright", "mirrored", AugmentedView(flip), AugmentedView(flip, 1), AugmentedView(turn)):
        extractor.extract([photo], view=view)
    assert len(list((tmp_path / "cache").iterdir())) == 5


def test_an_interrupted_pass_is_continued(backbone, photo, tmp_path, monkeypatch):
    """What was computed before the interruption is kept, also before a photo that cannot be read."""
    cache, missing = tmp_path / "cache", tmp_path / "missing.png"
    with pytest.raises(InputError):
        FeatureExtractor(backbone, SPEC, cache=cache, workers=1).extract([photo, missing])
    again = FeatureExtractor(backbone, SPEC, cache=cache, workers=1)
    monkeypatch.setattr(again, "_run", lambda *_: pytest.fail("computed again"))
    assert again.extract([photo]).shape == (1, 3)


def test_the_cache_is_written_now_and_then(backbone, photo, tmp_path, monkeypatch):
    """So that a killed process loses half a minute, not all."""
    monkeypatch.setattr(feature_cache, "_SAVED_AFTER_S", 0.0)
    cache = tmp_path / "cache"
    other, seen = photo.with_name("other.png"), []
    Image.new("RGB", (40, 30), (9, 90, 200)).save(other)
    FeatureExtractor(backbone, SPEC, cache=cache, workers=1).extract(
        [photo, other], progress=lambda *_: seen.append(len(list(cache.iterdir())) if cache.exists() else 0)
    )
    assert seen == [0, 1]
