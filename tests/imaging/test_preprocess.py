"""A picture becomes the network's input as the specification says, to the pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binsight.imaging import PreprocessSpec, decode_image, normalise, prepare_photo, resize_image
from binsight.imaging.preprocess import visible_box

FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
FITS = ("stretch", "crop", "letterbox")
PROFILE = settings(derandomize=True, database=None, deadline=None, max_examples=100)

specs = st.builds(
    PreprocessSpec,
    size=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    fit=st.sampled_from(FITS),
    crop_fraction=st.floats(0.05, 1),
)


def grey(rows):
    """A picture of grey pixels."""
    return np.repeat(np.array(rows, np.uint8)[..., None], 3, axis=2)


def greys(image):
    """The grey values of such a picture; all channels must agree."""
    assert (image == image[..., :1]).all()
    return image[..., 0].tolist()


class TestStretch:
    def test_enlarge(self):
        """Stretching to twice the size with `nearest` repeats every pixel."""
        spec = PreprocessSpec((4, 4), filter="nearest")
        assert greys(resize_image(grey([[1, 2], [3, 4]]), spec)) == [
            [1, 1, 2, 2],
            [1, 1, 2, 2],
            [3, 3, 4, 4],
            [3, 3, 4, 4],
        ]

    def test_shrink(self):
        """Shrinking to half with `box` averages four pixels."""
        spec = PreprocessSpec((1, 2), filter="box")
        assert greys(resize_image(grey([[0, 10, 50, 60], [20, 30, 70, 80]]), spec)) == [[15, 65]]

    def test_size_is_height_and_width(self):
        """`size` is height, then width, and the proportions may change."""
        assert resize_image(grey([[1, 2, 3]]), PreprocessSpec((5, 2))).shape == (5, 2, 3)

    @pytest.mark.parametrize("filter_name", FILTERS)
    def test_same_size(self, photo, filter_name):
        """A picture of the right size already is not changed."""
        np.testing.assert_array_equal(resize_image(photo, PreprocessSpec((24, 36), filter=filter_name)), photo)


class TestCrop:
    PICTURE = grey([[11, 12, 13, 14], [21, 22, 23, 24]])

    def test_middle_of_a_wide_picture(self):
        """The largest centred square of a wide picture is kept."""
        spec = PreprocessSpec((2, 2), fit="crop", filter="nearest")
        assert greys(resize_image(self.PICTURE, spec)) == [[12, 13], [22, 23]]

    def test_middle_of_a_tall_picture(self):
        """The largest centred square of a tall picture is kept."""
        spec = PreprocessSpec((2, 2), fit="crop", filter="nearest")
        assert greys(resize_image(self.PICTURE.swapaxes(0, 1), spec)) == [[12, 22], [13, 23]]

    def test_proportions_of_the_target(self):
        """A target of 1:2 takes all of a 1:2 picture."""
        spec = PreprocessSpec((2, 4), fit="crop", filter="nearest")
        np.testing.assert_array_equal(resize_image(self.PICTURE, spec), self.PICTURE)

    def test_fraction(self):
        """A fraction of 1/2 keeps the middle half of each side."""
        picture = grey([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]])
        spec = PreprocessSpec((2, 2), fit="crop", crop_fraction=0.5, filter="nearest")
        assert greys(resize_image(picture, spec)) == [[6, 7], [10, 11]]

    def test_fraction_is_for_crop_only(self, photo):
        """The other fits ignore the fraction."""
        for fit in ("stretch", "letterbox"):
            part, all_of_it = (PreprocessSpec((9, 9), fit=fit, crop_fraction=f) for f in (0.5, 1.0))
            np.testing.assert_array_equal(resize_image(photo, part), resize_image(photo, all_of_it))


class TestLetterbox:
    def test_wide_picture(self):
        """A wide picture gets bars above and below."""
        spec = PreprocessSpec((4, 4), fit="letterbox", filter="nearest", pad_value=9)
        assert greys(resize_image(grey([[1, 2, 3, 4], [5, 6, 7, 8]]), spec)) == [
            [9] * 4,
            [1, 2, 3, 4],
            [5, 6, 7, 8],
            [9] * 4,
        ]

    def test_tall_picture(self):
        """A tall picture gets bars left and right, here of black."""
        spec = PreprocessSpec((2, 4), fit="letterbox", filter="nearest", pad_value=0)
        assert greys(resize_image(grey([[1, 2], [3, 4]]), spec)) == [[0, 1, 2, 0], [0, 3, 4, 0]]

    def test_enlarge(self):
        """A small picture is enlarged until it fits."""
        spec = PreprocessSpec((4, 6), fit="letterbox", filter="nearest", pad_value=255)
        rows = [[255, 1, 1, 2, 2, 255]] * 2 + [[255, 3, 3, 4, 4, 255]] * 2
        assert greys(resize_image(grey([[1, 2], [3, 4]]), spec)) == rows

    def test_odd_rest(self):
        """Of an odd number of bars the one more is below."""
        spec = PreprocessSpec((4, 3), fit="letterbox", filter="nearest", pad_value=0)
        assert greys(resize_image(grey([[7, 7, 7]]), spec)) == [[0] * 3, [7] * 3, [0] * 3, [0] * 3]

    def test_right_proportions(self):
        """A picture of the target's proportions gets no bars."""
        spec = PreprocessSpec((2, 4), fit="letterbox", filter="box", pad_value=0)
        assert greys(resize_image(grey([[100] * 8] * 4), spec)) == [[100] * 4] * 2


