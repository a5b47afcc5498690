"""Whether the web page says on its own, in a browser, what the server says.

    pip install ".[serve,web-offline]" playwright
    python benchmarks/web_offline.py ../shared/data/waste8/test [--photos 200] [--side 3000] [--model waste8]

Chromium opens the page, "On this device" is turned on, the server is stopped, and the photos go through the page's own
code: decoded by the browser, resized, run and judged there. They are compared with what the predictor says of the same
files.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from binsight.errors import ImageError
from binsight.predictor import Prediction, Predictor
from binsight.serving.server import RunningServer
from binsight.serving.settings import Settings

_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_READY = "() => document.getElementById('server-text').textContent === 'Works offline'"
_OPEN = """async () => {
  const { Device } = await import(document.querySelector("link[href$='/device.js']").href);
  window.device = new Device(() => {});
  await window.device.turnOn(window.device.name);
  document.body.append(Object.assign(document.createElement("input"), { type: "file", id: "compared" }));
}"""
_CLASSIFY = """async () => {
  const file = document.getElementById("compared").files[0];
  return window.device.classify(file, AbortSignal.timeout(60000)).catch(({ code }) => ({ code }));
}"""


def main() -> None:
    """Compare, and print how far they agree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder with photos")
    parser.add_argument("--photos", type=int, default=200, help="how many of them, drawn with seed 0")
    parser.add_argument("--model", default="waste8")
    parser.add_argument("--side", type=int, help="enlarge them first, so that they are as large as a phone's: pixels")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.folder.rglob("*.*") if path.suffix.lower() in {".jpg", ".png", ".webp"})
    random.Random(0).shuffle(paths)  # noqa: S311 - a draw that can be repeated
    paths = paths[: arguments.photos]
    if arguments.side:
        paths = [enlarge(path, arguments.side, Path(tempfile.mkdtemp())) for path in paths]
    predictor = Predictor.load(arguments.model, threads=1)
    server = RunningServer(Settings(models=(arguments.model,), port=0, access_log=False))
    server.load()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=_FLAGS)
        page = browser.new_page()
        page.goto(server.url)
        start = time.perf_counter()
        page.check("#device")
        page.wait_for_function(_READY, timeout=120_000)
        print(
            f"{predictor.bundle.label} in Chromium {browser.version}; ready after {time.perf_counter() - start:.1f} s"
        )
        server.stop()
        page.reload()
        page.evaluate(_OPEN)
        report([(path, classify(page, path), predict(predictor, path)) for path in paths])
        browser.close()


def enlarge(path: Path, side: int, folder: Path) -> Path:
    """A copy with that many pixels along its longer side."""
    with Image.open(path) as picture:
        scale = side / max(picture.size)
        size = round(picture.width * scale), round(picture.height * scale)
        picture.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(folder / f"{path.stem}.jpg", quality=90)
    return folder / f"{path.stem}.jpg"


def classify(page: Page, path: Path) -> dict[str, Any]:
    """What the page says of a photo: an answer, or a code."""
    page.set_input_files("#compared", str(path))
    answer: dict[str, Any] = page.evaluate(_CLASSIFY)
    return answer


def predict(predictor: Predictor, path: Path) -> Prediction | str:
    """What the server says of it: a prediction, or a code."""
    try:
        return predictor.predict_bytes(path.read_bytes())
    except ImageError as error:
        return error.code


def report(found: list[tuple[Path, dict[str, Any], Prediction | str]]) -> None:
    """Print how far both agree."""
    both = [(path, here, there) for path, here, there in found if "code" not in here and not isinstance(there, str)]
    for path, here, there in found:
        if "code" in here or isinstance(there, str):
            print(f"  {path.name}: page {here.get('code', 'takes it')}, server {getattr(there, 'category', there)}")
    largest = [
        max(abs(here["confidence_scores"][name] - score) for name, score in there.scores.items())
        for _, here, there in both
    ]
    same = [here["predicted_category"] == there.category for _, here, there in both]
    decided = [(here["decision"], here["reason"]) == (there.decision, there.reason) for _, here, there in both]
    print(f"{len(both)} photos, same category: {sum(same) / len(both):.2%}, decision: {sum(decided) / len(both):.2%}")
    print(f"difference of probabilities: largest {max(largest):.2g}, median {statistics.median(largest):.2g}")
    for stage in ("decode", "infer"):
        page_ms = statistics.median(here["timing_ms"][stage] for _, here, _ in both)
        python_ms = statistics.median(there.timing_ms[stage] for _, _, there in both)
        print(f"{stage}: {page_ms:.0f} ms in the browser, {python_ms:.0f} ms in Python")


if __name__ == "__main__":
    main()
