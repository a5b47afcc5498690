"""The short scripts in `examples/` run as their first lines say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tests.patience import PATIENCE_S

from binsight.serving.server import RunningServer
from binsight.serving.settings import Settings

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PHOTOS = EXAMPLES / "photos"
pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="not in the source tree")


def run(name: str, *arguments: str | Path) -> list[str]:
    """Return the lines that a script prints."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_sort_folder(tmp_path: Path) -> None:
    """Each photo is copied to one place, and lies where it lay."""
    said = run("sort_folder", PHOTOS, tmp_path)
    photos = {path.name for path in PHOTOS.iterdir() if path.suffix in {".jpg", ".png"}}
    assert {path.name for path in tmp_path.rglob("*.*")} == photos
    assert len(said) == len(photos)
    assert "circuit_board.jpg: ewaste (100%) -> e-waste" in said


def test_ask_server() -> None:
    """A photo gets a category, a text the reason why it has none."""
    server = RunningServer(Settings(port=0, workers=1, access_log=False, deadline_s=PATIENCE_S))
    server.load()
    photo, text = run("ask_server", server.url, PHOTOS / "circuit_board.jpg", PHOTOS / "expected.csv")
    server.stop()
    assert photo.endswith("circuit_board.jpg ewaste accept")
    assert text.endswith("not_an_image")


def test_teach_camera(tmp_path: Path) -> None:
    """What is taught can be used."""
    for category, name in (("ewaste", "motherboard.jpg"), ("food_waste", "citrus_slices.jpg")):
        with Image.open(PHOTOS / name) as opened:
            photo = opened.convert("RGB").reduce(4)
        (tmp_path / category).mkdir()
        for i in range(3):  # three places of the photo, three shots
            left = i * photo.width // 3
            photo.crop((left, 0, left + photo.width // 3, photo.height)).save(tmp_path / category / f"{i}.png")
    said = run("teach_camera", tmp_path, tmp_path / "taught")
    assert said[0].startswith("right on this camera: ")
    assert said[-1].endswith("waste8 1.4.0-adapted1")
