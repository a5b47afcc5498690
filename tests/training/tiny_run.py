"""A run of fine-tuning that takes a second: a network of 32 x 32 pixels, 24 photos of three coloured squares.

As a program, `python -m tests.training.tiny_run WORK PHOTOS`, it waits in its third epoch to be killed.
"""

from __future__ import annotations

import csv
import signal
import sys
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin  # noqa: F401 - the plug-in registers the format

from binsight.imaging import PreprocessSpec, prepare_photo
from binsight.training.augment.settings import AugmentSettings
from binsight.training.fine_tune.settings import FineTuneSettings
from binsight.training.photos import LabelledPhotos, PhotoStore, decode_for_augmentation, open_photo

SPEC = PreprocessSpec(size=(32, 32), filter="bilinear")
SEED = 5
SETTINGS = FineTuneSettings(
    epochs=4,
    batch_size=8,
    learning_rate=5e-3,
    warmup_epochs=0.5,
    label_smoothing=0.05,
    ema_decay=0.8,
    augment=AugmentSettings(crop_scale=(0.7, 1.0), flip_horizontal=0.5, colour=0.5, brightness=0.2, background=0.5),
)


def write_photos(folder: Path, count: int = 24, seed: int = 0) -> LabelledPhotos:
    """Make photos of squares in red, green and blue on a grainy sheet; the green ones are biodegradable."""
    rng, paths = np.random.default_rng(seed), []
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.arange(count) % 3
    for i, label in enumerate(labels):
        image = np.full((40, 48, 3), 120, np.uint8) + rng.integers(0, 9, (40, 48, 1), np.uint8)
        top, left = rng.integers(4, 12, 2)
        image[top : top + 22, left : left + 26] = 60
        image[top : top + 22, left : left + 26, label] = rng.integers(180, 255)
        paths.append(folder / f"{i:02}.png")
        Image.fromarray(image).save(paths[-1])
    return LabelledPhotos(paths, labels, labels == 1)


def read_history(path: Path):
    """The epochs that `write_history` wrote, exactly."""
    from binsight.training.fine_tune.history import EpochRecord  # noqa: PLC0415

    with path.open(encoding="utf-8", newline="") as file:
        return [
            EpochRecord(int(row.pop("epoch")), **{key: float(value) if value else None for key, value in row.items()})
            for row in csv.DictReader(file)
        ]


def small_network(*, biodegradable: bool = True, seed: int = 1):
    """Three convolutions with batch normalisation and dropout, the same for the same seed."""
    import keras  # noqa: PLC0415 - takes seconds

    from binsight.training.fine_tune.network import build_network  # noqa: PLC0415

    keras.utils.set_random_seed(seed)
    images = keras.Input((32, 32, 3))
    value = keras.layers.Rescaling(1 / 127.5, -1)(images)
    for number, channels in enumerate((6, 8, 12)):
        value = keras.layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False, name=f"conv{number}")(value)
        value = keras.layers.BatchNormalization(name=f"norm{number}")(value)
        value = keras.layers.ReLU(name=f"relu{number}")(value)
    backbone = keras.Model(images, value, name="backbone")
    return build_network(backbone, classes=3, biodegradable=biodegradable, dropout=0.1)


def run(work: Path, photos: Path, **options):
    """Fine-tune the small network on photos that are made if need be; options beyond settings go to `fine_tune`."""
    network = options.pop("network", None) or small_network()
    settings = options.pop("settings", SETTINGS)
    train, val = write_photos(photos / "train"), write_photos(photos / "val", 12, seed=1)
    return network, tune(network, train, val, settings, work=work, **options)


def tune(network, train, val, settings, *, seed=SEED, spec=SPEC, workers=2, memory=1_000_000_000, **options):
    """Fine-tune a network on photos, keeping so many bytes of their pixels."""
    from binsight.training.fine_tune.batches import TrainingBatches  # noqa: PLC0415
    from binsight.training.fine_tune.loop import fine_tune  # noqa: PLC0415
    from binsight.training.fine_tune.validation import predict_outputs  # noqa: PLC0415

    store = PhotoStore(train.paths, partial(decode_for_augmentation, size=spec.size), budget=memory)
    batches = TrainingBatches(train, 3, settings, seed, store, spec, workers)

    def predict():
        pixels = (open_photo(path, partial(prepare_photo, spec=spec)) for path in val.paths)
        return predict_outputs(network, pixels, len(val))

    return fine_tune(network, batches, val, predict, spec=spec, **options)


def _wait_in_third_epoch(done: int, _steps: int) -> None:
    """Say that the first of its three steps is done, and go no further."""
    if done == 7:
        print("here", flush=True)
        signal.pause()


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), progress=_wait_in_third_epoch)
