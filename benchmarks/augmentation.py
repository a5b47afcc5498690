"""What augmenting a photo costs, and by which library: ours (Pillow and NumPy), OpenCV, or Keras' layers.

    python benchmarks/augmentation.py
    python benchmarks/augmentation.py --photos DATA/train --count 256 --against keras opencv

All turn the same photos, decoded before, into 224 x 224 pictures by the same kinds of change: crop, flip, turn, shear,
zoom, shift, brightness, contrast, saturation, hue. Keras' layers work on whole batches of photos that were resized
before. Then ours does each kind alone, and the named strengths. Times are of the processor, summed over its cores, so
other work on the machine hardly counts; the best of several rounds. `--photos` takes a folder; without it, noise of
272 x 272 pixels is used, on which background replacement finds nothing to do. Of each folder in it, the photos with an
object on a plain background are counted, too.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from binsight.imaging import PreprocessSpec, decode_image, read_photo
from binsight.training.augment.backgrounds import find_foreground
from binsight.training.augment.photo import augment_photo
from binsight.training.augment.settings import STRENGTHS, AugmentSettings

Photos = list[NDArray[np.uint8]]
SIZE = 224
BATCH = 32
SPEC = PreprocessSpec(size=(SIZE, SIZE), filter="bilinear")
COMMON = AugmentSettings(
    crop_scale=(0.3, 1.0),
    crop_ratio=(0.75, 1.33),
    flip_horizontal=0.5,
    warp=1.0,
    rotation=30,
    shear=10,
    zoom=(0.75, 1.25),
    translation=0.1,
    colour=1.0,
    brightness=0.4,
    contrast=0.4,
    saturation=0.5,
    hue=20,
)
STRONG = STRENGTHS["strong"]
SINGLE = {
    "crop": AugmentSettings(crop_scale=(0.3, 1.0)),
    "crop and turn": AugmentSettings(crop_scale=(0.3, 1.0), warp=1.0, rotation=30),
    "colour": AugmentSettings(colour=1.0, brightness=0.4, contrast=0.4, saturation=0.5, hue=20),
    "blur": AugmentSettings(blur=1.0, blur_radius=2.0),
    "noise": AugmentSettings(noise=1.0),
    "downscale": AugmentSettings(downscale=1.0),
    "jpeg": AugmentSettings(jpeg=1.0),
    "erase": AugmentSettings(erase=1.0),
    "background": AugmentSettings(background=1.0),
}


def ours(photos: Photos, settings: AugmentSettings) -> None:
    """The project's own augmentation."""
    for i, photo in enumerate(photos):
        augment_photo(photo, SPEC, settings, np.random.default_rng([0, 0, i]), other=partial(photos.__getitem__, i - 1))


def opencv(photos: Photos) -> None:
    """The same changes by OpenCV, one affine transform and one colour matrix, on one thread."""
    import cv2  # noqa: PLC0415

    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    for photo in photos:
        height, width = photo.shape[:2]
        scale, angle, shear, zoom = rng.uniform((0.55, -0.5, -0.17, 0.75), (1.0, 0.5, 0.17, 1.25))
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ [[1, shear], [0, 1]]
        matrix = matrix * scale / zoom * [[width / SIZE], [height / SIZE]]
        middle = np.array([width, height]) * rng.uniform(0.4, 0.6, 2)
        affine = np.column_stack([matrix, middle - matrix @ [SIZE / 2, SIZE / 2]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        taken = cv2.warpAffine(photo, affine, (SIZE, SIZE), flags=flags, borderMode=cv2.BORDER_REFLECT)
        taken = taken[:, ::-1] if rng.random() < 0.5 else taken
        colours = np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3))
        cv2.transform(taken, np.column_stack([colours, rng.uniform(-20, 20, 3)]))


def keras_layers() -> Callable[[Photos], None]:
    """The same changes by Keras' preprocessing layers, compiled, on batches."""
    import keras  # noqa: PLC0415
    import tensorflow as tf  # noqa: PLC0415

    layers = keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomZoom((-0.25, 0.25)),
            keras.layers.RandomTranslation(0.1, 0.1),
            keras.layers.RandomRotation(30 / 360),
            keras.layers.RandomShear(0.17, 0.17),
            keras.layers.RandomBrightness(0.4, value_range=(0, 255)),
            keras.layers.RandomContrast(0.4, value_range=(0, 255)),
            keras.layers.RandomSaturation((0.25, 0.75), value_range=(0, 255)),
            keras.layers.RandomHue(20 / 180, value_range=(0, 255)),
        ]
    )
    run = tf.function(lambda batch: layers(tf.cast(batch, tf.float32), training=True))

    def augment(photos: Photos) -> None:
        resized = [np.asarray(Image.fromarray(photo).resize((SIZE, SIZE))) for photo in photos]
        for first in range(0, len(resized) - BATCH + 1, BATCH):
            run(np.stack(resized[first : first + BATCH])).numpy()

    return augment


def decode(data: list[bytes]) -> None:
    """Only decoding, as a network sees it in validation."""
    for photo in data:
        decode_image(photo, min_size=(SIZE, SIZE))


def processor_ms(work: Callable[[], object], count: int, rounds: int) -> float:
    """Milliseconds of processor time per photo: the least of several rounds, after one to warm up."""
    work()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times) / count * 1000


def read(folder: Path | None, count: int) -> list[bytes]:
    """Encoded photos: evenly spread over a folder, or JPEGs of noise."""
    if folder is not None:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
        return [read_photo(path) for path in files[:: max(1, len(files) // count)][:count]]
    rng, found = np.random.default_rng(0), []
    for _ in range(count):
        cells = Image.fromarray(rng.integers(0, 256, (34, 34, 3), np.uint8)).resize((272, 272))
        buffer = io.BytesIO()
        cells.save(buffer, "JPEG", quality=90)
        found.append(buffer.getvalue())
    return found


def plain_backgrounds(folder: Path, count: int) -> None:
    """Print for each class folder on how many of its photos an object on a plain background is found."""
    for name in sorted(path for path in folder.iterdir() if path.is_dir()):
        photos = [decode_image(data) for data in read(name, count)]
        found = sum(find_foreground(photo) is not None for photo in photos)
        print(f"plain background: {name.name:<16}{found:>14} of {len(photos)}", flush=True)


def main() -> None:
    """Print one row per library, kind of change and strength."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", nargs="*", default=[], choices=["keras", "opencv"])
    arguments = parser.parse_args()
    encoded = read(arguments.photos, arguments.count)
    photos = [decode_image(data) for data in encoded]
    rows: dict[str, Callable[[], object]] = {"decoding alone": lambda: decode(encoded)}
    rows["common changes, ours"] = lambda: ours(photos, COMMON)
    if "opencv" in arguments.against:
        rows["common changes, opencv"] = lambda: opencv(photos)
    if "keras" in arguments.against:
        layers = keras_layers()
        rows["common changes, keras"] = lambda: layers(photos)
    for name, settings in (
        SINGLE | dict(STRENGTHS) | {"strong but background": replace(STRONG, background=0.0)}
    ).items():
        rows[f"ours: {name}"] = partial(ours, photos, settings)
    print(f"{'':<34}{'ms per photo':>14}")
    for name, work in rows.items():
        print(f"{name:<34}{processor_ms(work, len(photos), arguments.rounds):>14.2f}", flush=True)
    if arguments.photos:
        plain_backgrounds(arguments.photos, arguments.count)


if __name__ == "__main__":
    main()
