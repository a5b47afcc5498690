"""Damaged files, and files that are no pictures, end in an error that says so."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from binsight.errors import BrokenImageError, ImageError, TruncatedImageError, UnsupportedImageError
from binsight.imaging import decode_image

# Pillow warns of what it skips in damaged files; the user learns of it by the error.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

# Where a cut is told from other damage by the file itself, wherever behind the header it is.
KNOWS_ITS_END = ("jpeg", "jpeg-cmyk", "jpeg-grey", "png", "webp", "webp-lossless", "webp-animated", "bmp", "tiff")


class TestNoPicture:
    @pytest.mark.parametrize(
        ("data", "name"),
        [
            (b"Hello, this is a text.\n", "text"),
            (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
            (b"\n  <HTML><head>", "a web page"),
            (b"<?xml version='1.0'?><svg/>", "XML or SVG"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "XML or SVG"),
            (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "a PDF"),
            (b"PK\x03\x04\x14\x00\x00\x00", "a zip archive"),
            (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2mp41", "of type 'isom'"),
            (b"\x00\x00\x00\x1cftypmp42\x00\x00\x00\x00isommp42", "of type 'mp42'"),
            (b"\x00\x01\x02", "3 bytes that begin with 00 01 02"),
            (b"\x7fELF\x02\x01\x01\x00\x00\x00", "10 bytes that begin with 7f 45 4c 46 02 01 01 00"),
            (b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00", "bytes that begin with 52 49 46 46"),
            (b"\xff\xd8", "2 bytes that begin with ff d8"),
            (b"\x89PNG", "4 bytes that begin with 89 50 4e 47"),
        ],
    )
    def test_name(self, data, name):
        """What is no picture is refused, and named as far as it is known."""
        with pytest.raises(UnsupportedImageError, match=r"^expected a picture \(JPEG, PNG, .*\), got ") as caught:
            decode_image(data)
        assert name in str(caught.value)

    @pytest.mark.parametrize(
        "data", [b"\x00\x00\x00\x18ftyp\x1b[2J", b"\x00\x00\x00\x18ftyp\n\n\r\x00", b"\x00\x00\x00\x18ftyp\xff\xfe\x80"]
    )
    def test_no_control_characters(self, data):
        """The message stays one printable line, whatever the bytes."""
        with pytest.raises(UnsupportedImageError) as caught:
            decode_image(data)
        assert str(caught.value).isprintable()

    def test_name_of_the_file_does_not_matter(self, samples):
        """A picture's format is told by its bytes: swapping two signatures is damage."""
        with pytest.raises(BrokenImageError):
            decode_image(samples["png"][:8] + samples["jpeg"])


