r"""Train the `waste8-micro` bundle: a network for microcontrollers, distilled from `waste8`.

    pip install -e ".[train]" torch
    python recipes/waste8/micro.py --data ../shared/data --cache .cache/micro

How: the network is a chain of convolutions that begins as EfficientNet-Lite0's first blocks, pruned (micro_network.py).
It learns, in PyTorch (micro_distil.py), from new views of all photos in every epoch (micro_views.py): from the labels
and from what the teacher says of the same view, and from photos of no class to be sure of none (outlier exposure). In
the last epochs it computes with what is rounded to 8 bits, as a microcontroller will, and learns to live with it.
What all settings mean: micro.toml.

A graphics card needs about five minutes, two processor cores half a day. Every epoch is kept; a run that was stopped
goes on where it was.

References:
    Hendrycks et al. 2019, arXiv 1812.04606 (outlier exposure).
"""

from __future__ import annotations

import argparse
import json
import os
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import torch._dynamo  # isort: skip  # noqa: F401  where there is Triton, it crashes unless it comes before TensorFlow

import keras
import numpy as np
import onnx
from micro_bundle import read_pictures, write_micro_bundle
from micro_distil import Distillation, Lesson
from micro_network import Shape, build_network, fold_layers, normalise, transplant
from micro_photos import Photos, copies_among, list_photos, read_folders, read_split, twins_of_val
from numpy.typing import NDArray

from binsight.bundle.container import MODEL_NAME
from binsight.imaging import prepare_photo
from binsight.predictor import Predictor
from binsight.taxonomy import Taxonomy, builtin_taxonomy
from binsight.training.photos import open_photo

HERE = Path(__file__).parent
_SEEN = 512  # photos that refit and normalise the pruned network


@dataclass(frozen=True)
class Data:
    """What is learnt from: known photos first, then those of no class."""

    known: Photos
    unknown: list[Path]

    @property
    def paths(self) -> list[Path]:
        """All files."""
        return [*self.known.paths, *self.unknown]


