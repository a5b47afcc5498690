"""The detector on made-up belts."""

import numpy as np
import pytest

from binsight.errors import SettingsError
from binsight.line.detect import Detector
from binsight.line.records import Frame

SHADES = np.array([60.0, 70.0, 50.0], dtype=np.float32)


class Belt:
    """A belt with stripes, scratches, a joint and camera noise; 240 x 320, 600 mm, to the right unless told."""

    def __init__(self, *, turns: int = 0, seed: int = 0) -> None:
        self.chance = np.random.default_rng(seed)
        self.turns = turns
        across = 10 * np.sin(np.arange(240) / 9)[:, None]
        self.texture = (across + self.chance.normal(0, 4, (240, 4000))).astype(np.float32)
        self.texture[:, 900:920] += 14  # a joint over the whole width
        self.noise = self.chance.normal(0, 2, (5, 240, 320, 3)).astype(np.float32)
        self.pieces: list[tuple[int, int, int, int, tuple[int, int, int]]] = []  # left on the belt, top, width, height

    def frame(self, travel_mm: float, *, gain: float = 1.0, seed: int = 0) -> Frame:
        start = 3000 - round(travel_mm * 320 / 600)
        image = self.texture[:, start : start + 320, None] + SHADES
        for left, top, width, height, colour in self.pieces:
            a, b = max(0, left - start), max(0, left - start + width)
            image[top : top + height, a:b] = colour
        image = image * gain + self.noise[seed % len(self.noise)]
        picture = np.clip(image, 0, 255).astype(np.uint8)
        return Frame(np.ascontiguousarray(np.rot90(picture, self.turns)), travel_mm / 400, round(travel_mm))


def learn(detector: Detector, belt: Belt, until_mm: float = 1000.0) -> None:
    """Let the empty belt run."""
    for travel in np.arange(0, until_mm, 25.0):
        detector.find(belt.frame(travel, seed=int(travel)), travel)


def test_it_learns_an_empty_belt_by_itself_and_says_when_it_has_not():
    """It learns an empty belt by itself and says when it has not."""
    belt, detector = Belt(), Detector()
    assert not detector.ready
    assert detector.find(belt.frame(0), 0.0) == []
    learn(detector, belt)
    assert detector.ready
    assert detector.find(belt.frame(1100), 1100.0) == []


def test_a_belt_that_stands_teaches_nothing():
    """A belt that stands teaches nothing."""
    belt, detector = Belt(), Detector()
    for number in range(50):
        detector.find(belt.frame(0, seed=number), 0.0)
    assert not detector.ready


def test_a_belt_that_is_always_full_is_no_empty_belt():
    """Every second place is covered; then it empties, and is learnt."""
    belt, detector = Belt(), Detector()
    chance = np.random.default_rng(1)
    for place in range(1500, 3300, 8):
        for strip in range(0, 240, 24):
            if chance.random() < 0.55:
                belt.pieces.append((place, strip, 8, 24, tuple(chance.integers(0, 255, 3).tolist())))
    learn(detector, belt, 1500.0)
    assert not detector.ready
    assert detector.known_share < 0.9
    belt.pieces.clear()
    for travel in np.arange(1500, 5600, 75.0):
        detector.find(belt.frame(travel, seed=int(travel)), travel)
    assert detector.ready


def test_it_learns_between_pieces():
    """It learns between pieces."""
    belt, detector = Belt(), Detector()
    for left in range(1500, 3300, 160):
        belt.pieces.append((left, 60, 40, 100, (230, 230, 225)))
    learn(detector, belt, 2400.0)
    assert detector.ready
    assert len(detector.find(belt.frame(2450), 2450.0)) in {2, 3}


