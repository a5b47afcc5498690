"""Photos made worse."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from binsight.evaluation.corruption import CORRUPTIONS, corrupt, working_copy
from binsight.imaging import PreprocessSpec

SPEC = PreprocessSpec(size=(32, 32))
BY_NAME = {c.name: c for c in CORRUPTIONS}


@pytest.fixture
def image():
    """A picture with fine and coarse detail, 64 x 80."""
    generator = np.random.default_rng(0)
    coarse = np.asarray(Image.fromarray(generator.integers(0, 256, (8, 10, 3), np.uint8)).resize((80, 64)))
    return np.clip(coarse.astype(int) + generator.integers(-20, 20, coarse.shape), 0, 255).astype(np.uint8)


def _change(image, changed):
    return float(np.abs(changed.astype(float) - image).mean())


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: c.name)
def test_each_severity_is_the_same_every_time_and_stronger_than_the_one_before(image, corruption):
    """Pictures of one seed agree; what is left of the picture falls from severity to severity."""
    pictures = [corrupt(image, corruption, s, SPEC, seed=1) for s in (1, 2, 3)]
    again = corrupt(image, corruption, 2, SPEC, seed=1)
    assert np.array_equal(pictures[1], again)
    if corruption.name == "downscale":
        assert [p.shape for p in pictures] == [(16, 20, 3), (8, 10, 3), (4, 5, 3)]
        return
    assert all(p.shape == image.shape and p.dtype == np.uint8 for p in pictures)
    changes = [_change(image, p) for p in pictures]
    assert 0 < changes[0] < changes[1] < changes[2]


def test_noise_has_the_deviation_it_says():
    """On mid-grey nothing is cut off: the deviation of 24 levels is there."""
    grey = np.full((200, 200, 3), 127, np.uint8)
    noisy = corrupt(grey, BY_NAME["noise"], 2, SPEC, seed=0).astype(float)
    assert noisy.std() == pytest.approx(24, rel=0.02)
    assert noisy.mean() == pytest.approx(127, abs=0.5)


def test_brightness_is_multiplied_and_cut():
    """100 becomes 130, 250 becomes 255; darker: 70."""
    image = np.array([[[100, 250, 0]]], np.uint8)
    assert corrupt(image, BY_NAME["brighter"], 1, SPEC, seed=0).tolist() == [[[130, 255, 0]]]
    assert corrupt(image, BY_NAME["darker"], 1, SPEC, seed=0).tolist() == [[[70, 175, 0]]]


def test_occlusion_covers_its_share():
    """10 % of the pixels turn grey, in one rectangle, elsewhere with another seed."""
    image = np.zeros((100, 200, 3), np.uint8)
    covered = [(corrupt(image, BY_NAME["occlusion"], 2, SPEC, seed=s) == 127).all(axis=2) for s in (0, 1)]
    assert covered[0].mean() == pytest.approx(0.1, abs=0.005)
    rows, columns = np.nonzero(covered[0])
    assert covered[0][rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
    assert not np.array_equal(*covered)


def test_rotation_brings_no_black_corners():
    """A white picture stays white: what turns into view is its mirror image."""
    white = np.full((60, 90, 3), 255, np.uint8)
    assert corrupt(white, BY_NAME["rotation"], 3, SPEC, seed=0).min() == 255


def test_tiny_pictures_survive():
    """One pixel can be made worse, too."""
    dot = np.full((1, 1, 3), 200, np.uint8)
    for corruption in CORRUPTIONS:
        assert corrupt(dot, corruption, 3, SPEC, seed=0).shape == (1, 1, 3)


@pytest.mark.parametrize(("size", "expected"), [((500, 300), (64, 107)), ((50, 40), (40, 50))])
def test_working_copy_is_twice_the_input_and_never_enlarged(size, expected):
    """The shorter side of a large photo is 64 for an input of 32; a small one stays."""
    stream = io.BytesIO()
    Image.new("RGB", size).save(stream, "PNG")
    assert working_copy(stream.getvalue(), SPEC).shape[:2] == expected
