"""Time the original project's tuning grid on cached features, and compare it with plain Keras `fit` on photos.

    python benchmarks/tuning_grid.py ../shared/data/waste8 --weights-dir ../shared/weights

The grid is that of the course project: 4 learning rates for 10 epochs each, 3 inner sizes for 10, 5 dropouts for 20, in
all 170 epochs over `train` with a look at `val` after each. The backbone is frozen Xception at 150 pixels; its features
are computed once (timed apart) and kept in `--cache`.

Keras does the same on photos with `fit`: every epoch runs the frozen backbone anew. Four epochs on a part of the photos
are run, the fastest after the first counts, and the time is scaled by the number of photos and epochs. Decoding is left
out, in favour of Keras: its photos are ready in memory.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress, TaskID

from binsight.dataset import scan
from binsight.dataset.labels import adopt_taxonomy
from binsight.imaging import prepare_photo, read_photo
from binsight.pipeline.backbone import ChosenBackbone, choose_backbone
from binsight.pipeline.presets import resolve_config
from binsight.predictor import available_cores
from binsight.taxonomy import builtin_taxonomy
from binsight.training.features import FeatureExtractor
from binsight.training.heads.original import Experiment, OriginalGrid, best_experiment, run_grid
from binsight.training.heads.small_fit import FeatureSet
from binsight.training.heads.small_network import SmallNetworkSettings

SIZE = 150
BATCH = 32
GOAL_S = 300
REPEATS = 3  # of Keras, the fastest counts


@dataclass
class Timing:
    """Seconds on the clock and seconds of computing, the latter of all threads together."""

    wall: float = 0.0
    cpu: float = 0.0


def main() -> None:
    """Run both, print a table."""
    arguments = _arguments()
    flags = {"preset": "original", "backbone-size": str(SIZE)}
    config = resolve_config(flags=flags | ({"weights-dir": arguments.weights_dir} if arguments.weights_dir else {}))
    chosen = choose_backbone(config)
    photos = {name: _photos(arguments.data, name) for name in ("train", "val")}

    known = len(list(arguments.cache.glob("features-*"))) if arguments.cache.is_dir() else 0
    with _timed() as features_time:
        sets = _features(chosen, photos, arguments.cache)
    experiments: list[Experiment] = []
    with _timed() as grid_time:
        run_grid(
            sets["train"],
            sets["val"],
            classes=len(builtin_taxonomy("waste8")),
            grid=OriginalGrid(),
            base=SmallNetworkSettings(batch_size=BATCH),
            workers=available_cores(),
            on_experiment=experiments.append,
        )
    for step in ("learning_rate", "inner_size", "dropout"):
        own = [e for e in experiments if e.step == step]
        values = ", ".join(f"{e.value:g}: {e.accuracy:.2%}" for e in own)
        print(f"{step}: {values}; best {best_experiment(own).value:g}")
    epochs = sum(len(e.result.history) for e in experiments)
    count = {name: len(labels) for name, (_, labels) in photos.items()}
    print(f"{count['train']} photos in train, {count['val']} in val; {epochs} epochs; {available_cores()} cores")
    note = "; --cache was not empty, so some may have been there" if known else ""
    print(f"feature pass: {features_time.wall:.1f} s ({features_time.cpu:.1f} s of computing){note}")
    print(f"grid on features: {grid_time.wall:.1f} s ({grid_time.cpu:.1f} s of computing); goal: {GOAL_S} s")
    if not arguments.keras_photos:
        return
    per_photo = _time_keras(chosen, photos["train"][0], photos["train"][1], arguments.keras_photos)
    total = epochs * (per_photo["fit"] * count["train"] + per_photo["evaluate"] * count["val"])
    print(
        f"Keras fit: {1000 * per_photo['fit']:.1f} ms a photo, evaluate {1000 * per_photo['evaluate']:.1f} ms, on "
        f"{arguments.keras_photos} photos; for the grid {total:.0f} s"
    )
    both = features_time.wall + grid_time.wall
    print(f"Keras takes {total / grid_time.wall:.0f} times as long; {total / both:.1f} times with the feature pass")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with train/<class>/ and val/<class>/ of waste8")
    parser.add_argument("--weights-dir", help="folder with xception_imagenet_notop.safetensors")
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="where features are kept")
    parser.add_argument("--keras-photos", type=int, default=128, help="photos that Keras is timed on; 0 for none")
    return parser.parse_args()


@contextmanager
def _timed() -> Iterator[Timing]:
    timing, wall, cpu = Timing(), time.perf_counter(), time.process_time()
    yield timing
    timing.wall, timing.cpu = time.perf_counter() - wall, time.process_time() - cpu


def _photos(data: Path, split: str) -> tuple[list[Path], Any]:
    found = adopt_taxonomy(scan(data), builtin_taxonomy("waste8")).sound().in_split(split)
    return [found.file(sample) for sample in found], found.labels


def _show(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def _features(chosen: ChosenBackbone, photos: dict[str, tuple[list[Path], Any]], cache: Path) -> dict[str, FeatureSet]:
    graph = chosen.to_onnx().SerializeToString()
    extractor = FeatureExtractor(graph, chosen.spec, cache=cache, workers=available_cores())
    mask = np.asarray(builtin_taxonomy("waste8").biodegradable_mask)
    sets = {}
    for name, (paths, labels) in photos.items():
        with Progress() as bar:
            task = bar.add_task(f"Features of {name}")
            rows = extractor.extract(paths, progress=partial(_show, bar, task))
        sets[name] = FeatureSet([rows], labels, mask[labels])
    return sets


def _time_keras(chosen: ChosenBackbone, paths: list[Path], labels: Any, count: int) -> dict[str, float]:
    """Seconds a photo of `fit` and of `evaluate`, with the original's network: the backbone frozen, Adam."""
    import keras  # noqa: PLC0415 - after the grid: its threads would take part in it

    from binsight.training.fine_tune.network import build_network  # noqa: PLC0415 - needs Keras

    some = np.linspace(0, len(paths) - 1, count).round().astype(int)
    images = np.stack([prepare_photo(read_photo(paths[i]), chosen.spec) for i in some])
    mask = np.asarray(builtin_taxonomy("waste8").biodegradable_mask)
    network = build_network(chosen.build(), classes=len(mask), biodegradable=True, inner_size=100, dropout=0.2)
    network.get_layer("backbone").trainable = False
    network.compile(
        keras.optimizers.Adam(1e-3),
        loss={
            "logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "biodegradable_logit": keras.losses.BinaryCrossentropy(from_logits=True),
        },
    )
    truth = {"logits": labels[some], "biodegradable_logit": mask[labels[some]].astype(np.float32)[:, None]}
    seconds = {}
    for name, run in (("fit", network.fit), ("evaluate", network.evaluate)):
        run(images, truth, batch_size=BATCH, verbose=0)  # compiles
        times = []
        for _ in range(REPEATS):
            with _timed() as timing:
                run(images, truth, batch_size=BATCH, verbose=0)
            times.append(timing.wall / count)
        seconds[name] = min(times)
    return seconds


if __name__ == "__main__":
    main()
