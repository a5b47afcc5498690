"""What would keep a decoder busy is refused before it begins: the work is counted, nothing is timed."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from binsight.errors import BrokenImageError, ImageTooLargeError, UnsupportedImageError
from binsight.imaging import ImageLimits, PreprocessSpec, decode_image, prepare_photo
from binsight.imaging.container import read_gif, read_png
from binsight.imaging.jpeg import read_jpeg

# A scan of the luminance's last bit that changes nothing: one run over all blocks.
EMPTY_SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x10" + b"\x00"


def segment(marker, body):
    """A JPEG segment."""
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


@pytest.fixture
def decoded(monkeypatch):
    """The sizes of all pictures whose pixels were decoded."""
    sizes = []
    load = ImageFile.ImageFile.load

    def note(self):
        if self.tile:
            sizes.append(self.size)
        return load(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", note)
    return sizes


@pytest.fixture(scope="module")
def progressive(encode):
    """A large progressive JPEG of ten scans."""
    return encode(Image.new("RGB", (4000, 3000), (9, 99, 200)), "JPEG", progressive=True)


class TestJpegScans:
    @pytest.mark.parametrize("scans", [100, 5000])
    def test_too_many(self, progressive, decoded, scans):
        """Scans times pixels are bounded, so a small file cannot ask for hours; nothing of it is decoded."""
        data = progressive[:-2] + EMPTY_SCAN * scans + progressive[-2:]
        with pytest.raises(ImageTooLargeError, match=f"at most 65 scans, got {scans + 10:,}"):
            decode_image(data)
        assert decoded == []

    def test_reading_the_header_refuses_them_too(self, progressive):
        """Commands that only look at the header say so as well."""
        with pytest.raises(ImageTooLargeError, match="scans"):
            decode_image(progressive[:-2] + EMPTY_SCAN * 100, min_size=(8, 8))

    def test_as_many_as_encoders_make(self, progressive, samples):
        """Ten scans of a large picture, and of a small one, are read."""
        assert read_jpeg(progressive).scans == 10
        assert decode_image(progressive, min_size=(8, 8)).shape == (375, 500, 3)
        assert decode_image(samples["jpeg-progressive"]).shape == (24, 36, 3)

    def test_larger_limits_allow_more(self, encode):
        """Whoever allows larger pictures allows the scans that these have."""
        data = encode(Image.new("L", (1000, 1000)), "JPEG", progressive=True)
        data = data[:-2] + EMPTY_SCAN * 800 + data[-2:]
        with pytest.raises(ImageTooLargeError, match="at most 780 scans"):
            decode_image(data)
        assert decode_image(data, limits=ImageLimits(max_pixels=100_000_000)).shape == (1000, 1000, 3)

    def test_markers_in_a_preview_or_film_do_not_count(self, encode, photo):
        """What only looks like a scan, in metadata and behind the end, is none."""
        data = encode(photo, "JPEG", comment=EMPTY_SCAN * 900) + EMPTY_SCAN * 9000
        assert read_jpeg(data).scans == 1
        np.testing.assert_array_equal(decode_image(data), decode_image(encode(photo, "JPEG")))

    def test_scans_behind_markers_that_have_no_length(self, progressive):
        """A marker that the decoder skips hides no scans from the count."""
        data = progressive[:-2] + b"\xff\x02\xff\xff" + EMPTY_SCAN * 5000 + progressive[-2:]
        assert read_jpeg(data).scans > 5000


class TestSegments:
    def test_jpeg(self, samples):
        """A JPEG of many thousand segments is refused; the fill bytes between them cost nothing."""
        data = samples["jpeg"]
        many = data[:2] + segment(0xFE, b"") * 20_000 + data[2:]
        with pytest.raises(ImageTooLargeError, match="at most 10,000 segments"):
            decode_image(many)
        filled = data[:2] + b"\xff" * 100_000 + data[2:]
        np.testing.assert_array_equal(decode_image(filled), decode_image(data))

    def test_only_the_picture_reaches_the_decoder(self, samples, encode, photo):
        """EXIF, profiles, comments and what follows the end are no part of what is decoded."""
        extras = (
            segment(0xE1, b"Exif\x00\x00" + bytes(60_000)) + segment(0xE2, b"ICC_PROFILE\x00" + bytes(60_000)) * 250
        )
        plain = encode(photo, "JPEG")
        assert read_jpeg(plain[:2] + extras + plain[2:] + bytes(10**6)).data == plain

    def test_png_chunks(self, samples, monkeypatch):
        """A PNG of endless chunks is refused."""
        monkeypatch.setattr("binsight.imaging.container._MAX_BLOCKS", 500)
        data = samples["png"]
        empty = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
        with pytest.raises(ImageTooLargeError, match="at most 500 chunks"):
            decode_image(data[:33] + empty * 600 + data[33:])

    @pytest.mark.parametrize("behind", [False, True])
    def test_gif_blocks(self, samples, monkeypatch, behind):
        """A GIF of endless blocks, before its picture or behind, is refused."""
        monkeypatch.setattr("binsight.imaging.container._MAX_BLOCKS", 500)
        comment = b"!\xfe" + b"\x01a" * 600 + b"\x00"
        data = samples["gif"]
        start = len(data) - 1 if behind else 13 + 3 * 64
        with pytest.raises(ImageTooLargeError, match="at most 500 blocks"):
            decode_image(data[:start] + comment + data[start:])

    def test_gif_comments_are_left_out(self, samples):
        """What stands before a GIF's picture is no part of what is decoded, but for its transparency."""
        data = samples["gif"]
        comment = b"!\xfe" + (b"\xff" + b"a" * 255) * 50 + b"\x00"
        start = 13 + 3 * 64
        assert read_gif(data[:start] + comment + data[start:]).data == read_gif(data).data

    def test_png_texts_are_left_out(self, samples):
        """Compressed texts are not expanded, whatever is in them; that of a whole megabyte is no damage."""
        data = samples["png"]
        body = b"XML:com.adobe.xmp\x00\x01\x00\x00\x00" + zlib.compress(bytes(3_000_000))
        for name, checksum in ((b"iTXt", 0), (b"iTXt", 1), (b"zTXt", 0), (b"iCCP", 0), (b"tIME", 7)):
            chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body) ^ checksum)
            assert read_png(data[:33] + chunk + data[33:]).data == read_png(data).data
            np.testing.assert_array_equal(decode_image(data[:33] + chunk + data[33:]), decode_image(data))

    def test_png_of_more_data_than_pixels(self, encode_png):
        """What is compressed beyond the last row is not expanded."""
        rows = (b"\x00" + bytes(range(24))) * 8
        data = encode_png((8, 8), 8, 2, rows + bytes(50_000_000))
        assert decode_image(data).shape == (8, 8, 3)


