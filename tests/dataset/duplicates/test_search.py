"""Exact and altered copies."""

from __future__ import annotations

import numpy as np
import pytest
from tests.dataset.duplicates.pictures import brighter, cropped, picture, smaller, views

from binsight.dataset.duplicates import DuplicatePair, Fingerprints, find_duplicates, fingerprint_image


def _prints(images, files=None):
    made = [fingerprint_image(views(image)) for image in images]
    return Fingerprints(
        files or [None] * len(made),
        [m.pixels_sha256 for m in made],
        np.stack([m.thumbnail for m in made]),
        np.stack([m.colours for m in made]),
        np.array([m.aspect for m in made], np.float32),
    )


def _near(pairs):
    return [(p.first, p.second, p.orientation) for p in pairs]


def test_exact_copies_form_a_star():
    """Of three files with the same bytes and one with the same pixels, all are paired with the first."""
    prints = _prints([picture(0)] * 4 + [picture(1)], files=["a", "a", "a", "b", "c"])
    assert find_duplicates(prints) == [
        DuplicatePair(0, 1, "same_file"),
        DuplicatePair(0, 2, "same_file"),
        DuplicatePair(0, 3, "same_pixels"),
    ]


def test_unreadable_photos_have_no_copies():
    """Two empty files are not copies of each other."""
    prints = _prints([picture(0), picture(0)], files=["a", "a"])
    assert (
        find_duplicates(Fingerprints(["a", "a"], [None, None], prints.thumbnails, prints.colours, prints.aspects)) == []
    )


@pytest.mark.parametrize(
    ("alter", "orientation"),
    [
        (lambda i: i[:, ::-1], "mirrored"),
        (lambda i: i[::-1], "upside down"),
        (lambda i: np.rot90(i, 2), "turned by 180 degrees"),
        (lambda i: np.rot90(i, -1), "turned by 90 degrees clockwise"),
        (lambda i: np.rot90(i, 1), "turned by 90 degrees counterclockwise"),
        (cropped, "same"),
        (lambda i: smaller(i, 0.6), "same"),
        (lambda i: brighter(i, 0.8), "same"),
        (lambda i: brighter(cropped(i)[:, ::-1], 1.2), "mirrored"),
    ],
)
def test_altered_copy_is_found_among_others(alter, orientation):
    """Each alteration is found with its orientation, and nothing else is."""
    images = [picture(seed) for seed in range(12)]
    assert _near(find_duplicates(_prints([*images, alter(images[4])]))) == [(4, 12, orientation)]


def test_orientation_says_how_the_first_becomes_the_second():
    """Where the altered copy comes first, the turn back is reported."""
    images = [np.rot90(picture(0), -1), picture(0)]
    assert _near(find_duplicates(_prints(images))) == [(0, 1, "turned by 90 degrees counterclockwise")]


def test_near_can_be_left_out():
    """With near=False only exact copies are looked for."""
    images = [picture(0), cropped(picture(0)), picture(0)]
    assert find_duplicates(_prints(images, files=["a", "b", "a"]), near=False) == [DuplicatePair(0, 2, "same_file")]


def test_plain_surfaces_are_not_copies():
    """Two nearly blank photos are left alone: all of them look alike."""
    noise = np.random.default_rng(0)
    plain = [np.clip(noise.normal(200, 1, (80, 80, 3)), 0, 255).astype(np.uint8) for _ in range(3)]
    assert find_duplicates(_prints(plain)) == []


def test_number_of_threads_changes_nothing():
    """One thread and three give the same pairs."""
    images = [picture(seed) for seed in range(20)] + [cropped(picture(seed)) for seed in range(20)]
    prints = _prints(images)
    assert find_duplicates(prints, workers=1) == find_duplicates(prints, workers=3)


def test_progress_reaches_the_end():
    """The last report says that all candidates were compared."""
    reports = []
    images = [picture(0), cropped(picture(0)), picture(1)]
    find_duplicates(_prints(images), progress=lambda done, total: reports.append((done, total)))
    assert reports
    assert reports[-1][0] == reports[-1][1]
