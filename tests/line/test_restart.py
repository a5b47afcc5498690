"""What a line that is started anew knows, and what it must not count again."""

from __future__ import annotations

import numpy as np
import pytest

from binsight.line.detect import Detector
from binsight.line.field import Field
from binsight.line.records import Blob, Box, Frame
from binsight.line.simulate.plan import PlannedPiece
from binsight.line.simulate.scene import Scene
from binsight.line.track import Tracker

FIELD = Field.of((480, 640), field_mm=640)


def scene() -> Scene:
    """Return a belt with one red card, far along it."""
    card = np.full((60, 60, 3), (220, 40, 30), np.uint8)
    piece = PlannedPiece(0, 0, 5000.0, 0.5, 0, mirrored=False)
    return Scene([card], [piece], size=(240, 320), rng=np.random.default_rng(0))


def learnt() -> bytes:
    """Return what a detector knows of that belt when it is empty."""
    detector = Detector()
    assert detector.learn(scene().render(75.0 * i) for i in range(16))
    return detector.dump()


def test_a_restored_belt_finds_the_first_piece() -> None:
    """No frame of an empty belt is needed, and what is found is what was found before."""
    detector = Detector()
    assert detector.restore(learnt())
    assert detector.ready
    (blob,) = detector.find(Frame(scene().render(5000.0), 0.0, 1), 0.0)
    assert blob.box.left < 224 < blob.box.right  # at 420 of 600 mm


@pytest.mark.parametrize(
    "detector",
    [Detector(field_mm=500), Detector(direction="left"), Detector(region=(0, 0, 0.9, 1))],
    ids=["scale", "direction", "region"],
)
def test_the_belt_of_another_camera_is_not_taken_over(detector: Detector) -> None:
    """It is learnt anew."""
    assert not detector.restore(learnt())
    assert not detector.ready


@pytest.mark.parametrize("cut", [0, 10, 1000, -30])
def test_a_damaged_file_is_no_belt(cut: int) -> None:
    """A write that broke off, or no file of ours."""
    data = learnt()
    assert not Detector().restore(data[:cut])
    assert not Detector().restore(b"\x00" * 1000)
    assert not Detector().restore(data[:300] + b"\xff" * 300 + data[600:])


def follow(tracker: Tracker, *centres: float) -> int:
    """Show a piece of 100 mm at these places, 20 mm of travel after each other; how often it was counted."""
    counted = 0
    for step, centre in enumerate(centres):
        blob = Blob(Box(centre - 50, 100, centre + 50, 200), 10_000)
        counted += len(tracker.update([blob], FIELD, travel_mm=20.0 * step, at_s=0.1 * step).crossed)
    return counted


def test_what_lies_beyond_the_line_at_the_start_was_counted_before() -> None:
    """A piece that was counted, and is still in view when the line is started anew."""
    assert follow(Tracker(line=0.5), *range(330, 550, 20)) == 0


def test_what_lies_before_the_line_at_the_start_is_counted() -> None:
    """It was not yet counted by the line that was killed."""
    assert follow(Tracker(line=0.5), *range(300, 550, 20)) == 1