TIFF_TAGS = {256: 4000, 257: 4000, 258: 8, 259: 1, 262: 1, 277: 1}


class TestTiff:
    def test_parts(self, encode_tiff):
        """A TIFF cut into more strips or tiles than any encoder makes is refused."""
        tags = {**TIFF_TAGS, 278: 1, 279: (1,) * 150_000, 273: (8,) * 150_000}
        with pytest.raises(ImageTooLargeError, match="at most 100,000 strips or tiles, got 150,000"):
            decode_image(encode_tiff(tags, b"", offset_tag=700))

    def test_tiles_beyond_the_border(self, encode_tiff):
        """Tiles that cover many times the picture are refused, each of them small enough or not."""
        count = 100
        tags = {**TIFF_TAGS, 256: 1, 322: 8000, 323: 8000, 324: (8,) * count, 325: (9,) * count}
        with pytest.raises(ImageTooLargeError, match="tiles that cover 520,000,000 pixels at most, got 6,400,000,000"):
            decode_image(encode_tiff(tags, b"", offset_tag=700))

    def test_jpeg_data_of_many_scans(self, encode, photo):
        """The bound on scans holds inside a TIFF, too."""
        data = encode(Image.new("L", (4000, 3000)), "TIFF", compression="jpeg")
        assert decode_image(data).shape == (3000, 4000, 3)
        with pytest.raises(ImageTooLargeError, match="scans of JPEG data"):
            decode_image(data + EMPTY_SCAN * 20_000)


def test_run_length_coded_bmp():
    """Such a BMP is read byte by byte, so it may only be small."""

    def bmp(width, height, data):
        sizes = 54 + 1024 + len(data), 0, 0, 54 + 1024, 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0
        return b"BM" + struct.pack("<IHHIIiiHHIIiiII", *sizes) + bytes(1024) + data

    assert decode_image(bmp(20, 10, b"\x14\x00\x00\x00" * 10)).shape == (10, 20, 3)
    with pytest.raises(ImageTooLargeError, match="run-length coded BMP of at most 2,000,000 pixels"):
        decode_image(bmp(20_000, 2_000, b"\x01\x05\x00\x00" * 2_000))