def main() -> None:
    """Run the recipe."""
    arguments = _arguments()
    recipe = tomllib.loads(arguments.recipe.read_text(encoding="utf-8"))
    recipe["training"]["epochs"] = arguments.epochs or recipe["training"]["epochs"]
    keras.utils.set_random_seed(recipe["seed"])
    taxonomy = builtin_taxonomy("waste8")
    val = read_split(arguments.data / "waste8", "val", taxonomy)
    data = read_data(arguments.data, recipe, taxonomy, arguments.cache)
    say(f"{len(data.known)} photos of known class, {len(data.unknown)} of none, {len(val)} to validate")
    run = open_run(recipe, data, val, taxonomy, arguments.cache)
    if arguments.pack:
        run.resume()
    else:
        run.train()
    write_micro_bundle(
        fold_layers(run.network),
        recipe,
        root=arguments.data,
        known=data.known,
        val=val,
        taxonomy=taxonomy,
        out=arguments.out,
        float_accuracy=run.accuracy(),
        epochs=run.epoch,
        with_test=arguments.test,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with waste8/, more/ and trashnet/")
    parser.add_argument("--recipe", type=Path, default=HERE / "micro.toml")
    parser.add_argument("--epochs", type=int, help="other than in the recipe")
    parser.add_argument("--cache", type=Path, default=Path(".cache/micro"), help="where photos and the state are kept")
    parser.add_argument("--pack", action="store_true", help="do not train; write the bundle of the last epoch")
    parser.add_argument("--test", action="store_true", help="measure test too: once, at the end")
    parser.add_argument("--out", type=Path, default=Path("src/binsight/models/waste8-micro"))
    arguments = parser.parse_args()
    if not (arguments.data / "waste8" / "manifest.csv").is_file():
        parser.error(f"expected waste8/manifest.csv in {arguments.data}, which has none; name the folder of the photos")
    return arguments


def say(text: str) -> None:
    """Print with the time."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def read_data(root: Path, recipe: dict[str, Any], taxonomy: Taxonomy, cache: Path) -> Data:
    """The photos to learn from, without copies of those that judge the network."""
    train = read_split(root / "waste8", "train", taxonomy)
    train = train.take(np.flatnonzero(~twins_of_val(train)))
    folders = [(name, root / folder) for name, found in recipe["photos"].items() for folder in found]
    more = read_folders(folders, taxonomy)
    judging = [read_split(root / "waste8", split, taxonomy) for split in ("val", "test")]
    known = _join([train, more])
    kept_file = cache / "kept.json"
    if not kept_file.exists():
        groups = copies_among(_join([known, *judging]), taxonomy)
        kept = np.flatnonzero(~np.isin(groups[: len(known)], groups[len(known) :]))
        cache.mkdir(parents=True, exist_ok=True)
        kept_file.write_text(json.dumps([known.paths[i].as_posix() for i in kept]))
    wanted = set(json.loads(kept_file.read_text()))
    known = known.take(np.array([i for i, path in enumerate(known.paths) if path.as_posix() in wanted]))
    unknown = [path for folder in recipe["unknown"]["folders"] for path in list_photos(root / folder)]
    return Data(known, unknown)


def _join(parts: list[Photos]) -> Photos:
    return Photos(
        [path for part in parts for path in part.paths],
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.sources for part in parts]),
    )


def open_run(recipe: dict[str, Any], data: Data, val: Photos, taxonomy: Taxonomy, cache: Path) -> Distillation:
    """A run at its beginning: the donor's weights in the network, and all that it learns from."""
    shape, teacher = network_shape(recipe), Predictor.load(recipe["teacher"]["model"])
    photos = _prepared(data.paths, teacher, cache / "photos.npy")
    network = build_network(shape, classes=len(taxonomy), dropout=recipe["network"]["dropout"])
    some = np.random.default_rng(recipe["seed"]).choice(len(photos), min(_SEEN, len(photos)), replace=False)
    transplant(network, shape, normalise(read_pictures([data.paths[i] for i in some], shape.size), shape.channels))
    lesson = Lesson(
        photos,
        wanted_labels(data, len(taxonomy), recipe["training"]["label_smoothing"]),
        photo_weights(data, len(taxonomy), recipe),
        read_pictures(val.paths, shape.size),
        val.labels,
    )
    manifest = teacher.bundle.manifest
    graph = onnx.load_model_from_string(teacher.bundle.read(MODEL_NAME))
    temperature = manifest.temperature * recipe["teacher"]["temperature"]
    return Distillation(network, graph, temperature, lesson, recipe, cache / f"run-{recipe['seed']}.pt")


def _prepared(paths: list[Path], teacher: Predictor, kept: Path) -> NDArray[np.uint8]:
    """All photos as the teacher sees them, `(n, size, size, 3)`; kept in a file, 2 GB for 10,000."""
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft = kept.with_suffix(".part.npy")
        found = np.lib.format.open_memmap(draft, "w+", np.uint8, (len(paths), *teacher.spec.size, 3))
        for i, path in enumerate(paths):
            found[i] = open_photo(path, lambda photo: prepare_photo(photo, teacher.spec))
        found.flush()
        draft.replace(kept)
    photos: NDArray[np.uint8] = np.load(kept, allow_pickle=False)
    if len(photos) != len(paths):
        raise SystemExit(f"{kept} is of {len(photos)} other photos; remove it")
    return photos


def network_shape(recipe: dict[str, Any]) -> Shape:
    """What the recipe says of the network."""
    found = recipe["network"]
    blocks = tuple((number, kept) for number, kept in found["blocks"])
    return Shape(found["size"], found["channels"], blocks, found["head"], found["carry"])


def wanted_labels(data: Data, classes: int, smoothing: float) -> NDArray[np.float64]:
    """What each photo should be taken for, `(n, classes)`: its class, smoothed; photos of no class all alike."""
    labels = np.full((len(data.paths), classes), 1 / classes)
    known = np.arange(len(data.known))
    labels[known] *= smoothing
    labels[known, data.known.labels] += 1 - smoothing
    return labels


def photo_weights(data: Data, classes: int, recipe: dict[str, Any]) -> NDArray[np.float64]:
    """How much each photo counts: rare classes more, photos of no class less; 1 on average over the known."""
    counts = np.bincount(data.known.labels, minlength=classes)
    weights = (counts.mean() / counts[data.known.labels]) ** recipe["training"]["class_balance"]
    unknown = np.full(len(data.unknown), recipe["teacher"]["unknown_weight"])
    return np.concatenate([weights / weights.mean(), unknown])


if __name__ == "__main__":
    main()
