"""The heat map lies where the network looked, and nowhere else."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from binsight.imaging import PreprocessSpec, overlay_heatmap
from binsight.imaging.heatmap import class_evidence


class TestClassEvidence:
    ATTENTION = np.float32([[[6, 0, 0], [0, 6, 0]], [[3, 0, 0], [1, 1, 1]]])

    def test_by_hand(self):
        """Logit less the mean of all, cut at 0, over the largest: 6-2=4, 0-2 is cut, 3-1=2, 1-1=0; over 4."""
        np.testing.assert_allclose(class_evidence(self.ATTENTION, 0), [[1, 0], [0.5, 0]])

    def test_no_evidence(self):
        """All 0 where no place speaks for the class."""
        np.testing.assert_array_equal(class_evidence(self.ATTENTION, 2), np.zeros((2, 2)))

    def test_shift(self):
        """What speaks for all classes alike does not count."""
        shift = np.float32([[[5], [-3]], [[100], [0.5]]])
        np.testing.assert_allclose(
            class_evidence(self.ATTENTION + shift, 1), class_evidence(self.ATTENTION, 1), atol=1e-5
        )

    def test_range(self):
        """Values are in [0, 1], the largest is 1, and the shape is that of the grid."""
        attention = np.random.default_rng(4).normal(size=(7, 5, 8)).astype(np.float32)
        for index in range(8):
            evidence = class_evidence(attention, index)
            assert evidence.shape == (7, 5)
            assert evidence.dtype == np.float32
            assert evidence.min() >= 0
            assert evidence.max() == 1

    def test_input_is_not_changed(self):
        """The caller's array stays as it was."""
        before = self.ATTENTION.copy()
        class_evidence(self.ATTENTION, 0)
        np.testing.assert_array_equal(self.ATTENTION, before)


class TestOverlay:
    SQUARE = PreprocessSpec((8, 8))
    GREY = np.full((20, 40, 3), 100, np.uint8)

    def test_full_evidence(self):
        """Full evidence lays red over the photo at 65 %: 0.35 * 100 + 0.65 * (255, 0, 0) = (200.75, 35, 35)."""
        result = overlay_heatmap(self.GREY, np.ones((2, 2), np.float32), self.SQUARE)
        assert (result == (201, 35, 35)).all()

    def test_half_evidence(self):
        """Half evidence lays orange (255, 110, 0) over it at 32.5 %: (150.375, 103.25, 67.5)."""
        result = overlay_heatmap(self.GREY, np.full((2, 2), 0.5, np.float32), self.SQUARE)
        np.testing.assert_allclose(result, np.broadcast_to((150, 103, 67.5), result.shape), atol=0.5)

    @pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
    def test_no_evidence(self, photo, fit):
        """Without evidence the photo stays as it was."""
        spec = PreprocessSpec((8, 8), fit=fit)
        np.testing.assert_array_equal(overlay_heatmap(photo, np.zeros((7, 7), np.float32), spec), photo)

    def test_crop(self):
        """What a crop cut off stays as it was; what it kept is covered."""
        spec = PreprocessSpec((8, 8), fit="crop")
        result = overlay_heatmap(self.GREY, np.ones((3, 3), np.float32), spec)
        assert (result[:, :10] == 100).all()
        assert (result[:, 30:] == 100).all()
        assert (result[:, 10:30] == (201, 35, 35)).all()

    def test_crop_fraction(self):
        """With a fraction of 1/2 the middle half of the square is covered."""
        spec = PreprocessSpec((8, 8), fit="crop", crop_fraction=0.5)
        covered = (overlay_heatmap(self.GREY, np.ones((3, 3), np.float32), spec) != 100).any(axis=2)
        expected = np.zeros((20, 40), bool)
        expected[5:15, 15:25] = True
        np.testing.assert_array_equal(covered, expected)

    def test_letterbox(self):
        """Evidence in the bars of a letterbox falls outside of the photo."""
        spec = PreprocessSpec((8, 8), fit="letterbox")
        bars = np.zeros((8, 8), np.float32)
        bars[[0, -1]] = 1  # the photo lies in rows 2 to 5
        np.testing.assert_array_equal(overlay_heatmap(self.GREY, bars, spec), self.GREY)
        assert (overlay_heatmap(self.GREY, np.ones((8, 8), np.float32), spec) == (201, 35, 35)).all()

    @pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
    def test_place(self, fit):
        """The hottest place of the photo is where the evidence is."""
        evidence = np.zeros((4, 4), np.float32)
        evidence[1, 2] = 1
        result = overlay_heatmap(np.zeros((40, 40, 3), np.uint8), evidence, PreprocessSpec((8, 8), fit=fit))
        row, column = np.unravel_index(result[..., 0].argmax(), (40, 40))
        assert (row // 10, column // 10) == (1, 2)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (33, 57)])
    @pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
    @pytest.mark.parametrize("size", [(8, 8), (5, 13)])
    def test_any_size(self, shape, fit, size):
        """The result has the photo's shape and type, whatever the sizes."""
        image = np.full((*shape, 3), 50, np.uint8)
        evidence = np.random.default_rng(6).random((7, 9)).astype(np.float32)
        for fraction in (1.0, 0.05):
            result = overlay_heatmap(image, evidence, PreprocessSpec(size, fit=fit, crop_fraction=fraction))
            assert (result.shape, result.dtype) == (image.shape, np.uint8)

    def test_letterbox_of_a_long_photo(self):
        """The bars of a very long photo, 20,000 times its height, cost no memory: as pixels they would be 1.6 GB."""
        resource = pytest.importorskip("resource")
        unit = 1 if sys.platform == "darwin" else 1024
        image, spec = np.zeros((1, 20_000, 3), np.uint8), PreprocessSpec((8, 8), fit="letterbox")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        overlay_heatmap(image, np.ones((7, 7), np.float32), spec)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before < 100_000_000
