"""Every format and pixel type comes out as the pixels that went in."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, features

from binsight.errors import UnsupportedImageError
from binsight.imaging import SUPPORTED_FORMATS, decode_image, decode_photo, read_header, sniff_format

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def picture(mode, *pixels):
    """A picture one pixel high."""
    image = Image.new(mode, (len(pixels), 1))
    for x, pixel in enumerate(pixels):
        image.putpixel((x, 0), pixel)
    return image


def pixels_of(data, **options):
    """All pixels, row by row, as a list of tuples."""
    return [tuple(pixel) for pixel in decode_image(data, **options).reshape(-1, 3).tolist()]


class TestPixelTypes:
    @pytest.mark.parametrize("format_name", ["PNG", "BMP", "TIFF"])
    @pytest.mark.parametrize(
        ("mode", "stored", "expected"),
        [
            ("1", [0, 255, 0], [BLACK, WHITE, BLACK]),
            ("L", [0, 7, 255], [BLACK, (7, 7, 7), WHITE]),
            ("RGB", [RED, GREEN, (1, 2, 3)], [RED, GREEN, (1, 2, 3)]),
        ],
    )
    def test_opaque(self, encode, format_name, mode, stored, expected):
        """Black-and-white, grey and RGB pixels keep their values."""
        assert pixels_of(encode(picture(mode, *stored), format_name)) == expected

    @pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
    def test_grey_with_alpha(self, encode, format_name):
        """Grey with alpha is laid over white: 0 at alpha 51 is 255 * 0.8 = 204."""
        data = encode(picture("LA", (0, 255), (0, 0), (0, 51), (100, 255)), format_name)
        assert pixels_of(data) == [BLACK, WHITE, (204, 204, 204), (100, 100, 100)]

    @pytest.mark.parametrize(("format_name", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
    def test_rgb_with_alpha(self, encode, format_name, options):
        """RGB with alpha is laid over white: red at alpha 51 is (255, 204, 204)."""
        data = encode(picture("RGBA", (*RED, 255), (*RED, 51), (9, 8, 7, 0)), format_name, **options)
        assert pixels_of(data) == [RED, (255, 204, 204), WHITE]

    @pytest.mark.parametrize("format_name", ["PNG", "BMP", "GIF", "TIFF"])
    def test_palette(self, encode, format_name):
        """Palette pixels take the palette's colours."""
        image = picture("P", 2, 0, 1)
        image.putpalette([*RED, *GREEN, *BLUE])
        assert pixels_of(encode(image, format_name)) == [BLUE, RED, GREEN]

    @pytest.mark.parametrize("format_name", ["PNG", "GIF"])
    def test_palette_with_transparent_index(self, encode, format_name):
        """The palette's transparent colour turns white."""
        image = picture("P", 2, 0, 1)
        image.putpalette([*RED, *GREEN, *BLUE])
        assert pixels_of(encode(image, format_name, transparency=0)) == [BLUE, WHITE, GREEN]

    def test_palette_with_alpha_per_colour(self, encode):
        """A palette with an alpha value per colour is laid over white."""
        image = picture("P", 0, 1, 2)
        image.putpalette([*RED, *GREEN, *BLUE])
        assert pixels_of(encode(image, "PNG", transparency=b"\x00\x33\xff")) == [WHITE, (204, 255, 204), BLUE]

    def test_palette_with_alpha_channel(self, encode):
        """A palette beside an alpha channel is laid over white."""
        image = picture("PA", (0, 255), (1, 51), (1, 0))
        image.putpalette([*RED, *GREEN])
        assert pixels_of(encode(image, "TIFF")) == [RED, (204, 255, 204), WHITE]

    def test_rgb_with_transparent_colour(self, encode):
        """The one transparent colour of an RGB PNG turns white; the others stay."""
        assert pixels_of(encode(picture("RGB", RED, GREEN), "PNG", transparency=RED)) == [WHITE, GREEN]

    def test_grey_with_transparent_value(self, encode):
        """The one transparent grey of a PNG turns white; the others stay."""
        assert pixels_of(encode(picture("L", 5, 9), "PNG", transparency=5)) == [WHITE, (9, 9, 9)]

    def test_one_bit_with_transparent_value(self, encode_png):
        """Transparent black in a black-and-white PNG turns white."""
        assert pixels_of(encode_png((2, 1), 1, 0, b"\x00\x40", tRNS=b"\x00\x00")) == [WHITE, WHITE]

    def test_sixteen_bit_grey_with_transparent_value(self, encode_png):
        """The one transparent grey of a 16-bit PNG turns white, its 8-bit neighbour does not."""
        rows = b"\x00" + struct.pack(">3H", 257 * 7, 257 * 7 + 1, 65535)
        assert pixels_of(encode_png((3, 1), 16, 0, rows, tRNS=struct.pack(">H", 257 * 7))) == [WHITE, (7, 7, 7), WHITE]

    # 65535 / 257 = 255, rounded to the nearest: 128 / 257 < 0.5 < 129 / 257.
    SIXTEEN = (0, 128, 129, 32896, 65535)
    EIGHT = (0, 0, 1, 128, 255)

    def test_sixteen_bit_png(self, encode_png):
        """16-bit grey in a PNG is scaled to 8 bits and rounded."""
        rows = b"\x00" + struct.pack(">5H", *self.SIXTEEN)
        assert pixels_of(encode_png((5, 1), 16, 0, rows)) == [(v, v, v) for v in self.EIGHT]

    @pytest.mark.parametrize(("mode", "order"), [("I;16", b"II*\x00"), ("I;16B", b"MM\x00*")])
    def test_sixteen_bit_tiff(self, encode, mode, order):
        """16-bit grey in a TIFF of either byte order is scaled to 8 bits and rounded."""
        data = encode(picture(mode, *self.SIXTEEN), "TIFF")
        assert data.startswith(order)
        assert pixels_of(data) == [(v, v, v) for v in self.EIGHT]

    def test_sixteen_bit_rgb(self, encode_png):
        """16-bit RGB in a PNG comes out as its upper 8 bits."""
        rows = b"\x00" + struct.pack(">6H", 65535, 0, 0, 257 * 10, 257 * 20, 257 * 30)
        assert pixels_of(encode_png((2, 1), 16, 2, rows)) == [RED, (10, 20, 30)]

    def test_sixteen_bit_values_in_32_bits(self, encode):
        """32-bit grey that holds 16-bit values is read as 16 bits."""
        assert pixels_of(encode(picture("I", *self.SIXTEEN), "TIFF")) == [(v, v, v) for v in self.EIGHT]

    @pytest.mark.parametrize(
        ("mode", "format_name"), [("I;16", "PNG"), ("I;16", "TIFF"), ("I;16B", "TIFF"), ("I", "TIFF")]
    )
    @pytest.mark.parametrize("bits", [8, 10, 12])
    def test_fewer_bits_than_are_stored(self, encode, mode, format_name, bits):
        """Pixels of 16 or 32 bits that hold 8, 10 or 12 are read as these, not as a black sheet."""
        white = 2**bits - 1
        data = encode(picture(mode, 0, white // 3, white), format_name)
        assert pixels_of(data) == [BLACK, (85, 85, 85), WHITE]

    def test_black_stays_black(self, encode):
        """A picture that is black all over says nothing of its depth."""
        assert pixels_of(encode(picture("I;16", 0, 0), "PNG")) == [BLACK, BLACK]

    def test_fewer_bits_in_several_channels(self, encode_png):
        """Of several channels only the upper bits are read: where there is nothing in them, the picture is refused."""
        rows = b"\x00" + struct.pack(">6H", 4095, 0, 0, 100, 200, 300)
        with pytest.raises(UnsupportedImageError, match="16-bit pixels, got values of fewer bits"):
            decode_image(encode_png((2, 1), 16, 2, rows))

    @pytest.mark.parametrize("format_name", ["PNG", "TIFF", "WEBP"])
    @pytest.mark.parametrize("alpha", [0, 1])
    def test_transparent_all_over(self, encode, photo, format_name, alpha):
        """Alpha that would leave a white sheet is no part of the picture."""
        rgba = np.dstack([photo, np.full(photo.shape[:2], alpha, np.uint8)])
        options = {"lossless": True, "exact": True} if format_name == "WEBP" else {}
        np.testing.assert_array_equal(decode_image(encode(rgba, format_name, **options)), photo)

    def test_bmp_whose_alpha_is_zero(self, photo):
        """A BMP with a mask for alpha and nothing in it has the colours it would have without."""
        height, width = photo.shape[:2]
        pixels = np.dstack([photo[::-1, :, ::-1], np.zeros((height, width), np.uint8)]).tobytes()
        masks = 0xFF0000, 0xFF00, 0xFF, 0xFF000000
        header = struct.pack("<IiiHHIIiiII4I", 56, width, height, 1, 32, 3, len(pixels), 0, 0, 0, 0, *masks)
        data = b"BM" + struct.pack("<IHHI", 70 + len(pixels), 0, 0, 70) + header + pixels
        np.testing.assert_array_equal(decode_image(data), photo)

    def test_nothing_but_transparency(self, encode):
        """A picture that is transparent all over and has no other content is refused."""
        with pytest.raises(UnsupportedImageError, match="transparent all over"):
            decode_image(encode(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "PNG"))

    @pytest.mark.parametrize("value", [-1, 65536, 2**31 - 1, -(2**31)])
    def test_32_bit(self, encode, value):
        """Grey beyond 16 bits has no known white and is refused."""
        with pytest.raises(UnsupportedImageError, match="32-bit pixels"):
            decode_image(encode(picture("I", 0, value), "TIFF"))

    def test_floating_point(self, encode):
        """Floating-point pixels have no known white and are refused."""
        with pytest.raises(UnsupportedImageError, match="floating-point pixels"):
            decode_image(encode(picture("F", 0.5, 1.0), "TIFF"))

    @pytest.mark.skipif(not features.check("littlecms2"), reason="Pillow was built without colour management")
    def test_lab(self, encode):
        """CIELAB is converted: L* 50 is the sRGB grey 119, L* 100 white, a* beside 0 a reddish or greenish grey."""
        lab = picture("LAB", (128, 128, 128), (255, 128, 128), (128, 178, 128), (128, 78, 128))
        grey, white, reddish, greenish = pixels_of(encode(lab, "TIFF"))
        np.testing.assert_allclose(grey, (119, 119, 119), atol=2)
        np.testing.assert_allclose(white, WHITE, atol=2)
        assert reddish[0] - reddish[1] > 80
        assert greenish[1] - greenish[0] > 80

    @pytest.mark.parametrize("format_name", ["JPEG", "TIFF"])
    def test_cmyk(self, encode, format_name):
        """CMYK comes out as RGB: no ink is white, magenta and yellow make red, black ink is black."""
        inks = [(0, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255)]
        blocks = Image.new("CMYK", (24, 8))
        for x, ink in enumerate(inks):
            blocks.paste(ink, (8 * x, 0, 8 * x + 8, 8))
        options = {"quality": 100} if format_name == "JPEG" else {}
        decoded = decode_image(encode(blocks, format_name, **options))
        np.testing.assert_allclose(decoded[4, [4, 12, 20]], [WHITE, RED, BLACK], atol=3)

    def test_ycck_jpeg(self, encode):
        """A JPEG of luma, chroma and black, as Photoshop writes it, comes out as RGB."""
        # Stored inverted. (179, 171, 1) as YCbCr is cyan (0, 255, 255), to be read as C, M, Y: that is red.
        image = Image.new("CMYK", (8, 8), (255 - 179, 255 - 171, 255 - 1, 0))
        data = bytearray(encode(image, "JPEG", quality=100))
        transform = data.index(b"Adobe") + 11
        assert data[transform] == 0
        data[transform] = 2
        np.testing.assert_allclose(decode_image(bytes(data))[4, 4], RED, atol=4)


class TestFormats:
    @pytest.mark.parametrize(
        ("format_name", "options"),
        [
            ("PNG", {}),
            ("PNG", {"compress_level": 0}),
            ("BMP", {}),
            ("TIFF", {}),
            *(("TIFF", {"compression": name}) for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits")),
            ("TIFF", {"big_tiff": True}),
            ("WEBP", {"lossless": True}),
        ],
    )
    def test_lossless(self, encode, photo, format_name, options):
        """A format without loss gives back every pixel."""
        np.testing.assert_array_equal(decode_image(encode(photo, format_name, **options)), photo)

    @pytest.mark.parametrize(
        ("format_name", "options"),
        [
            ("JPEG", {"quality": 95, "subsampling": 0}),
            ("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}),
            ("MPO", {"quality": 95, "subsampling": 0}),
            ("TIFF", {"compression": "jpeg", "quality": 95}),
            ("WEBP", {"quality": 95}),
        ],
    )
    def test_lossy(self, encode, photo, format_name, options):
        """A format with loss gives back nearly the same pixels."""
        decoded = decode_image(encode(photo, format_name, **options))
        assert decoded.shape == photo.shape
        assert np.abs(decoded.astype(int) - photo).mean() < 8

    def test_heic(self, encode_heic):
        """A HEIC photo gives back nearly the same pixels, when its plug-in is installed."""
        blocks = np.repeat(np.repeat(np.uint8([[RED, GREEN], [BLUE, WHITE]]), 32, axis=0), 32, axis=1)
        decoded = decode_image(encode_heic(blocks))
        assert decoded.shape == (64, 64, 3)
        np.testing.assert_allclose(decoded[[16, 16, 48, 48], [16, 48, 16, 48]], [RED, GREEN, BLUE, WHITE], atol=12)

    @pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")
    @pytest.mark.parametrize("orientation", [1, 6])
    def test_avif(self, encode, orientation):
        """An AVIF photo gives back nearly the same pixels, upright."""
        blocks = np.repeat(np.repeat(np.uint8([[RED, GREEN], [BLUE, WHITE]]), 32, axis=0), 48, axis=1)
        stored = np.ascontiguousarray(np.rot90(blocks)) if orientation == 6 else blocks
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encode(stored, "AVIF", quality=90, exif=exif)
        assert read_header(data) == ("AVIF", 96, 64)
        decoded = decode_image(data)
        assert decoded.shape == (64, 96, 3)
        np.testing.assert_allclose(decoded[[16, 16, 48, 48], [24, 72, 24, 72]], [RED, GREEN, BLUE, WHITE], atol=16)

    @pytest.mark.parametrize(
        ("format_name", "options"),
        [("GIF", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("MPO", {"quality": 95})],
    )
    def test_first_frame(self, encode, format_name, options):
        """Of several frames or pages the first is taken."""
        first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)
        data = encode(first, format_name, save_all=True, append_images=[second], **options)
        np.testing.assert_allclose(pixels_of(data), [RED] * 256, atol=3)

    def test_gif_frame_smaller_than_the_canvas(self):
        """A GIF frame that covers a part of its canvas comes out on the whole canvas."""
        head = b"GIF89a" + struct.pack("<HH", 3, 1) + b"\x80\x00\x00" + bytes(BLACK) + bytes(RED)
        frame = b"," + struct.pack("<HHHH", 1, 0, 1, 1) + b"\x00\x02\x02\x4c\x01\x00;"
        assert pixels_of(head + frame) == [BLACK, RED, BLACK]

    @pytest.mark.parametrize("direction", [1, -1])
    def test_bmp_row_order(self, direction):
        """A BMP is upright whether its rows are stored from the bottom or, with a negative height, from the top."""
        rows = [bytes(RED[::-1]) + b"\x00", bytes(GREEN[::-1]) + b"\x00"]
        header = struct.pack("<IiiHHIIiiII", 40, 1, 2 * direction, 1, 24, 0, 8, 0, 0, 0, 0)
        body = b"".join(rows[::-direction])
        data = b"BM" + struct.pack("<IHHI", 54 + len(body), 0, 0, 54) + header + body
        assert pixels_of(data) == [RED, GREEN]

    def test_smallest_webp(self):
        """A lossless WebP of one pixel is 28 bytes long, shorter than the header of the other kinds."""
        # RFC 9649, section 3: no transform, no cache; a code of one symbol each for green 0, red 1, blue 1, alpha 1 and
        # distance.
        bits = int("".join(["000", "1000", "1001", "1001", "1001", "1000"])[::-1], 2)
        body = b"\x2f" + bytes(4) + bits.to_bytes(3, "little")
        data = b"RIFF" + struct.pack("<I", 12 + len(body)) + b"WEBPVP8L" + struct.pack("<I", len(body)) + body
        assert len(data) == 28
        assert pixels_of(data) == [(1, 0, 1)]

    def test_bytes_behind_the_picture(self, samples):
        """What is appended to a picture, such as a phone's motion clip, does not matter."""
        for name in ("jpeg", "png", "gif", "webp", "bmp", "tiff"):
            np.testing.assert_array_equal(
                decode_image(samples[name] + b"ftyp and more" * 50), decode_image(samples[name]), err_msg=name
            )

    @pytest.mark.parametrize(
        ("name", "expected"),
        [("jpeg", "JPEG"), ("png", "PNG"), ("webp", "WebP"), ("bmp", "BMP"), ("gif", "GIF"), ("tiff", "TIFF")],
    )
    def test_sniffing(self, samples, name, expected):
        """The format is told by the first bytes."""
        assert sniff_format(samples[name]) == expected
        assert expected in SUPPORTED_FORMATS

    @pytest.mark.parametrize(
        ("brands", "expected"),
        [
            (b"avif\x00\x00\x00\x00avifmif1", "AVIF"),
            (b"mif1\x00\x00\x00\x00mif1avif", "AVIF"),
            (b"mif1\x00\x00\x00\x00mif1heic", "HEIC"),
        ],
    )
    def test_sniffing_by_further_brands(self, brands, expected):
        """Where the first brand names the container only, the further ones tell what is in it."""
        assert sniff_format(b"\x00\x00\x00\x18ftyp" + brands) == expected

    @pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"mif1", b"msf1"])
    def test_sniffing_heic(self, brand):
        """HEIC is told by the brand of its first box."""
        assert sniff_format(b"\x00\x00\x00\x18ftyp" + brand) == "HEIC"

    def test_result(self, samples):
        """The result is an (h, w, 3) uint8 array, and RGB as a Pillow image."""
        for name, data in samples.items():
            decoded = decode_image(data)
            assert decoded.dtype == np.uint8, name
            assert decoded.shape in {(24, 36, 3), (36, 24, 3)}, name
            assert decode_photo(data).picture.mode == "RGB", name

    def test_threads(self, samples):
        """Threads that decode the same bytes at the same time get the same pixels."""
        expected = {name: decode_image(data) for name, data in samples.items()}
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda name: (name, decode_image(samples[name])), [*samples] * 16))
        for name, decoded in results:
            np.testing.assert_array_equal(decoded, expected[name], err_msg=name)
