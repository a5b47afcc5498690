"""What the page computes by itself is what the server computes: pixels, decisions, and all with the real runtime."""

from __future__ import annotations

import base64
import io
import itertools
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from tests.serving.browser.steps import PATIENCE_MS, serve
from tests.tiny_bundle import tiny_manifest

from binsight.errors import ImageError
from binsight.imaging import PreprocessSpec, prepare_photo
from binsight.predictor import Outputs, Predictor
from binsight.probability import ReviewThresholds

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

PHOTOS = Path(__file__).parents[3] / "examples" / "photos"
FOLDER = "document.querySelector(\"link[href$='/app.js'], script[src$='/app.js']\").src.replace(/app.js$/, '')"
PREPARE = f"""async ([photo, specs]) => {{
  const {{ prepare }} = await import({FOLDER} + "prepare.js");
  const file = new Blob([Uint8Array.from(atob(photo), (c) => c.charCodeAt(0))]);
  const encode = (pixels) => btoa(Array.from(pixels, (value) => String.fromCharCode(value)).join(""));
  return Promise.all(specs.map((spec) => prepare(file, spec).then(encode, (refusal) => ({{ code: refusal.code }}))));
}}"""
INTERPRET = f"""async ([outputs, manifest]) => {{
  const {{ interpret }} = await import({FOLDER} + "decide.js");
  return outputs.map((one) => interpret(one, manifest));
}}"""


def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    """Return a photo's file."""
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def prepared(page: Page, photo: bytes, *specs: PreprocessSpec) -> list[Any]:
    """Return what the page makes of a photo: pixels, or the code of its refusal."""
    asked = [base64.b64encode(photo).decode(), [spec.to_dict() for spec in specs]]
    found = page.evaluate(PREPARE, asked)
    return [
        np.frombuffer(base64.b64decode(one), np.uint8).reshape(*spec.size, 3) if isinstance(one, str) else one["code"]
        for one, spec in zip(found, specs, strict=True)
    ]


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    """Return a photo with structure at all scales."""
    with Image.open(PHOTOS / "plastic_bottle.jpg") as photo:
        return photo.convert("RGB").resize((301, 203))


def test_resizes_as_pillow_does(page: Page, picture: Image.Image) -> None:
    """Byte for byte, with every filter and every fit, larger and smaller."""
    fits: tuple[dict[str, Any], ...]
    fits = ({"fit": "stretch"}, {"fit": "crop", "crop_fraction": 0.875}, {"fit": "letterbox"})
    filters = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
    sizes = itertools.cycle(((96, 96), (203, 301), (160, 224), (340, 300)))
    specs = [PreprocessSpec(size=next(sizes), filter=name, **fit) for fit in fits for name in (*filters, "bilinear")]
    tall = picture.resize((70, 700))  # which shrinks along its height first
    for photo in (encoded(picture, "PNG"), encoded(tall, "PNG"), encoded(tall.resize((70, 180)), "PNG")):
        for spec, found in zip(specs, prepared(page, photo, *specs), strict=True):
            assert np.array_equal(found, prepare_photo(photo, spec)), spec


def test_reads_as_the_server_does(page: Page, picture: Image.Image) -> None:
    """Formats, transparency over white, and JPEG that is progressive, grey, for print, or has no end marker."""
    faded = picture.convert("RGBA")
    faded.putalpha(Image.linear_gradient("L").resize(picture.size))
    jpeg = encoded(picture, "JPEG", quality=90)
    photos = {
        "jpeg": jpeg,
        "progressive": encoded(picture, "JPEG", progressive=True),
        "no end": jpeg[:-2],
        "half a marker": jpeg[:-1],
        "grey": encoded(picture.convert("L"), "JPEG"),
        "cmyk": encoded(picture.convert("CMYK"), "JPEG"),
        "webp": encoded(picture, "WEBP"),
        "gif": encoded(picture, "GIF"),
        "bmp": encoded(picture, "BMP"),
        "transparent": encoded(faded, "PNG"),
    }
    spec = PreprocessSpec(size=(96, 96), filter="bilinear")
    for name, photo in photos.items():
        found = prepared(page, photo, spec)[0]
        assert np.array_equal(found, prepare_photo(photo, spec)), name