# Weights of the filters at distance x, and their reach; from their definitions, not from Pillow.
def _sinc(x):
    return 1.0 if x == 0 else math.sin(math.pi * x) / (math.pi * x)


def _bicubic(x):  # Keys 1981, with a = -0.5
    return 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2


KERNELS = {
    "box": (0.5, lambda _: 1.0),
    "bilinear": (1.0, lambda x: 1 - x),
    "hamming": (1.0, lambda x: _sinc(x) * (0.54 + 0.46 * math.cos(math.pi * x))),
    "bicubic": (2.0, _bicubic),
    "lanczos": (3.0, lambda x: _sinc(x) * _sinc(x / 3)),
}


def resample(values, length, filter_name):
    """One row resized by hand: the kernel is widened when shrinking and its weights sum to 1."""
    reach, kernel = KERNELS[filter_name]
    step = len(values) / length
    width = max(step, 1.0)
    result = []
    for i in range(length):
        distances = [abs(j + 0.5 - (i + 0.5) * step) / width for j in range(len(values))]
        weights = [kernel(d) if d < reach else 0.0 for d in distances]
        result.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
    return np.clip(result, 0, 255)


class TestFilters:
    ROW = (0, 100, 30, 200, 255, 0, 90, 90, 10, 240, 128, 60)

    def test_bilinear_by_hand(self):
        """Between 0 and 100, bilinear enlarging to twice the size gives 0, 25, 75, 100."""
        assert greys(resize_image(grey([[0, 100]]), PreprocessSpec((1, 4), filter="bilinear"))) == [[0, 25, 75, 100]]

    @pytest.mark.parametrize("filter_name", KERNELS)
    @pytest.mark.parametrize("length", [4, 6, 16, 24])
    def test_definition(self, filter_name, length):
        """Every filter follows its definition, shrinking and enlarging, within rounding."""
        resized = greys(resize_image(grey([self.ROW]), PreprocessSpec((1, length), filter=filter_name)))
        np.testing.assert_allclose(resized[0], resample(self.ROW, length, filter_name), atol=1)

    def test_nearest(self):
        """`nearest` takes the pixel in the middle of each piece and does not average."""
        resized = greys(resize_image(grey([self.ROW]), PreprocessSpec((1, 4), filter="nearest")))
        assert resized == [[100, 255, 90, 128]]

    @pytest.mark.parametrize("filter_name", FILTERS)
    def test_plain_picture(self, filter_name):
        """A picture of one colour stays of that colour."""
        picture = np.full((13, 7, 3), (10, 200, 77), np.uint8)
        for size in [(3, 3), (20, 31)]:
            assert (resize_image(picture, PreprocessSpec(size, filter=filter_name)) == (10, 200, 77)).all()


class TestNormalise:
    def test_by_hand(self):
        """The mean is subtracted, then the scale multiplied: 127 gives 0, 255 gives 1, 0 gives -127/128."""
        result = normalise(np.uint8([[127, 255, 0]]), PreprocessSpec((8, 8)))
        assert result.dtype == np.float32
        assert result.tolist() == [[0.0, 1.0, -0.9921875]]

    def test_bgr(self):
        """Means and scales are those of the network's channels: with `bgr`, blue comes first."""
        spec = PreprocessSpec((8, 8), mean=(1.0, 2.0, 3.0), scale=(1.0, 0.5, 2.0), channel_order="bgr")
        assert normalise(np.uint8([10, 20, 30]), spec).tolist() == [29.0, 9.0, 14.0]

    def test_any_leading_shape(self):
        """A batch is normalised like its pictures one by one."""
        images = np.random.default_rng(2).integers(0, 256, (2, 4, 5, 3), np.uint8)
        spec = PreprocessSpec((4, 5), mean=(10.0, 20.0, 30.0), channel_order="bgr")
        np.testing.assert_array_equal(normalise(images, spec), np.stack([normalise(image, spec) for image in images]))


