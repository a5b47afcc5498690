"""How well pieces are found on real belts, and what that costs a frame.

    python benchmarks/line_detect.py --belts ../shared/data/belt --pictures /tmp/boxes

Prints milliseconds of one core for a frame of 640 x 480 (camera watch, detection, tracking), and recall and precision
of boxes on single frames of a recycling line (`line_frames`); the empty belt is learnt from these frames themselves. A
box is found when it overlaps a labelled one by half of their union; recall also by half of the labelled box, since
pieces that touch are one blob. `--pictures` takes the frames with their boxes, to look at: the frames themselves may
not be passed on, so that none is in the documentation.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from binsight.line.camera import CameraWatch
from binsight.line.detect import Detector
from binsight.line.records import Box, Frame
from binsight.line.sources.video import read_video
from binsight.line.track import Tracker

_BELT = (0.1, 0.0, 0.93, 1.0)  # without the frame at both sides


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--belts", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, help="a folder for the frames with their boxes")
    options = parser.parse_args()
    measure_speed(options.belts / "linescan" / "atest_1.mp4")
    measure_boxes(options.belts / "line_frames", options.pictures)


def measure_speed(clip: Path) -> None:
    """CPU time of each stage over a busy clip, brought to 640 x 480."""
    shots = [shot.decode() for shot in read_video(str(clip))][:400]
    images = [np.asarray(Image.fromarray(image).resize((640, 480))) for image in shots]
    detector, tracker, watch = Detector(direction="up", field_mm=744, min_piece_mm=50), Tracker(), CameraWatch()
    detector.learn(images[::8])
    costs = np.zeros((len(images), 3))
    for number, image in enumerate(images):
        frame = Frame(image, number / 25, number)
        marks = [time.thread_time()]
        watch.look(frame)
        marks.append(time.thread_time())
        blobs = detector.find(frame, 15.5 * number)
        marks.append(time.thread_time())
        assert detector.field is not None  # noqa: S101
        tracker.update(blobs, detector.field, travel_mm=15.5 * number, at_s=number / 25)
        marks.append(time.thread_time())
        costs[number] = 1000 * np.diff(marks)
    names = (*("camera watch", "detection", "tracking"), "detection + tracking")
    table = np.column_stack([costs, costs[:, 1:].sum(axis=1)])
    for name, column in zip(names, table.T, strict=True):
        print(f"{name:22} {np.mean(column):5.2f} ms a frame, p99 {np.percentile(column, 99):5.2f} ms")


def measure_boxes(folder: Path, pictures: Path | None) -> None:
    """Recall and precision over single frames."""
    with (folder / "boxes.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    names = sorted({row["frame"] for row in rows})
    images = [np.asarray(Image.open(folder / name).convert("RGB")) for name in names]
    detector = Detector(region=_BELT, direction="down", field_mm=900, min_piece_mm=90)
    print(f"empty belt learnt from {len(images)} frames with pieces: {detector.learn(images)}")
    labelled = reached = found = boxes = right = 0
    for name, image in zip(names, images, strict=True):
        truth = [Box(*(float(row[key]) for key in ("x0", "y0", "x1", "y1"))) for row in rows if row["frame"] == name]
        seen = [blob.box for blob in detector.find(Frame(image, 0.0, 0), 0.0)]
        if pictures is not None:
            draw_boxes(image, seen, pictures / name)
        overlaps = np.array([[_overlap(a, b) for b in seen] for a in truth]).reshape(len(truth), len(seen))
        areas, others = np.array([_area(box) for box in truth]), np.array([_area(box) for box in seen])
        union = areas[:, None] + others[None, :] - overlaps
        fits: NDArray[np.bool_] = overlaps >= union / 2
        labelled, boxes = labelled + len(truth), boxes + len(seen)
        found, right = found + int(fits.any(axis=1).sum()), right + int(fits.any(axis=0).sum())
        reached += int((overlaps.max(axis=1, initial=0) >= areas / 2).sum())
    print(f"labelled {labelled}, in a blob {reached / labelled:.1%}, with a box of its own {found / labelled:.1%}")
    print(f"boxes {boxes}, of these on a labelled piece {right / max(boxes, 1):.1%}")


def draw_boxes(image: NDArray[np.uint8], boxes: list[Box], path: Path) -> None:
    """Write the frame with its boxes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    for box in boxes:
        draw.rectangle([box.left, box.top, box.right - 1, box.bottom - 1], outline="lime", width=2)
    picture.save(path)


def _area(box: Box) -> float:
    return box.width * box.height


def _overlap(a: Box, b: Box) -> float:
    width, height = min(a.right, b.right) - max(a.left, b.left), min(a.bottom, b.bottom) - max(a.top, b.top)
    return max(0.0, width) * max(0.0, height)


if __name__ == "__main__":
    main()