class TestTruncated:
    @pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9])
    def test_cut(self, samples, share):
        """A file that is cut somewhere ends in a picture error, unless its first frame is still whole."""
        for name, data in samples.items():
            try:
                decoded = decode_image(data[: max(12, round(share * len(data)))])
            except BrokenImageError:
                continue
            assert name in {"gif-animated", "tiff-pages"}
            np.testing.assert_array_equal(decoded, decode_image(data), err_msg=name)

    @pytest.mark.parametrize("name", KNOWS_ITS_END)
    @pytest.mark.parametrize("share", [0.6, 0.75, 0.9, 0.97])
    def test_cut_among_the_pixels(self, samples, name, share):
        """A file that is cut among its pixels is called truncated, and what to do is said."""
        data = samples[name]
        with pytest.raises(TruncatedImageError, match="download it again") as caught:
            decode_image(data[: round(share * len(data))])
        assert caught.value.code == "truncated"

    @pytest.mark.parametrize("name", ["tiff-lzw", "tiff-deflate"])
    def test_tags_behind_the_pixels(self, samples, name):
        """A TIFF whose tags follow its pixels is called truncated when they are gone."""
        with pytest.raises(TruncatedImageError, match=r"expected at least [\d,]+ bytes, got 400"):
            decode_image(samples[name][:400])

    @pytest.mark.parametrize("name", ["webp", "webp-animated"])
    def test_last_byte_of_webp(self, samples, name):
        """A WebP that lacks its very last byte is called truncated, with both sizes."""
        data = samples[name]
        with pytest.raises(TruncatedImageError, match=f"expected at least {len(data):,} bytes, got {len(data) - 1:,}"):
            decode_image(data[:-1])

    def test_heic(self, encode_heic, photo):
        """A HEIC photo that is cut among its pixels is called truncated."""
        with pytest.raises(TruncatedImageError):
            decode_image(encode_heic(photo)[:-10])

    def test_every_cut(self, samples):
        """No cut in the first 200 bytes ends in anything but a picture error."""
        for data in samples.values():
            for length in range(1, 200):
                with pytest.raises(ImageError):
                    decode_image(data[:length], min_size=(8, 8))

    @pytest.mark.parametrize("name", ["jpeg", "jpeg-grey", "jpeg-cmyk", "jpeg-progressive"])
    @pytest.mark.parametrize("buffer", [b"", bytes(500), b"\xff", b"\xff\xff\xff"])
    def test_no_end_marker(self, samples, name, buffer):
        """A JPEG all of whose pixels are there is read without its end marker, as small cameras send it."""
        data = samples[name]
        assert data.endswith(b"\xff\xd9")
        np.testing.assert_array_equal(decode_image(data[:-2] + buffer), decode_image(data))

    @pytest.mark.parametrize("name", ["jpeg", "jpeg-grey", "jpeg-cmyk", "jpeg-progressive"])
    @pytest.mark.parametrize("missing", [5, 40, 100])
    @pytest.mark.parametrize("behind", [b"", bytes(500)])
    def test_no_half_pictures(self, samples, name, missing, behind):
        """A JPEG that lacks a little of its pixels is refused, not filled up with grey."""
        with pytest.raises(TruncatedImageError, match=r"pixels are missing|ends inside"):
            decode_image(samples[name][: -2 - missing] + behind)

    @pytest.mark.parametrize("name", ["jpeg", "jpeg-grey", "jpeg-cmyk"])
    @pytest.mark.parametrize("min_size", [None, (12, 18)])
    def test_end_marker_before_the_end(self, samples, name, min_size):
        """A JPEG that was closed before all of its pixels were there is refused too."""
        data = samples[name]
        with pytest.raises(TruncatedImageError, match=r"pixels are missing|ends inside"):
            decode_image(data[: round(0.7 * len(data))] + b"\xff\xd9", min_size=min_size)

    def test_scans_that_never_came(self, encode, photo):
        """A progressive JPEG that ends between two scans lacks what the others would have brought."""
        data = encode(photo, "JPEG", progressive=True)
        for number in range(1, data.count(b"\xff\xda")):
            cut = _nth(data, b"\xff\xda", number)
            with pytest.raises(TruncatedImageError):
                decode_image(data[:cut])

    def test_flat_corner(self, encode):
        """A photo whose last corner is of one colour is no less whole for it."""
        sheet = np.full((64, 64, 3), 250, np.uint8)
        sheet[:30, :30] = _noise((30, 30, 3))
        for options in ({}, {"progressive": True}, {"restart_marker_blocks": 1}):
            assert decode_image(encode(sheet, "JPEG", **options)).shape == (64, 64, 3)

    def test_metadata_cut_off(self, samples):
        """A WebP that lacks nothing but metadata is read; it then stands as it is stored."""
        data = samples["webp-lossless"]
        whole = decode_image(data)
        np.testing.assert_array_equal(decode_image(data[:-1]), np.rot90(whole))

    def test_png_without_its_end(self, samples):
        """A PNG that ends behind its pixels is whole."""
        data = samples["png"]
        np.testing.assert_array_equal(decode_image(data[: data.rindex(b"IEND") - 4]), decode_image(data))


def _nth(data, part, number):
    place = -1
    for _ in range(number + 1):
        place = data.index(part, place + 1)
    return place


def _noise(shape):
    return np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)