class TestResizeImage:
    @pytest.mark.parametrize(
        "image",
        [
            np.zeros((4, 4), np.uint8),
            np.zeros((4, 4, 1), np.uint8),
            np.zeros((4, 4, 4), np.uint8),
            np.zeros((1, 4, 4, 3), np.uint8),
            np.zeros((0, 4, 3), np.uint8),
            np.zeros((4, 0, 3), np.uint8),
            np.zeros((4, 4, 3), np.float32),
            np.zeros((4, 4, 3), np.int8),
            np.zeros((4, 4, 3), bool),
        ],
    )
    def test_wrong_arrays(self, image):
        """What is no (h, w, 3) uint8 picture is refused, with its shape and type."""
        with pytest.raises(ValueError, match=r"expected a \(h, w, 3\) uint8 picture, got \(.*\) \w+"):
            resize_image(image, PreprocessSpec((2, 2)))

    @pytest.mark.parametrize("fit", FITS)
    def test_input_is_not_changed(self, photo, fit):
        """The caller's picture stays as it was, and may be a view with its own strides."""
        view = photo[::-1, ::2]
        before = view.copy()
        result = resize_image(view, PreprocessSpec((8, 8), fit=fit))
        np.testing.assert_array_equal(view, before)
        np.testing.assert_array_equal(result, resize_image(before, PreprocessSpec((8, 8), fit=fit)))

    @pytest.mark.parametrize("fit", FITS)
    @pytest.mark.parametrize("filter_name", FILTERS)
    @pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 3000), (3000, 1), (3, 20_000), (20_000, 3)])
    def test_extreme_proportions(self, fit, filter_name, shape):
        """Pictures of one pixel and of extreme proportions work in every fit, and keep their colour in the middle."""
        picture = np.full((*shape, 3), (200, 100, 50), np.uint8)
        for fraction in (1.0, 0.05):
            spec = PreprocessSpec((16, 12), fit=fit, filter=filter_name, crop_fraction=fraction)
            resized = resize_image(picture, spec)
            assert resized.shape == (16, 12, 3)
            assert ((resized == (200, 100, 50)) | (resized == spec.pad_value)).all()
            assert tuple(resized[7, 5]) == (200, 100, 50)


class TestVisibleBox:
    def test_stretch(self):
        """Stretching sees all of the photo."""
        assert visible_box(PreprocessSpec((2, 2)), 30, 40) == (0, 0, 40, 30)

    def test_crop(self):
        """Cropping a 30 x 40 photo to a square sees its middle 30 columns; with a fraction of 1/2, 15 x 15."""
        assert visible_box(PreprocessSpec((2, 2), fit="crop"), 30, 40) == (5, 0, 35, 30)
        half = PreprocessSpec((2, 2), fit="crop", crop_fraction=0.5)
        assert visible_box(half, 30, 40) == (12.5, 7.5, 27.5, 22.5)

    def test_letterbox(self):
        """A letterbox of a 30 x 40 photo in a square reaches 5 pixels beyond it above and below."""
        assert visible_box(PreprocessSpec((2, 2), fit="letterbox"), 30, 40) == (0, -5, 40, 35)

    @given(specs, st.integers(1, 20_000), st.integers(1, 20_000))
    @PROFILE
    def test_proportions(self, spec, height, width):
        """The box is centred, has the input's proportions unless stretched, and lies in the photo when cropped."""
        left, top, right, bottom = visible_box(spec, height, width)
        assert left + right == pytest.approx(width)
        assert top + bottom == pytest.approx(height)
        if spec.fit != "stretch":
            assert (right - left) * spec.size[0] == pytest.approx((bottom - top) * spec.size[1], rel=1e-6)
        if spec.fit == "crop":
            assert right - left <= width * (1 + 1e-9)
            assert bottom - top <= height * (1 + 1e-9)
        if spec.fit == "letterbox":
            assert right - left >= width * (1 - 1e-9)
            assert bottom - top >= height * (1 - 1e-9)


class TestPreparePhoto:
    @given(
        shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
        size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
        fit=st.sampled_from(FITS),
        fraction=st.floats(0.05, 1),
        filter_name=st.sampled_from(FILTERS),
    )
    @PROFILE
    def test_decode_then_resize(self, encode, shape, size, fit, fraction, filter_name):
        """Preparing a photo is decoding it and resizing the array, for a format that has no reduced scale."""
        picture = np.random.default_rng(shape[0] * 41 + shape[1]).integers(0, 256, (*shape, 3), np.uint8)
        data = encode(picture, "PNG", compress_level=0)
        spec = PreprocessSpec(size, fit=fit, crop_fraction=fraction, filter=filter_name)
        np.testing.assert_array_equal(prepare_photo(data, spec), resize_image(decode_image(data), spec))

    @pytest.mark.parametrize("fit", FITS)
    def test_small_jpeg(self, samples, fit):
        """A JPEG that is smaller than twice the input is decoded whole."""
        spec = PreprocessSpec((20, 20), fit=fit)
        for name in ("jpeg", "jpeg-grey", "jpeg-cmyk"):
            np.testing.assert_array_equal(
                prepare_photo(samples[name], spec), resize_image(decode_image(samples[name]), spec), err_msg=name
            )

    @pytest.mark.parametrize("fit", FITS)
    def test_every_format(self, samples, fit):
        """Every format ends in the size and type of the network's input."""
        for name, data in samples.items():
            prepared = prepare_photo(data, PreprocessSpec((17, 9), fit=fit))
            assert (prepared.shape, prepared.dtype) == ((17, 9, 3), np.uint8), name
