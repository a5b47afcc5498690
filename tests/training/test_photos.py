"""Labelled photos, and their pixels within a memory budget."""

import io
from functools import partial

import numpy as np
import pytest
from PIL import Image

from binsight.errors import DatasetError, ImageError, InputError
from binsight.imaging import PreprocessSpec, prepare_photo
from binsight.training.augment.photo import augment_photo
from binsight.training.augment.settings import STRENGTHS
from binsight.training.photos import LabelledPhotos, PhotoStore, decode_for_augmentation


def encoded(height, width, value=90, kind="PNG"):
    """A plain picture."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def files(tmp_path):
    """Three pictures of 10 x 10 pixels."""
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        path.write_bytes(encoded(10, 10, 50 * i))
    return paths


def test_all_faults_are_reported_together(files):
    """Labels too few, answers too many."""
    with pytest.raises(DatasetError, match=r"labels must be 3 .* got \(2,\) int64; biodegradable must have 3 values"):
        LabelledPhotos(files, np.array([0, 1]), np.zeros(4, bool))
    with pytest.raises(DatasetError, match="there are none"):
        LabelledPhotos([], np.array([], int))
    with pytest.raises(DatasetError, match="0 or more, or -1 for none of the classes, got -2"):
        LabelledPhotos(files, np.array([0, -2, 1]))


def test_photos_within_the_budget_are_decoded_once(files):
    """The budget holds two of three; the third is decoded each time."""
    decoded = []

    def decode(data):
        decoded.append(data)
        return np.zeros((10, 10, 3), np.uint8)

    store = PhotoStore(files, decode, budget=700)
    for _ in range(3):
        for i in range(3):
            store.pixels(i)
    assert len(decoded) == 2 + 3


def test_a_photo_that_fails_is_named(files, tmp_path):
    """Training does not go on without it."""
    files[1].write_bytes(files[1].read_bytes()[:40])
    store = PhotoStore([*files, tmp_path / "gone.png"], partial(decode_for_augmentation, size=(4, 4)), budget=0)
    with pytest.raises(ImageError, match=r"1\.png"):
        store.pixels(1)
    with pytest.raises(InputError, match=r"gone\.png"):
        store.pixels(3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_large_photos_are_kept_at_one_and_a_half_times_the_input(kind):
    """The shorter side, relative to the input's, decides; small photos stay as they are."""
    assert decode_for_augmentation(encoded(900, 1200, kind=kind), (100, 100)).shape == (150, 200, 3)
    assert decode_for_augmentation(encoded(120, 1000, kind=kind), (100, 100)).shape == (120, 1000, 3)


@pytest.mark.parametrize(("height", "width", "most"), [(384, 380, 0.0), (1200, 1600, 2.0)])
def test_only_large_photos_differ_from_what_predicting_sees(height, width, most):
    """Up to 1.5 times the network's input not at all; beyond, they are shrunk twice, which shows a little."""
    spec = PreprocessSpec(size=(256, 256), filter="bilinear")
    cells = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC).save(buffer, "PNG")
    decoded = decode_for_augmentation(buffer.getvalue(), size=spec.size)
    unaltered = augment_photo(decoded, spec, STRENGTHS["none"], np.random.default_rng(0))
    difference = np.abs(unaltered.astype(int) - prepare_photo(buffer.getvalue(), spec)).mean()
    assert difference <= most
    assert (difference > 0) == (most > 0)