class TestBroken:
    def test_png_checksum(self, samples):
        """A PNG whose pixels do not match their checksum is refused."""
        data = bytearray(samples["png"])
        at = data.index(b"IDAT") + 40
        data[at] ^= 0xFF
        with pytest.raises(BrokenImageError, match="PNG picture"):
            decode_image(bytes(data))

    @pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
    def test_no_pixels(self, encode_png, size):
        """A picture with no pixels is refused."""
        with pytest.raises(BrokenImageError):
            decode_image(encode_png(size, 8, 2, b"\x00"))

    def test_no_pixels_in_webp(self):
        """A WebP that claims no pixels is refused before libwebp sees it."""
        body = b"\x10\x00\x00\x9d\x01\x2a" + bytes(4)
        data = b"RIFF" + struct.pack("<I", 12 + len(body)) + b"WEBPVP8 " + struct.pack("<I", len(body)) + body
        with pytest.raises(BrokenImageError, match="no pixels: 0 x 0"):
            decode_image(data)

    def test_unknown_webp(self):
        """A WebP of a kind that does not exist is refused, with its name."""
        data = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP9 " + struct.pack("<I", 10) + bytes(10)
        with pytest.raises(BrokenImageError, match="VP9"):
            decode_image(data)

    def test_header_only(self, samples):
        """A signature followed by noise is refused, in every format."""
        noise = np.random.default_rng(1).bytes(500)
        for data in samples.values():
            with pytest.raises(ImageError):
                decode_image(data[:16] + noise)

    def test_original_is_attached(self, samples):
        """The decoder's own error stays attached, for those who look for the cause."""
        with pytest.raises(BrokenImageError) as caught:
            decode_image(samples["png"][:-300])
        assert isinstance(caught.value.__cause__, Exception)

    def test_tile_without_pixels(self, encode_tiff):
        """A TIFF with tiles of no size is refused."""
        tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1, 322: 0, 323: 0, 325: 64}
        with pytest.raises(BrokenImageError):
            decode_image(encode_tiff(tags, bytes(64), offset_tag=324))


DAMAGED_EXIF = {
    "nothing": b"Exif\x00\x00",
    "noise": b"Exif\x00\x00" + np.random.default_rng(3).bytes(200),
    "no tags": b"Exif\x00\x00II*\x00\x08\x00\x00\x00",
    "tags beyond the end": b"Exif\x00\x00II*\x00\xff\xff\xff\x7f",
    "more tags than bytes": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff" + b"\x01\x12\x00\x03",
    "endless": b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00\x08\x00\x00\x00",
    "wrong order mark": b"Exif\x00\x00XX*\x00\x08\x00\x00\x00",
}


def orientation_entry(kind, value):
    """EXIF data whose orientation has any type and value."""
    entry = struct.pack("<HHHI", 1, 0x0112, kind, 1) + value.ljust(4, b"\x00")
    return b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + entry + bytes(4)


ODD_ORIENTATIONS = {
    "0": orientation_entry(3, b"\x00"),
    "9": orientation_entry(3, b"\x09"),
    "65535": orientation_entry(3, b"\xff\xff"),
    "a text": orientation_entry(2, b"6"),
    "a fraction": orientation_entry(5, b"\xff\xff\xff\x7f"),
    "of an unknown type": orientation_entry(99, b"\x06"),
}


@pytest.mark.parametrize(
    "exif", [*DAMAGED_EXIF.values(), *ODD_ORIENTATIONS.values()], ids=[*DAMAGED_EXIF, *ODD_ORIENTATIONS]
)
@pytest.mark.parametrize("min_size", [None, (4, 6)])
@pytest.mark.parametrize(("format_name", "options"), [("JPEG", {}), ("PNG", {}), ("WEBP", {"lossless": True})])
def test_damaged_exif(encode, photo, exif, min_size, format_name, options):
    """Damaged EXIF data do not make a picture unreadable, nor turn it."""
    plain = encode(photo, format_name, **options)
    with_exif = encode(photo, format_name, exif=exif, **options)
    np.testing.assert_array_equal(decode_image(with_exif, min_size=min_size), decode_image(plain, min_size=min_size))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_odd_orientation_of_a_tiff(encode, photo, orientation):
    """A TIFF whose orientation does not exist is left as it is."""
    data = encode(photo, "TIFF", tiffinfo={0x0112: orientation})
    np.testing.assert_array_equal(decode_image(data), photo)


def test_heic_without_its_plugin(monkeypatch):
    """Without the plug-in a HEIC photo is refused with the command that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif.as_plugin", None)
    with pytest.raises(UnsupportedImageError, match=r'pip install "binsight\[heic\]"'):
        decode_image(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00")


def test_process_wide_settings_are_untouched(samples):
    """Decoding registers no plug-in and changes no setting of Pillow that the rest of the process relies on."""
    before = Image.MAX_IMAGE_PIXELS, sorted(Image.OPEN), sorted(Image.ID)
    for data in samples.values():
        decode_image(data)
    assert (Image.MAX_IMAGE_PIXELS, sorted(Image.OPEN), sorted(Image.ID)) == before
