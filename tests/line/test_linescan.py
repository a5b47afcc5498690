"""Real belts: the clips whose objects are all labelled, counted against their labels."""

import csv
from dataclasses import dataclass
from pathlib import Path

import pytest

from binsight.line.detect import Detector
from binsight.line.records import Frame
from binsight.line.sources.video import read_video
from binsight.line.track import Tracker

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "belt" / "linescan"
LABELLED = ("amanual_2.mp4", "atest_1.mp4")  # in the other four, chips are not labelled

av = pytest.importorskip("av", reason="video needs the extra line-video")
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the belt clips are not here")


@dataclass(frozen=True)
class Result:
    objects: int
    groups: int  # of objects that touch: by the contract one piece each
    found: int  # objects that lie in a counted piece
    pieces: int
    false: int  # pieces without an object


def count(clip: str) -> Result:
    """Learn from the clip itself, then count it; boxes on the belt, in pixels from the clip's upper edge."""
    images = [shot.decode() for shot in read_video(str(FOLDER / clip))]
    height = images[0].shape[0]
    step = height / 48  # 16 of 1,024 pixels of the strip, scaled
    detector, tracker = Detector(direction="up", field_mm=2 * height, min_piece_mm=50), Tracker()
    assert detector.learn(images[:: len(images) // 48])
    boxes: dict[int, tuple[float, ...]] = {}
    counted: set[int] = set()

    for number, image in enumerate(images):
        blobs = detector.find(Frame(image, number / 25, number), 2 * step * number)
        field = detector.field
        assert field is not None
        tracking = tracker.update(blobs, field, travel_mm=2 * step * number, at_s=number / 25)
        for track in tracking.tracks:
            if track.measured:
                box = field.box(track.along, track.across)
                now = (box.left, box.top + step * number, box.right, box.bottom + step * number)
                old = boxes.get(track.number, now)
                boxes[track.number] = (*map(min, old[:2], now[:2]), *map(max, old[2:], now[2:]))
        counted |= {track.number for track in tracking.crossed}
    # What lay beyond the middle when the clip began never crossed it.
    crossed = {n: box for n, box in boxes.items() if n in counted and (box[1] + box[3]) / 2 > height / 2}
    return compare(clip, crossed, start=height / 2, end=step * (len(images) - 4) + height / 2)


def compare(clip: str, boxes: dict[int, tuple[float, ...]], *, start: float, end: float) -> Result:
    """Give each object whose centre passed the middle of the picture to the counted piece that fits it best."""
    with (FOLDER / "objects.csv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["clip"] == clip]
    objects = [tuple(float(row[key]) for key in ("x0", "y0", "x1", "y1")) for row in rows]
    objects = [box for box in objects if start < (box[1] + box[3]) / 2 < end]
    owners = []
    for box in objects:
        inside = {number: overlap(box, piece) for number, piece in boxes.items()}
        able = {n: o / (area(boxes[n]) + area(box) - o) for n, o in inside.items() if o > area(box) / 2}
        owners.append(max(able, key=able.__getitem__, default=None))
    false = set(boxes) - set(owners)
    return Result(
        len(objects), count_groups(objects), sum(owner is not None for owner in owners), len(boxes), len(false)
    )


def count_groups(objects) -> int:
    """Groups of objects whose boxes overlap by more than the labels' own tolerance of 2 pixels."""
    groups: list[list[tuple[float, ...]]] = []
    for box in objects:
        touching = [
            group
            for group in groups
            if any(
                min(box[2], other[2]) - max(box[0], other[0]) > 2 and min(box[3], other[3]) - max(box[1], other[1]) > 2
                for other in group
            )
        ]
        groups = [group for group in groups if group not in touching] + [
            [box, *(b for group in touching for b in group)]
        ]
    return len(groups)


def area(box):
    """Of a box."""
    return (box[2] - box[0]) * (box[3] - box[1])


def overlap(a, b):
    """Of two boxes."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def test_pieces_are_counted_within_two_in_a_hundred_and_none_twice():
    """Objects that touch are one piece, and each object lies in exactly one.

    Each goes to the piece that fits it best: one that was counted twice would leave a piece without object. Two dark
    tyres that touch a bright stone are not seen themselves.
    """
    results = [count(clip) for clip in LABELLED]
    groups, pieces = sum(r.groups for r in results), sum(r.pieces for r in results)
    assert groups == 61
    assert abs(pieces - groups) <= 0.02 * groups
    assert sum(result.false for result in results) == 0
    assert sum(r.found for r in results) >= 96  # of 98