@pytest.mark.parametrize(("direction", "turns"), [("right", 0), ("up", 1), ("left", 2), ("down", 3)])
def test_pieces_are_found_to_a_few_pixels_whatever_the_direction(direction, turns):
    """Two pieces abreast; one is on its way in and cut off."""
    belt, detector = Belt(turns=turns), Detector(direction=direction)
    learn(detector, belt)
    start = 3000 - round(1100 * 320 / 600)
    belt.pieces += [(start + 100, 30, 40, 60, (200, 60, 40)), (start - 20, 140, 50, 50, (10, 10, 12))]
    blobs = detector.find(belt.frame(1100), 1100.0)
    assert detector.field is not None
    spans = sorted((detector.field.along(blob.box), detector.field.across(blob.box), blob.cut_off) for blob in blobs)
    scale = 600 / 320
    sides = {
        "right": (30, 90, 140, 190),
        "up": (30, 90, 140, 190),
        "left": (150, 210, 50, 100),
        "down": (150, 210, 50, 100),
    }
    low, high, other_low, other_high = sides[direction]
    assert len(spans) == 2
    assert spans[0][0] == pytest.approx((0, 30 * scale), abs=6)
    assert spans[0][1] == pytest.approx((other_low * scale, other_high * scale), abs=6)
    assert spans[0][2]
    assert spans[1][0] == pytest.approx((100 * scale, 140 * scale), abs=6)
    assert spans[1][1] == pytest.approx((low * scale, high * scale), abs=6)
    assert not spans[1][2]


def test_the_joint_of_the_belt_dirt_and_a_change_of_exposure_are_no_pieces():
    """The joint of the belt dirt and a change of exposure are no pieces."""
    belt, detector = Belt(), Detector()
    learn(detector, belt)
    belt.pieces.append((2460, 100, 5, 5, (250, 250, 250)))  # 9 mm
    for travel in np.arange(1100, 4000, 50.0):
        assert detector.find(belt.frame(travel, gain=1.0 + 0.15 * np.sin(travel), seed=int(travel)), travel) == []


def test_two_that_touch_at_an_angle_are_one_blob_of_several():
    """Two that touch at an angle are one blob of several."""
    belt, detector = Belt(), Detector()
    learn(detector, belt)
    start = 3000 - round(1100 * 320 / 600)
    belt.pieces += [(start + 100, 40, 100, 24, (220, 200, 40)), (start + 140, 64, 24, 90, (220, 220, 220))]
    (blob,) = detector.find(belt.frame(1100), 1100.0)
    assert blob.several
    belt.pieces.pop()
    (blob,) = detector.find(belt.frame(1100), 1100.0)
    assert not blob.several


def test_two_that_are_close_are_two():
    """12 pixels apart, 4 of the small picture."""
    belt, detector = Belt(), Detector()
    learn(detector, belt)
    start = 3000 - round(1100 * 320 / 600)
    belt.pieces += [(start + 100, 40, 50, 50, (220, 220, 210)), (start + 158, 40, 50, 50, (220, 220, 210))]
    assert len(detector.find(belt.frame(1100), 1100.0)) == 2


def test_a_flood_of_light_is_no_piece_and_becomes_the_belt_if_it_stays():
    """A flood of light is no piece and becomes the belt if it stays."""
    belt, detector = Belt(), Detector()
    belt.texture[:, 900:920] -= 14  # without the joint, which that much light would make as bright as a piece
    learn(detector, belt)
    for travel in np.arange(1100, 4600, 50.0):
        assert detector.find(belt.frame(travel, gain=2.4, seed=int(travel)), travel) == []
        assert detector.flooded or travel > 2300
    assert detector.ready
    belt.pieces.append((3000 - round(4600 * 320 / 600) + 100, 60, 60, 60, (10, 10, 10)))
    assert len(detector.find(belt.frame(4600, gain=2.4), 4600.0)) == 1


def test_pieces_leave_little_behind():
    """Pieces 170 grey levels brighter cover a quarter of a strip, and lift the model by no more than 6."""
    belt, detector = Belt(), Detector()
    learn(detector, belt)
    before = detector._background.mean.copy()
    for left in range(200, 2400, 160):
        belt.pieces.append((left, 60, 40, 100, (230, 230, 225)))
    for travel in np.arange(1100, 4900, 25.0):
        detector.find(belt.frame(travel, seed=int(travel)), travel)
    assert abs((detector._background.mean - before)[:, 30:80].mean()) < 6


def test_another_size_of_frame_begins_anew():
    """Another size of frame begins anew."""
    belt, detector = Belt(), Detector()
    learn(detector, belt)
    assert detector.find(Frame(np.zeros((100, 120, 3), dtype=np.uint8), 0.0, 1), 0.0) == []
    assert not detector.ready


def test_settings_are_refused_at_once():
    """Settings are refused at once."""
    with pytest.raises(SettingsError, match="direction"):
        Detector(direction="north")
