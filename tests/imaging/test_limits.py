"""What is too large is refused before memory is spent on it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import textwrap
import threading
import zlib

import numpy as np
import pytest

from binsight.errors import BinsightError, EmptyImageError, ImageTooLargeError, InputError, SpecError
from binsight.imaging import ImageLimits, decode_image, prepare_photo, read_photo
from binsight.imaging.preprocess import PreprocessSpec

HUGE = 60_000


def huge_jpeg():
    """The header of a grey JPEG of 60,000 x 60,000."""
    frame = struct.pack(">BHHBBBB", 8, HUGE, HUGE, 1, 1, 0x11, 0)
    scan = struct.pack(">BBBBBB", 1, 1, 0, 0, 63, 0)
    segments = [(b"\xff\xc0", frame), (b"\xff\xda", scan)]
    return b"\xff\xd8" + b"".join(marker + struct.pack(">H", len(body) + 2) + body for marker, body in segments)


def huge_gif(*, canvas, frame, disposal=0):
    """A GIF whose canvas, frame or both are as large as said."""
    head = b"GIF89a" + struct.pack("<HH", canvas, canvas) + b"\x80\x00\x00\x00\x00\x00\xff\xff\xff"
    control = b"!\xf9\x04" + bytes([disposal << 2]) + bytes(4)
    return head + control + b"," + struct.pack("<HHHH", 0, 0, frame, frame) + b"\x00\x02\x02\x4c\x01\x00;"


def huge_bmp(height):
    """A 24-bit BMP of 60,000 pixels across."""
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, HUGE, height, 1, 24, 0, 0, 0, 0, 0, 0)


def huge_webp(kind):
    """A WebP of its largest size: 2^24 for VP8X, 2^14 for VP8L and VP8."""
    body = {
        b"VP8X": b"\x10" + bytes(3) + b"\xff" * 6,
        b"VP8L": b"\x2f" + struct.pack("<I", (1 << 28) - 1) + bytes(5),
        b"VP8 ": b"\x10\x00\x00\x9d\x01\x2a" + b"\xff\x3f\xff\x3f",
    }[kind]
    return b"RIFF" + struct.pack("<I", 12 + len(body)) + b"WEBP" + kind + struct.pack("<I", len(body)) + body


def tile_bomb(encode_tiff, side):
    """A picture of 100 x 100 in one compressed tile that is far larger."""
    tiles = {322: side, 323: side, 325: 17}
    tags = {256: 100, 257: 100, 258: 8, 259: 8, 262: 1, 277: 1, **tiles}
    return encode_tiff(tags, zlib.compress(bytes(1000)), offset_tag=324)


@pytest.fixture(scope="session")
def bombs(encode_png, encode_tiff):
    """Small files that would decode to hundreds of megabytes or more."""
    tags = {256: HUGE, 257: HUGE, 258: 8, 262: 1, 277: 1, 278: HUGE, 279: 17}
    files = {
        "jpeg": huge_jpeg(),
        "png": encode_png((HUGE, HUGE), 8, 2, bytes(1000)),
        "gif": huge_gif(canvas=HUGE, frame=HUGE),
        "gif frame beyond its canvas": huge_gif(canvas=8, frame=HUGE),
        "gif disposed of": huge_gif(canvas=8, frame=HUGE, disposal=2),
        "bmp": huge_bmp(HUGE),
        "bmp from the top": huge_bmp(-HUGE),
        "webp extended": huge_webp(b"VP8X"),
        "webp lossless": huge_webp(b"VP8L"),
        "webp lossy": huge_webp(b"VP8 "),
        "tiff": encode_tiff({**tags, 259: 1}, bytes(17)),
        "tiff deflate": encode_tiff({**tags, 259: 8}, zlib.compress(bytes(1000))),
        "tiff tile": tile_bomb(encode_tiff, 40_000),
        "tiff tile below the side limit": tile_bomb(encode_tiff, 16_000),
    }
    assert max(map(len, files.values())) < 500
    return files


def test_claims_of_a_huge_size(bombs):
    """A small file that claims a huge picture is refused as too large, in every format."""
    for name, data in bombs.items():
        with pytest.raises(ImageTooLargeError, match=r"^(expected|GIF)") as caught:
            decode_image(data)
        assert caught.value.code == "too_large", name


def test_claims_of_a_huge_size_cost_no_memory(bombs, tmp_path):
    """Refusing them all takes no more memory than a small photo would, in the decoders' C code either."""
    pytest.importorskip("resource")
    (tmp_path / "bombs.json").write_text(json.dumps([data.hex() for data in bombs.values()]), encoding="utf-8")
    script = """
        import json, pathlib, resource, sys
        from PIL import BmpImagePlugin, GifImagePlugin, JpegImagePlugin
        from PIL import PngImagePlugin, TiffImagePlugin, WebPImagePlugin
        from binsight.errors import ImageTooLargeError
        from binsight.imaging import decode_image
        files = [bytes.fromhex(text) for text in json.loads(pathlib.Path(sys.argv[1]).read_text())]
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        before = peak()
        for data in files:
            try:
                decode_image(data)
            except ImageTooLargeError:
                pass
        print(peak() - before)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "bombs.json")]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert int(output) < 20_000_000


def test_heic_claim_of_a_huge_size(encode_heic, photo):
    """A HEIC file that claims a huge picture is refused."""
    data = bytearray(encode_heic(photo))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", HUGE, HUGE)
    with pytest.raises(BinsightError):
        decode_image(bytes(data))


def test_bytes(samples):
    """A file of exactly the allowed number of bytes is decoded, one byte more is refused with both numbers."""
    data = samples["png"]
    assert decode_image(data, limits=ImageLimits(max_bytes=len(data))).shape == (36, 24, 3)
    with pytest.raises(ImageTooLargeError, match=f"at most {len(data) - 1:,} bytes, got {len(data):,}"):
        decode_image(data, limits=ImageLimits(max_bytes=len(data) - 1))


@pytest.mark.parametrize(
    "name", ["jpeg-grey", "png-palette", "webp", "webp-animated", "bmp", "gif", "tiff", "tiff-lzw"]
)
def test_pixels(samples, name):
    """A picture of exactly the allowed number of pixels is decoded, one more is refused with both numbers."""
    assert decode_image(samples[name], limits=ImageLimits(max_pixels=24 * 36)).size == 24 * 36 * 3
    with pytest.raises(ImageTooLargeError, match=r"at most 863 pixels, got (36 x 24|24 x 36) = 864"):
        decode_image(samples[name], limits=ImageLimits(max_pixels=24 * 36 - 1))


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "webp-lossless", "bmp", "gif", "tiff", "tiff-lzw"])
def test_side(samples, name):
    """A side of exactly the allowed length is decoded, one pixel more is refused with both numbers."""
    assert max(decode_image(samples[name], limits=ImageLimits(max_side=36)).shape) == 36
    with pytest.raises(ImageTooLargeError, match=r"sides of at most 35 pixels, got (36 x 24|24 x 36)"):
        decode_image(samples[name], limits=ImageLimits(max_side=35))


def test_limits_are_of_the_whole_picture(encode):
    """A JPEG that is decoded at reduced scale is measured by its full size."""
    data = encode(np.zeros((64, 64, 3), np.uint8), "JPEG")
    with pytest.raises(ImageTooLargeError):
        decode_image(data, limits=ImageLimits(max_side=63), min_size=(8, 8))


def test_limits_reach_the_decoder(samples):
    """`prepare_photo` keeps the limits it is given."""
    with pytest.raises(ImageTooLargeError):
        prepare_photo(samples["jpeg"], PreprocessSpec((8, 8)), limits=ImageLimits(max_side=35))


@pytest.mark.parametrize("values", [{"max_bytes": 0}, {"max_pixels": -1}, {"max_side": 0}])
def test_limits_are_positive(values):
    """A limit that would refuse everything is refused itself."""
    with pytest.raises(SpecError, match="must be positive"):
        ImageLimits(**values)


def test_no_bytes():
    """No bytes are no picture, and say so."""
    with pytest.raises(EmptyImageError, match="got 0 bytes"):
        decode_image(b"")


class TestReadPhoto:
    def test_content(self, tmp_path):
        """The bytes of the file come back, whether the path is a text or a `Path`."""
        path = tmp_path / "photo.jpg"
        path.write_bytes(b"\xff\xd8")
        assert read_photo(path) == read_photo(str(path)) == b"\xff\xd8"

    def test_empty_file(self, tmp_path):
        """An empty file can be read; that it is no picture is for the decoder to say."""
        path = tmp_path / "empty.jpg"
        path.touch()
        assert read_photo(path) == b""

    def test_missing(self, tmp_path):
        """A missing file is named, with the reason."""
        with pytest.raises(InputError, match=r"cannot read .*nowhere\.jpg: No such file"):
            read_photo(tmp_path / "nowhere.jpg")

    def test_folder(self, tmp_path):
        """A folder is refused."""
        with pytest.raises(InputError, match="expected a file, got a folder"):
            read_photo(tmp_path)

    def test_broken_link(self, tmp_path):
        """A link to nowhere is a missing file."""
        link = tmp_path / "link.jpg"
        link.symlink_to(tmp_path / "nowhere.jpg")
        with pytest.raises(InputError, match="cannot read"):
            read_photo(link)

    def test_impossible_name(self):
        """A name that no file can have is refused like a missing file."""
        with pytest.raises(InputError, match="cannot read"):
            read_photo("a\x00b.jpg")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
    def test_pipe(self, tmp_path):
        """A named pipe that nobody writes to is refused at once instead of waited for."""
        os.mkfifo(tmp_path / "pipe.jpg")
        outcome = []
        thread = threading.Thread(target=lambda: outcome.append(_outcome(tmp_path / "pipe.jpg")), daemon=True)
        thread.start()
        thread.join(timeout=60)
        assert outcome == [InputError]

    @pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="this system has no such device")  # noqa: PTH110
    def test_device(self):
        """A device that never ends is refused."""
        with pytest.raises(InputError, match="expected a file"):
            read_photo("/dev/zero")

    def test_size(self, tmp_path):
        """A file of exactly the allowed size is read, one byte more is not."""
        path = tmp_path / "large.jpg"
        path.write_bytes(bytes(100))
        assert len(read_photo(path, limits=ImageLimits(max_bytes=100))) == 100
        with pytest.raises(ImageTooLargeError, match="at most 99 bytes, got 100"):
            read_photo(path, limits=ImageLimits(max_bytes=99))

    def test_huge_file(self, tmp_path):
        """A file of a terabyte, with holes, is refused by its size alone."""
        path = tmp_path / "huge.jpg"
        with path.open("wb") as file:
            try:
                file.truncate(10**12)
            except OSError:
                pytest.skip("this file system has no files of that size")
        with pytest.raises(ImageTooLargeError, match="got 1,000,000,000,000"):
            read_photo(path)


def _outcome(path):
    try:
        return read_photo(path)
    except InputError as error:
        return type(error)
