"""Views: cut, sharp, and which vote."""

import numpy as np
from PIL import Image, ImageFilter
from tests.line.predictions import prediction

from binsight.line.records import Blob, Box, Frame, View
from binsight.line.views import cut_view, measure_sharpness, select_voters


def test_a_view_has_a_margin_and_ends_at_the_frame():
    """A view has a margin and ends at the frame."""
    image = np.arange(100 * 200 * 3, dtype=np.uint32).astype(np.uint8).reshape(100, 200, 3)
    view = cut_view(Frame(image, 5.0, 7), Blob(Box(100, 40, 150, 60), 1000.0), margin=0.2)
    assert view.crop.shape == (40, 70, 3)
    assert (view.crop == image[30:70, 90:160]).all()
    assert not np.shares_memory(view.crop, image)
    assert (view.frame, view.captured_s, view.votes) == (7, 5.0, True)
    assert cut_view(Frame(image, 5.0, 7), Blob(Box(190, 0, 200, 10), 100.0)).crop.shape == (11, 11, 3)


def test_a_cut_off_view_does_not_vote():
    """A cut off view does not vote."""
    image = np.zeros((20, 20, 3), dtype=np.uint8)
    assert not cut_view(Frame(image, 0.0, 1), Blob(Box(0, 0, 9, 9), 81.0, cut_off=True)).votes


def test_blur_lowers_sharpness_and_contrast_does_not():
    """Blur lowers sharpness and contrast does not."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    sharp = np.asarray(Image.fromarray(noise).resize((128, 128), Image.Resampling.NEAREST))
    blurred = np.asarray(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(4)))
    assert measure_sharpness(blurred) < 0.1 * measure_sharpness(sharp)
    assert abs(measure_sharpness(sharp // 2) / measure_sharpness(sharp) - 1) < 0.05
    assert measure_sharpness(sharp[:1, :1]) == 0.0


def test_blurred_cut_off_and_unjudged_views_do_not_count():
    """Blurred cut off and unjudged views do not count."""
    crop = np.zeros((2, 2, 3), dtype=np.uint8)

    def view(number: int, sharpness: float, **fields: object) -> View:
        given = {"prediction": prediction([1.0, 0.0]), **fields}
        return View(number, 0.0, Box(0, 0, 2, 2), crop, sharpness=sharpness, **given)

    views = [view(1, 10.0), view(2, 4.9), view(3, 5.1), view(4, 90.0, votes=False), view(5, 90.0, prediction=None)]
    assert [chosen.frame for chosen in select_voters(views)] == [1, 3]
