"""Whether two thumbnails show the same shot."""

from __future__ import annotations

import numpy as np
import pytest
from tests.dataset.duplicates.pictures import brighter, cropped, picture, smaller, thumbnail_of

from binsight.dataset.duplicates.alignment import shot_similarity


def _similarity(first, second):
    return float(shot_similarity(thumbnail_of(first)[None], thumbnail_of(second)[None])[0])


def test_same_picture_is_fully_similar():
    """A picture agrees with itself up to the allowance for noise."""
    assert _similarity(picture(0), picture(0)) > 0.99


def test_different_pictures_are_not_similar():
    """Unrelated pictures stay far below the threshold."""
    assert max(_similarity(picture(seed), picture(seed + 1)) for seed in range(0, 20, 2)) < 0.4


@pytest.mark.parametrize(
    "alter",
    [cropped, lambda i: brighter(i, 1.2), lambda i: brighter(i, 0.8), lambda i: smaller(i, 0.5)],
    ids=["crop", "lighter", "darker", "smaller"],
)
def test_altered_copies_are_similar(alter):
    """A crop of 5 %, other light and another size stay above 0.85."""
    assert min(_similarity(picture(seed), alter(picture(seed))) for seed in range(5)) > 0.85


def test_same_outline_with_other_content_is_not_similar():
    """Two different textures in the same disc on the same white ground are two photos."""
    y, x = np.mgrid[:120, :160]
    disc = ((x - 80) ** 2 + (y - 60) ** 2 < 45**2)[..., None]
    first, second = (np.where(disc, picture(seed), 240).astype(np.uint8) for seed in (1, 2))
    assert _similarity(first, second) < 0.7


def test_soft_shadow_alone_is_not_similar():
    """Different objects under the same gradient of light are two photos."""
    shade = np.linspace(120, 240, 160)[None, :, None] * np.ones((120, 1, 3))
    first, second = shade.copy(), shade.copy()
    first[50:70, 70:90] = picture(3, (20, 20))
    second[50:70, 70:90] = picture(4, (20, 20))
    assert _similarity(first.astype(np.uint8), second.astype(np.uint8)) < 0.75


def test_batch_equals_singles():
    """Many pairs at once give what each gives alone."""
    first = np.stack([thumbnail_of(picture(seed)) for seed in range(6)])
    second = np.stack([thumbnail_of(cropped(picture(seed))) for seed in range(6)])
    singles = [shot_similarity(first[i : i + 1], second[i : i + 1])[0] for i in range(6)]
    assert np.allclose(shot_similarity(first, second), singles, atol=1e-3)


def test_plain_pictures_do_not_fail():
    """Pictures of one colour give a finite number below any threshold."""
    plain = np.full((2, 48, 48), 128, np.float16)
    assert np.abs(shot_similarity(plain, plain)).max() < 0.5
