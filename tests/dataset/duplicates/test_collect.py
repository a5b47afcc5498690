"""Reading photos for their fingerprints."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tests.dataset.duplicates.pictures import cropped, picture, views

from binsight.dataset import reading, scan
from binsight.dataset.duplicates import Fingerprint, duplicate_groups, fingerprint_image


@pytest.fixture
def folder(tmp_path):
    """Two classes: an exact copy, a lossless copy in another format, an altered copy, a broken file."""
    for name in ("a", "b"):
        (tmp_path / "d" / name).mkdir(parents=True)
    root = tmp_path / "d"
    for seed in range(3):
        Image.fromarray(picture(seed)).save(root / "a" / f"{seed}.png")
    Image.fromarray(picture(0)).save(root / "b" / "0.bmp")
    (root / "b" / "1.png").write_bytes((root / "a" / "1.png").read_bytes())
    Image.fromarray(cropped(picture(2))).save(root / "b" / "2.jpg", quality=80)
    (root / "b" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    return root


def test_groups_join_all_kinds_of_copies(folder):
    """Same bytes, same pixels and altered copies share a number; the broken file is alone."""
    dataset = scan(folder)
    assert [s.path for s in dataset] == ["a/0.png", "a/1.png", "a/2.png", "b/0.bmp", "b/1.png", "b/2.jpg", "b/3.png"]
    assert duplicate_groups(dataset) == [0, 1, 2, 0, 1, 2, 3]


def test_exact_groups_only(folder):
    """With near=False the altered copy is a photo of its own."""
    assert duplicate_groups(scan(folder), near=False) == [0, 1, 2, 0, 1, 3, 4]


def test_cached_photos_are_not_decoded_again(folder, tmp_path, monkeypatch):
    """With a cache the second run decodes nothing, and finds the same."""
    dataset = scan(folder).sound()
    first = duplicate_groups(dataset, cache=tmp_path / "c.sqlite")
    monkeypatch.setattr(reading, "decode_for_checks", None)
    assert duplicate_groups(dataset, cache=tmp_path / "c.sqlite") == first


def test_a_fingerprint_is_kept_whole():
    """What is read back from the cache is what was kept."""
    made = fingerprint_image(views(picture(0)))
    kept = Fingerprint.from_bytes(made.to_bytes())
    assert kept.pixels_sha256 == made.pixels_sha256
    assert kept.aspect == pytest.approx(made.aspect)
    assert np.array_equal(kept.thumbnail, made.thumbnail)
    assert np.array_equal(kept.colours, made.colours)