@pytest.mark.parametrize(("shape", "orientation"), [((640, 480), 6), ((801, 603), 1), ((1290, 900), 1)])
def test_large_jpeg(page: Page, picture: Image.Image, shape: tuple[int, int], orientation: int) -> None:
    """Decoded at reduced scale as libjpeg does it, upright; a browser cannot, so it is near, not equal."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = encoded(picture.resize(shape, Image.Resampling.BICUBIC), "JPEG", exif=exif.tobytes())
    spec = PreprocessSpec(size=(96, 96), filter="bilinear")
    difference = np.abs(prepared(page, photo, spec)[0].astype(int) - prepare_photo(photo, spec))
    assert difference.mean() < 0.5
    assert difference.max() <= 8


def test_refuses_what_is_cut_off(page: Page, picture: Image.Image) -> None:
    """A browser shows grey there; neither it nor the server makes up pixels. What it cannot read it says."""
    jpeg, progressive = encoded(picture, "JPEG"), encoded(picture, "JPEG", progressive=True)
    spec = PreprocessSpec(size=(96, 96))
    for photo in (
        jpeg[: len(jpeg) // 2],
        jpeg[: len(jpeg) // 2] + b"\xff\xd9",
        progressive[: len(progressive) // 2],
        jpeg[:-20],
    ):
        assert prepared(page, photo, spec) == ["truncated"]
        with pytest.raises(ImageError):
            prepare_photo(photo, spec)
    for photo in (
        b"no picture",
        b"\xff\xd8",
        b"\xff\xd8\xff",
        encoded(picture, "TIFF"),
        encoded(picture, "PNG")[:5000],
    ):
        assert prepared(page, photo, spec) == ["device_format"]


def test_decides_as_the_server_does(page: Page, model: Path) -> None:
    """Every reason to review, ties, and values on the thresholds; with and without the further outputs."""
    predictor = Predictor.load(model)
    review = ReviewThresholds(confidence=(0.5, 0.6, 0.7), disagreement=0.2, unfamiliarity=1.0)
    generator = np.random.default_rng(0)
    logits = np.concatenate([generator.normal(0, 2, (60, 3)), np.zeros((1, 3)), [[900.0, -900, 0]]]).astype(np.float32)
    second = generator.normal(0, 3, (len(logits), 1)).astype(np.float32)
    strange = generator.uniform(0.5, 1.2, (len(logits), 1)).astype(np.float32)
    strange[0] = 1.0
    for outputs in (Outputs(logits, biodegradable_logit=second, unfamiliarity=strange), Outputs(logits)):
        manifest = tiny_manifest(review=review, temperature=0.7, biodegradable_temperature=1.3)
        predictor.bundle = replace(predictor.bundle, manifest=manifest)
        rows = [
            {name: value[i].tolist() for name, value in asdict(outputs).items() if value is not None}
            for i in range(len(logits))
        ]
        expected = [prediction.to_dict() for prediction in predictor.interpret(outputs)]
        found = page.evaluate(INTERPRET, [rows, manifest.to_dict()])
        for here, there in zip(found, expected, strict=True):
            there.pop("timing_ms")
            for name in ("confidence_scores", "confidence", "biodegradable_probability"):
                assert here.pop(name) == pytest.approx(there.pop(name), abs=1.5e-8)
            assert here == there


def test_says_what_the_server_says(open_page: Callable[..., Page]) -> None:
    """The shipped model, run by ONNX Runtime for browsers; `benchmarks/web_offline.py` compares hundreds of photos."""
    pytest.importorskip("binsight_web_offline", reason='the extra is not installed: pip install ".[web-offline]"')
    server = serve("waste8")
    try:
        page = open_page(server.url)
        page.check("#device")
        ready = "() => document.querySelector('#server-text').textContent === 'Works offline'"
        page.wait_for_function(ready, timeout=6 * PATIENCE_MS)
        paths = [PHOTOS / f"{name}.jpg" for name in ("autumn_leaves", "motherboard", "plastic_bottle")]
        page.set_input_files("#files", paths)
        session = "() => JSON.parse(sessionStorage.getItem('binsight.session.1') ?? '[]')"
        page.wait_for_function(f"() => ({session})().length === 3", timeout=3 * PATIENCE_MS)
        found = page.evaluate(session)
    finally:
        server.stop()
    predictor = Predictor.load("waste8", threads=1)
    for entry in found:
        expected = predictor.predict_file(PHOTOS / entry["name"])
        assert (entry["result"]["predicted_category"], entry["result"]["reason"]) == (
            expected.category,
            expected.reason,
        )
        assert entry["result"]["confidence_scores"] == pytest.approx(expected.scores, abs=1e-3)