def test_photos_are_decoded_once(samples, encode, decoded):
    """Only a JPEG that ends in one colour is looked at twice, for what is missing comes out so."""
    decode_image(samples["jpeg"])
    assert len(decoded) == 1
    decode_image(encode(Image.new("RGB", (64, 64), (9, 99, 200)), "JPEG"))
    assert len(decoded) == 3


@pytest.mark.parametrize("size", [(8064, 6048), (8160, 6144), (8192, 6144), (9280, 6944)])
def test_phones_of_50_and_64_megapixels(encode, decoded, size):
    """What phones take is read, and only a small version of it is ever held in memory."""
    spec = PreprocessSpec((256, 256))
    assert prepare_photo(encode(Image.new("L", size, 90), "JPEG"), spec).shape == (256, 256, 3)
    assert set(decoded) == {(size[0] // 8, size[1] // 8)}


RAW = {
    "DNG": {254: 1, 50706: 0x00000401},
    "a preview of a Nikon": {254: 1, 271: "NIKON CORPORATION"},
    "a preview with others": {254: 1, 330: 8},
    "sensor values": {262: 32803},
    "linear sensor values": {262: 34892},
    "a coding of Sony": {259: 32767},
}


@pytest.mark.parametrize("kind", RAW)
def test_camera_raw_files(encode, photo, kind):
    """Camera raw files are TIFFs; they are named, and their preview is not taken for the photo."""
    data = encode(photo, "TIFF")
    for tag, value in RAW[kind].items():
        data = with_tag(data, tag, value)
    with pytest.raises(UnsupportedImageError, match=r"got a camera raw file \(.+\); export it as JPEG"):
        decode_image(data)


@pytest.mark.parametrize("mode", ["L", "I;16"])
def test_grey_that_counts_down_from_white(encode, mode):
    """A TIFF whose zero is white is no negative, at either depth."""
    pixels = np.array([[0, 51, 255]]) * (257 if mode == "I;16" else 1)
    data = encode(Image.fromarray(pixels.astype(np.uint16 if mode == "I;16" else np.uint8)), "TIFF")
    assert decode_image(with_tag(data, 262, 0))[0, :, 0].tolist() == [255, 204, 0]


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(100), "CR2"),
        (b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom", "CR3"),
        (b"FUJIFILMCCD-RAW 0201FF383501", "RAF"),
        (b"IIU\x00\x18\x00\x00\x00", "RW2"),
        (b"IIRO\x08\x00\x00\x00", "ORF"),
        (b"II\x1a\x00\x00\x00HEAPCCDR", "CRW"),
        (b"FOVb\x02\x00", "X3F"),
    ],
)
def test_camera_raw_files_of_other_forms(head, name):
    """Those with signatures of their own are named too."""
    with pytest.raises(UnsupportedImageError, match=rf"camera raw file \({name}\)"):
        decode_image(head)


def test_tiff_that_begins_with_a_preview(encode, photo):
    """A TIFF whose first picture says it is only a preview of another is refused."""
    with pytest.raises(UnsupportedImageError, match="first picture is a preview"):
        decode_image(with_tag(encode(photo, "TIFF"), 254, 1))


def test_checksum_of_pixels_counts(encode_png):
    """Of the chunks that make the picture the checksum must be right."""
    data = bytearray(encode_png((4, 4), 8, 2, (b"\x00" + bytes(12)) * 4))
    data[-17] ^= 1
    with pytest.raises(BrokenImageError, match="checksum in chunk IDAT"):
        decode_image(bytes(data))


def with_tag(data, tag, value):
    """A little-endian TIFF with one more or another tag in its first directory, which moves to the end."""
    place = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[place : place + 2], "little")
    raw = [data[place + 2 + 12 * i : place + 14 + 12 * i] for i in range(count)]
    entries = {int.from_bytes(e[:2], "little"): e for e in raw}
    if isinstance(value, str):
        text = value.encode() + b"\x00"
        entries[tag] = struct.pack("<HHII", tag, 2, len(text), len(data))
        data += text + bytes(len(text) % 2)
    else:
        entries[tag] = struct.pack("<HHII", tag, 4, 1, value)
    directory = struct.pack("<H", len(entries)) + b"".join(entries[t] for t in sorted(entries)) + bytes(4)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + directory
