"""What is kept of a piece to be looked at."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tests.line.predictions import prediction

from binsight.line.film import make_film
from binsight.line.records import Box, View


def view(number: int, crop: NDArray[np.uint8], **values: object) -> View:
    """Return a view that was judged."""
    given = {"sharpness": 1.0, "prediction": prediction([0.9, 0.1]), **values}
    return View(number, float(number), Box(10.4, 20, 29.6, 40), crop, **given)


def test_views_in_order_with_what_was_said_of_them() -> None:
    """However late the answers came; which of them counted; the picture is that of the sharpest."""
    colours = {3: (250, 0, 0), 5: (0, 250, 0), 8: (0, 0, 250)}
    views = [view(n, np.full((300, 200, 3), colours[n], np.uint8), sharpness=float(n == 5)) for n in (5, 8, 3)]
    film = make_film(views, {3, 5}, at=lambda at_s: f"{at_s:g} s")
    assert [(entry["frame"], entry["at"], entry["voted"]) for entry in film.views] == [
        (3, "3 s", True), (5, "5 s", True), (8, "8 s", False),
    ]  # fmt: skip
    assert film.views[0]["scores"] == {"glass": 0.9, "metal": 0.1}
    assert film.views[0]["box"] == [10, 20, 30, 40]
    for number, channel in ((1, 0), (2, 1), (3, 2)):
        picture = Image.open(io.BytesIO(film.frame(number) or b""))
        assert picture.size == (85, 128)
        assert np.asarray(picture).mean((0, 1)).argmax() == channel
    best = np.asarray(Image.open(io.BytesIO(film.thumbnail)))
    assert best.shape == (192, 128, 3)
    assert best.mean((0, 1)).argmax() == 1


def test_the_bytes_of_a_piece_are_bounded() -> None:
    """Noise, which no encoder makes small, takes no more than 4 kB a view."""
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    film = make_film([view(n, noise) for n in range(4)], set(), at=str)
    assert all(0 < entry["bytes"] <= 4_000 for entry in film.views)
    assert len(film.frames) == sum(entry["bytes"] for entry in film.views)
    assert len(film.thumbnail) <= 24_000
