"""The camera watch: what is wrong with the pictures, and what is not."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from binsight.line.camera import CameraWatch
from binsight.line.records import Frame

CHANCE = np.random.default_rng(0)
TEXTURE = np.kron(CHANCE.uniform(80, 100, (24, 200, 1)), np.ones((10, 10, 3)))
NOISE = CHANCE.normal(0, 1.5, (5, 240, 320, 3))


def picture(number: int, *, gain: float = 1.0, noise: float = 1.0, blur: float = 0.0) -> np.ndarray:
    """A frame of a belt that moves beside a still frame of the machine."""
    start = 1600 - 12 * (number % 130)
    scene = TEXTURE[:, start : start + 320].copy()
    scene[:, :96] = np.where(np.arange(96) // 12 % 2, 40, 180)[:, None]  # the frame beside the belt
    image = np.clip(scene * gain + noise * NOISE[number % 5], 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(blur))) if blur else image


def states(watch: CameraWatch, seconds: float, *, start: float, **change: float) -> list[str]:
    """At 20 frames a second; the state after each."""
    first = round(start * 20)
    return [watch.look(Frame(picture(n, **change), n / 20, n)) for n in range(first, first + round(seconds * 20))]


@pytest.fixture
def watch():
    """One that has seen four good seconds."""
    watch = CameraWatch()
    assert set(states(watch, 4, start=0)) == {"ok"}
    return watch


def test_dark_after_a_fifth_of_a_second_and_ok_a_second_after_the_light_is_back(watch):
    """The way down is a jump as well: no frame in between is trusted."""
    dark = states(watch, 1, start=4, gain=0.02)
    assert "ok" not in dark
    assert dark[-1] == "dark"
    assert watch.blind
    back = states(watch, 4, start=5)
    assert back[:10] == ["unstable"] * 10 or "ok" not in back[:10]
    assert back[-1] == "ok"


def test_a_lighting_jump_is_unstable_at_once_and_settles(watch):
    """A lighting jump is unstable at once and settles."""
    jumped = states(watch, 4, start=4, gain=1.7)
    assert jumped[0] == "unstable"
    assert jumped[-1] == "ok"


def test_noise_is_unstable(watch):
    """Noise is unstable."""
    assert states(watch, 1, start=4, noise=25)[0] == "unstable"
    assert watch.blind


def test_an_exposure_that_hunts_is_unstable(watch):
    """An exposure that hunts is unstable."""
    swings = [1 + 0.15 * np.sin(n / 20 * 2 * np.pi) for n in range(80, 200)]
    seen = [watch.look(Frame(picture(n, gain=swing), n / 20, n)) for n, swing in enumerate(swings, 80)]
    assert seen[-1] == "unstable"


def test_frozen_after_two_seconds_of_the_same_picture(watch):
    """Frozen after two seconds of the same picture."""
    image = picture(80)
    seen = [watch.look(Frame(image, n / 20, n)) for n in range(80, 140)]
    assert seen[:40] == ["ok"] * 40
    assert seen[-1] == "frozen"
    assert states(watch, 3, start=7)[-1] == "ok"


def test_blurred_is_told_but_pieces_are_still_looked_for(watch):
    """Blurred is told but pieces are still looked for."""
    seen = states(watch, 4, start=4, blur=5)
    assert seen[-1] == "blurred"
    assert not watch.blind
    assert states(watch, 3, start=8)[-1] == "ok"


def test_pieces_and_a_slow_change_of_light_are_no_fault(watch):
    """A white piece over half of the picture; the light falls by a third within twenty seconds."""
    for n in range(80, 480):
        image = picture(n, gain=1 - (n - 80) / 1200).copy()
        left = (9 * n) % 640 - 160
        image[40:200, max(0, left) : max(0, left + 160)] = 230
        assert watch.look(Frame(image, n / 20, n)) == "ok", n
