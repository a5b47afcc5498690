"""Hundreds of mutated uploads: a result or a clear refusal, never a 5xx, and memory is given back."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib

import numpy as np
import pytest
from PIL import Image
from tests.serving.conftest import COLOURS, photo, service_of, upload

KINDS = ("JPEG", "PNG", "WebP", "BMP", "GIF", "TIFF")
REFUSALS = {400, 413, 415, 422}


def noisy(kind: str) -> bytes:
    """Return the file of a photo of noise."""
    file = io.BytesIO()
    pixels = np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def mutations(data: bytes, rng: np.random.Generator, count: int):
    """Cut short, bits flipped, a piece overwritten, doubled, zeroed or taken out, random bytes behind the start."""
    for turn in range(count):
        raw = bytearray(data)
        at = int(rng.integers(1, len(raw)))
        piece = slice(at, at + int(rng.integers(1, 64)))
        match turn % 7:
            case 0:
                del raw[at:]
            case 1:
                for position in rng.integers(0, len(raw), int(rng.integers(1, 20))):
                    raw[position] ^= 1 << int(rng.integers(8))
            case 2:
                raw[piece] = rng.bytes(len(raw[piece]))
            case 3:
                raw[at:at] = raw[piece]
            case 4:
                raw[piece] = bytes(len(raw[piece]))
            case 5:
                del raw[piece]
            case _:
                raw[16:] = rng.bytes(len(raw))
        yield bytes(raw)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file, with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(width: int, height: int) -> bytes:
    """A few bytes that say they are a huge picture."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(10_000_000)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + png_chunk(b"IEND", b"")


def resized_header(kind: str) -> bytes:
    """A small picture whose header says 60,000 x 60,000."""
    raw = bytearray(photo("red", kind))
    match kind:
        case "GIF":
            raw[6:10] = struct.pack("<HH", 60_000, 60_000)
        case "BMP":
            raw[18:26] = struct.pack("<ii", 60_000, 60_000)
        case "TIFF":
            (at,) = struct.unpack_from("<I", raw, 4)
            for entry in range(at + 2, at + 2 + 12 * struct.unpack_from("<H", raw, at)[0], 12):
                if struct.unpack_from("<H", raw, entry)[0] in {256, 257}:
                    struct.pack_into("<HHII", raw, entry, *struct.unpack_from("<H", raw, entry), 4, 1, 60_000)
        case "WebP":
            raw[26:30] = struct.pack("<HH", 0x3FFF, 0x3FFF)
    return bytes(raw)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_mutated_photos_end_in_a_result_or_a_refusal(app, client, kind):
    """Seventy of each kind; afterwards the server is as it was."""
    rng = np.random.default_rng(KINDS.index(kind))
    codes = set()
    for data in mutations(noisy(kind), rng, 70):
        answer = client.post("/predict", data=data, content_type="image/jpeg")
        assert answer.status_code in {200, *REFUSALS}, (answer.text, data[:40])
        codes.add(answer.status_code)
    assert codes & REFUSALS
    assert service_of(app).budget.held == 0
    assert client.post("/predict", **upload(photo("green"))).json["predicted_category"] == "green"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_mutated_forms_end_in_a_result_or_a_refusal(app, client):
    """The form around the photo is as little trusted as the photo."""
    form = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    body = form + photo() + b"\r\n--B--\r\n"
    for data in mutations(body, np.random.default_rng(9), 140):
        answer = client.post("/predict", data=data, content_type="multipart/form-data; boundary=B")
        assert answer.status_code in {200, *REFUSALS}, (answer.text, data)
    assert service_of(app).budget.held == 0


@pytest.mark.parametrize(
    "data",
    [
        png_bomb(60_000, 60_000),
        png_bomb(2_000_000_000, 1),
        png_bomb(0, 0),
        *(resized_header(kind) for kind in ("GIF", "BMP", "TIFF", "WebP")),
    ],
    ids=["png", "png-wide", "png-empty", "gif", "bmp", "tiff", "webp"],
)
def test_bombs_are_refused_before_memory_is_spent(client, data):
    """By the sizes in their headers."""
    answer = client.post("/predict", data=data, content_type="image/png")
    assert answer.status_code in {413, 422}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n",
        b"PK\x03\x04" + bytes(50),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"<?php system('id'); ?>",
        bytes(1000),
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"\x00\x00\x00\x18ftypheic" + bytes(8),
        b"P6 9 9 255 " + bytes(243),
    ],
)
def test_other_files_are_refused_whatever_their_name_and_type_say(client, data):
    """The bytes themselves decide, and formats with a language inside are never opened."""
    answer = client.post("/predict", **upload(data, name="innocent.jpg"))
    assert answer.status_code in {415, 422}


@pytest.mark.parametrize("tail", [b"PK\x03\x04" + bytes(80), b"<script>alert(1)</script>", b"%PDF-1.7\n"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_photo_that_is_also_something_else_is_taken_for_the_photo(client, kind, tail):
    """What is behind a picture's end is neither run nor given back."""
    answer = client.post("/predict", **upload(photo("blue", kind) + tail))
    assert answer.json["predicted_category"] == "blue"
    assert "script" not in answer.text


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "C:\\Windows\\win.ini",
        "/dev/null",
        "a\u202egpj.exe",
        "<img src=x onerror=alert(1)>.jpg",
        "NUL",
        "x" * 5000,
        "'; DROP TABLE photos; --",
        "%s%n%x",
        "☃.png",
    ],
)
def test_a_name_is_only_given_back_as_json(client, tmp_path, monkeypatch, name):
    """Nothing is written anywhere, whatever the name."""
    monkeypatch.chdir(tmp_path)
    answer = client.post("/predict", **upload(photo("red"), photo("red"), name=name))
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert [r["predicted_category"] for r in answer.json] == ["red", "red"]
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_to_disk_for_an_upload(client, monkeypatch):
    """Not even for a large one, which web frameworks put into temporary files."""

    def forbidden(*args, **kwargs):
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "SpooledTemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, forbidden)
    large = photo("green", "BMP", (900, 900))
    assert len(large) > 2_000_000
    head = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.bmp"\r\n\r\n'
    body = head + large + b"\r\n--B--\r\n"
    answer = client.post("/predict", data=body, content_type="multipart/form-data; boundary=B")
    assert answer.json["predicted_category"] == "green"


def test_colours_are_what_they_are():
    """The photos that the other tests send are what they say."""
    assert set(COLOURS) == {"red", "green", "blue"}
