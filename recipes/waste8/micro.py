r"""Train the `waste8-micro` bundle: a network for microcontrollers, distilled from `waste8`.

    pip install -e ".[train]"
    python recipes/waste8/micro.py --data ../shared/data --cache .cache/micro

How: the network is a chain of convolutions that begins as EfficientNet-Lite0's first blocks, pruned (micro_network.py).
It learns from altered views of all photos whose class is known, from their labels and from what the teacher says of
the same view (Hinton et al. 2015; Beyer et al. 2022), and from photos of no class to be sure of none (outlier
exposure). What all settings mean: micro.toml.

In the last epochs it computes with what is rounded to 8 bits, as a microcontroller will, and learns to live with it.

Every epoch is kept; a run that was stopped goes on where it was. `--epochs` beyond those of a finished run go on with a
new cosine from its last weights.

References:
    Hinton et al. 2015, arXiv 1503.02531; Beyer et al. 2022, arXiv 2106.05237 (teacher and pupil see the same);
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

import keras
import numpy as np
import tensorflow as tf
from micro_bundle import read_pictures, write_micro_bundle
from micro_network import (
    Shape,
    build_network,
    fold_layers,
    kernels,
    normalise,
    round_activations,
    round_kernels,
    transplant,
)
from micro_photos import Photos, copies_among, list_photos, read_folders, read_split, twins_of_val
from micro_views import Views, degrade_batch
from numpy.typing import NDArray

from binsight.predictor import Predictor
from binsight.probability import softmax
from binsight.taxonomy import Taxonomy, builtin_taxonomy
from binsight.training.augment.settings import augment_strength
from binsight.training.fine_tune.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from binsight.training.fine_tune.optimizer import FineTuneOptimizer, rate_share

HERE = Path(__file__).parent


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
    tf.config.threading.set_intra_op_parallelism_threads(recipe["training"]["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(recipe["seed"])
    taxonomy = builtin_taxonomy("waste8")
    val = read_split(arguments.data / "waste8", "val", taxonomy)
    data = read_data(arguments.data, recipe, taxonomy, arguments.cache)
    say(f"{len(data.known)} photos of known class, {len(data.unknown)} of none, {len(val)} to validate")
    run = Distillation(recipe, data, val, taxonomy, arguments.cache)
    if not arguments.pack:
        run.train()
    weights, epochs = run.last()
    run.round(False)
    run.network.set_weights(weights)
    write_micro_bundle(
        fold_layers(run.network),
        recipe,
        root=arguments.data,
        known=data.known,
        val=val,
        taxonomy=taxonomy,
        out=arguments.out,
        float_accuracy=run.accuracy(weights),
        epochs=epochs,
        with_test=arguments.test,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with waste8/, more/ and trashnet/")
    parser.add_argument("--recipe", type=Path, default=HERE / "micro.toml")
    parser.add_argument("--epochs", type=int, help="other than in the recipe")
    parser.add_argument("--cache", type=Path, default=Path(".cache/micro"), help="where views and checkpoints are kept")
    parser.add_argument("--pack", action="store_true", help="do not train; write the bundle of the last epoch")
    parser.add_argument("--test", action="store_true", help="measure test too: once, at the end")
    parser.add_argument("--out", type=Path, default=Path("src/binsight/models/waste8-micro"))
    return parser.parse_args()


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


class Distillation:
    """One run: network, views, optimizer and where it stands."""

    def __init__(self, recipe: dict[str, Any], data: Data, val: Photos, taxonomy: Taxonomy, cache: Path) -> None:
        self.recipe, self.data, self.val = recipe, data, val
        self.settings, self.folder = recipe["training"], cache / f"run-{recipe['seed']}"
        self.shape = network_shape(recipe)
        self.network = build_network(self.shape, classes=len(taxonomy), dropout=recipe["network"]["dropout"])
        self.teacher = Predictor.load(recipe["teacher"]["model"], threads=self.settings["threads"])
        augment = augment_strength("strong", **recipe["views"]["augment"])
        self.views = Views(
            data.paths, self.teacher.spec, augment, side=recipe["views"]["side"], folder=cache, seed=recipe["seed"]
        )
        self.seen = val_pictures(val, self.shape)
        variables = self.network.trainable_variables
        self.optimizer = FineTuneOptimizer(
            weight_decay=self.settings["weight_decay"], ema_decay=self.settings["ema_decay"]
        )
        self.optimizer.build(variables)
        self.weights = photo_weights(data, len(taxonomy), recipe)
        self.round(False)

    def last(self) -> tuple[list[NDArray[np.float32]], int]:
        """The mean weights of the last epoch that was kept, and its number."""
        kept = read_checkpoint(self.folder / "mean.npz")
        return kept.groups["weights"], int(kept.about["epoch"])

    def train(self) -> None:
        """Train from where the last run stopped to the end; keeps the state of every epoch."""
        first = self._resume()
        for epoch in range(first, self.settings["epochs"]):
            started = time.monotonic()
            self._round_from(epoch)
            loss = self._run_epoch(epoch)
            weights = self._mean_weights()
            reached = self.accuracy(weights)
            say(f"epoch {epoch + 1}: loss {loss:.3f}, val accuracy {reached:.2%}, {time.monotonic() - started:.0f} s")
            self._keep(epoch + 1, weights, reached)

    def _round_from(self, epoch: int) -> None:
        """Round kernels and activations in the last epochs."""
        is_last = epoch >= self.settings["epochs"] - self.settings["rounded_epochs"]
        if is_last and not self.rounded:
            self.round(True)

    def round(self, rounded: bool) -> None:
        """Compute from now on as in integers, or exactly."""
        self.rounded = rounded
        round_activations(self.network, rounded)
        self.step = tf.function(self._step, reduce_retracing=True)

    def _resume(self) -> int:
        path = self.folder / "state.npz"
        if not path.exists():
            start = self.views.view(0)
            some = np.random.default_rng(0).choice(len(start), 512, replace=False)
            room = (start.shape[1] - self.shape.size) // 2
            window = start[np.sort(some)][:, room : room + self.shape.size, room : room + self.shape.size]
            transplant(self.network, self.shape, normalise(window, self.shape.channels))
            return 0
        state = read_checkpoint(path)
        self.network.set_weights(state.groups["weights"])
        for variable, value in zip(self.optimizer.variables, state.groups["optimizer"], strict=True):
            variable.assign(value)
        say(f"goes on after epoch {state.about['epoch']}")
        return int(state.about["epoch"])

    def _run_epoch(self, epoch: int) -> float:
        rng = np.random.default_rng([self.recipe["seed"], epoch])
        number = epoch % self.recipe["views"]["count"]
        view, targets = self.views.view(number), self._targets(self.views.answers(number, self.teacher))
        batch, losses = self.settings["batch_size"], []
        order = rng.permutation(len(targets))
        steps = len(order) // batch
        for number in range(steps):
            rows = np.sort(order[number * batch : (number + 1) * batch])
            pictures = degrade_batch(view[rows], self.shape.size, rng)
            self.optimizer.learning_rate.assign(self._rate(epoch * steps + number, steps))
            losses.append(
                self.step(
                    normalise(pictures, self.shape.channels), targets[rows], self.weights[rows].astype(np.float32)
                )
            )
        return float(np.mean([float(loss) for loss in losses]))

    def _rate(self, step: int, steps: int) -> float:
        whole, warmup = self.settings["epochs"] * steps, round(self.settings["warmup_epochs"] * steps)
        return float(self.settings["learning_rate"] * rate_share(step, steps=whole, warmup=warmup, final=0.01))

    def _targets(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Label and teacher mixed; photos of no class: all classes alike and teacher mixed."""
        teacher = self.recipe["teacher"]
        said = softmax(logits, temperature=teacher["temperature"])
        classes, smoothing = logits.shape[1], self.settings["label_smoothing"]
        labels = np.full_like(said, 1 / classes)
        known = np.arange(len(self.data.known))
        labels[known] *= smoothing
        labels[known, self.data.known.labels] += 1 - smoothing
        mixed: NDArray[np.float32] = (teacher["share"] * said + (1 - teacher["share"]) * labels).astype(np.float32)
        return mixed

    def _step(self, pictures: Any, targets: Any, weights: Any) -> Any:
        exact = [tf.identity(kernel) for kernel in kernels(self.network)]
        if self.rounded:
            round_kernels(self.network)
        with tf.GradientTape() as tape:
            logits = self.network(pictures, training=True)
            each = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            loss = tf.reduce_mean(each * weights)
        gradients = tape.gradient(loss, self.network.trainable_variables)
        for kernel, value in zip(kernels(self.network), exact, strict=True):
            kernel.assign(value)
        self.optimizer.apply(gradients, self.network.trainable_variables)
        return loss

    def _mean_weights(self) -> list[NDArray[np.float32]]:
        """The running means of what is trained, and the statistics as they are."""
        means = {id(v): m for v, m in zip(self.network.trainable_variables, self.optimizer.means, strict=True)}
        return [np.asarray(means.get(id(v), v)) for v in self.network.weights]

    def accuracy(self, weights: list[NDArray[np.float32]]) -> float:
        """On the photos that validate."""
        own = self.network.get_weights()
        self.network.set_weights(weights)
        if self.rounded:
            round_kernels(self.network)
        logits = self.network.predict(self.seen, batch_size=94, verbose=0)
        self.network.set_weights(own)
        return float((logits.argmax(axis=1) == self.val.labels).mean())

    def _keep(self, epoch: int, weights: list[NDArray[np.float32]], reached: float) -> None:
        about = {"epoch": epoch, "val_accuracy": reached}
        optimizer = [np.asarray(variable) for variable in self.optimizer.variables]
        groups = {"weights": self.network.get_weights(), "optimizer": optimizer}
        write_checkpoint(self.folder / "mean.npz", Checkpoint(about, {"weights": weights}))
        write_checkpoint(self.folder / "state.npz", Checkpoint(about, groups))


def network_shape(recipe: dict[str, Any]) -> Shape:
    """What the recipe says of the network."""
    found = recipe["network"]
    blocks = tuple((number, kept) for number, kept in found["blocks"])
    return Shape(found["size"], found["channels"], blocks, found["head"], found["carry"])


def val_pictures(val: Photos, shape: Shape) -> NDArray[np.float32]:
    """The photos that validate, as the network wants them."""
    return normalise(read_pictures(val.paths, shape.size), shape.channels)


def photo_weights(data: Data, classes: int, recipe: dict[str, Any]) -> NDArray[np.float64]:
    """How much each photo counts: rare classes more, photos of no class less; 1 on average over the known."""
    counts = np.bincount(data.known.labels, minlength=classes)
    weights = (counts.mean() / counts[data.known.labels]) ** recipe["training"]["class_balance"]
    unknown = np.full(len(data.unknown), recipe["teacher"]["unknown_weight"])
    return np.concatenate([weights / weights.mean(), unknown])


if __name__ == "__main__":
    main()
