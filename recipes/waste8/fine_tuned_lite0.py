r"""Train the `waste8` bundle: EfficientNet-Lite0 whose upper half is fine-tuned, in an hour or less on two cores.

    pip install -e ".[train]"
    python recipes/waste8/fine_tuned_lite0.py --data ../shared/data/waste8 \
        --unknown ../shared/data/not-waste --overwrite

How: heads are fitted on the frozen network first. Then everything behind block 10, counted from 0, is trained, on
activations of nine views of each photo: as it is, and eight strongly altered ones, half of those on plain sheets before
another background. The first blocks stay as ImageNet made them. Half the trained and half the original weights are
averaged (WiSE-FT), and the averages of three seeds are averaged again (a uniform soup). Every seed is measured by
itself too.

A run that was stopped goes on where it was. The same seeds give the same network on one kind of processor, on another
one that differs by a few photos of `val`. `--weights waste8` takes the weights of a bundle in place of training, to
calibrate and measure them anew. To measure on photographers whose photos were not trained on:

    python recipes/waste8/fine_tuned_lite0.py --data ../shared/data/waste8 --seeds 0 \
        --hold-out bhaktapur foodai leaf_ground vinai \
        --elsewhere metal_cans=../shared/data/trashnet/metal paper_waste=../shared/data/trashnet/paper \
                    paper_waste=../shared/data/trashnet/cardboard

Chosen on `val` and on those held-out photos: the backbone (`--backbone efficientnet_lite2` is no better and takes twice
the time), the size of the input (frozen, 97.3 % at 256 px; 97.2 % at 224, 96.7 % at 288, 96.4 % at 320), where the
trained part begins, the learning rate, the share of the average. What was tried beside it: docs/results.md. The photos
of `--unknown` report a figure, which was seen when the measure of unfamiliarity and its rim were chosen, on noise and
the example photos.

References:
    Kumar et al. 2022, arXiv 2202.10054 (heads first); Wortsman et al. 2022, arXiv 2109.01903 (WiSE-FT) and arXiv
    2203.05482 (soups).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from numpy.typing import NDArray
from onnx import load_from_string
from onnx.numpy_helper import to_array
from photos import (
    Photos,
    copies_among,
    digest,
    held_out,
    list_photos,
    read_folders,
    read_split,
    twins_of_val,
    write_noise,
)  # fmt: skip
from report import Judged, check_bundle, flat_metrics, record_calibration, say_epoch, seed_rows
from rich.progress import track

from binsight.bundle import (
    CalibrationRecord,
    Manifest,
    Replay,
    load_bundle,
    make_replay,
    resolve_bundle,
    write_bundle,
)  # fmt: skip
from binsight.bundle.container import CALIBRATION_NAME, REPLAY_NAME
from binsight.evaluation.metrics import accuracy
from binsight.export.onnx_graph import attach_heads
from binsight.imaging import PreprocessSpec
from binsight.pipeline.calibrate import ReviewTargets, Scores, calibrate
from binsight.pipeline.card import class_rows, metric_rows, shown_precision
from binsight.pipeline.measure import measure, measure_unknown
from binsight.predictor import available_cores
from binsight.taxonomy import Taxonomy, builtin_taxonomy
from binsight.training.augment.settings import augment_strength
from binsight.training.backbones import find_backbone
from binsight.training.backbones.efficientnet_lite import EFFICIENTNET_LITE, build_backbone, load_pretrained
from binsight.training.familiarity import FeatureSubspace, fit_subspace
from binsight.training.fine_tune.activations import ActivationCache, Activations, cut_graph
from binsight.training.fine_tune.averaging import Weights, interpolate, uniform_soup
from binsight.training.fine_tune.network import build_network
from binsight.training.fine_tune.settings import FineTuneSettings
from binsight.training.fine_tune.tail import fine_tune_tail, predict_activations, split_backbone
from binsight.training.heads.linear import LinearModel, fit_biodegradable, fit_categories

BACKBONES = {"efficientnet_lite0": (256, 10), "efficientnet_lite2": (260, 14)}  # pixels, the last block that is frozen
AUGMENT = augment_strength(
    "strong", crop_scale=(0.35, 1.0), brightness=0.35, contrast=0.35, hue=12, background=0.5, flip_vertical=0.15
)
VIEWS, HEAD_VIEWS, PLAIN_SHARE = 9, 3, 0.25
PENALTY = 0.01  # of the first heads: the best of 0.003, 0.01 and 0.03 in cross-validation inside `train`
SETTINGS = FineTuneSettings(
    epochs=10,
    batch_size=64,
    learning_rate=5e-4,
    warmup_epochs=0.5,
    weight_decay=0.01,
    label_smoothing=0.1,
    class_balance=0.5,
    ema_decay=0.998,
    augment=AUGMENT,
)
TUNED_SHARE = 0.5
TARGETS = ReviewTargets(precision=0.993, disagreement_share=0.01, unfamiliar_share=0.02)
TWIN_COSINE = 0.9  # photos elsewhere as near as this to a training photo are not counted
HERE = Path(__file__).parent
_NEW_NAMES = {"calibration_error": "calibration_error_cross_fitted"}


def main() -> None:
    """Run the recipe."""
    arguments = _arguments()
    taxonomy = builtin_taxonomy("waste8")
    training = Training(arguments, taxonomy)
    if arguments.weights:
        training.write(*training.take(arguments.weights))
        return
    start = training.start()
    candidates = []
    for seed in arguments.seeds:
        weights = interpolate(start, training.tune(seed), TUNED_SHARE)
        candidates.append(weights)
        training.report(f"seed {seed}", weights)
    soup = uniform_soup(candidates)
    training.report("all seeds averaged", soup)
    if arguments.hold_out or arguments.elsewhere:
        return
    training.write(soup, training.measure_seeds(candidates))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv, train/ and val/")
    parser.add_argument("--unknown", type=Path, help="folder of photos that are none of the classes, to report on")
    parser.add_argument("--backbone", choices=BACKBONES, default="efficientnet_lite0", help="what to start from")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--hold-out", nargs="*", default=[], metavar="SOURCE", help="train without these sources")
    parser.add_argument("--elsewhere", nargs="*", default=[], metavar="CLASS=FOLDER", help="other photos to measure on")
    parser.add_argument("--weights", metavar="BUNDLE", help="take its weights, do not train")
    parser.add_argument("--out", type=Path, default=Path("src/binsight/models/waste8"))
    parser.add_argument("--overwrite", action="store_true", help="replace the bundle at --out")
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="where activations and checkpoints are kept")
    parser.add_argument("--version", default="1.2.0", help="version of the bundle")
    return parser.parse_args()


class Training:
    """The data, the cache and the network of one run."""

    def __init__(self, arguments: argparse.Namespace, taxonomy: Taxonomy) -> None:
        self.arguments, self.taxonomy = arguments, taxonomy
        self.mask = np.asarray(taxonomy.biodegradable_mask)
        self.all = read_split(arguments.data, "train", taxonomy)
        val = read_split(arguments.data, "val", taxonomy)
        away, away_val = held_out(self.all, arguments.hold_out), held_out(val, arguments.hold_out)
        self.rows, self.away = np.flatnonzero(~away & ~twins_of_val(self.all)), np.flatnonzero(away)
        self.train = self.all.take(self.rows)
        self.val_rows, self.away_val_rows = np.flatnonzero(~away_val), np.flatnonzero(away_val)
        self.val_all, self.val = val, val.take(self.val_rows)
        self.backbone = find_backbone(arguments.backbone)
        size, block = BACKBONES[arguments.backbone]
        self.spec = PreprocessSpec(size=(size, size), fit="stretch", filter="bilinear")
        self.last_frozen = f"blocks_{block}_add"
        config = replace(EFFICIENTNET_LITE[self.backbone.name], size=size)
        whole = build_backbone(load_pretrained(self.backbone.name), config)
        front = cut_graph(whole, f"_blocks.{block}._project_conv.sum.residual")
        workers = available_cores()
        self.cache = ActivationCache(front, self.spec, AUGMENT, folder=arguments.cache, seed=0, workers=workers)
        self.views = [
            self._activations(self.all.paths, f"train, view {k}", k, self.rows.tolist()) for k in range(VIEWS)
        ]
        self.seen = self._activations(val.paths, "val")
        self.model = self.backbone.build(size=size)
        tail = split_backbone(self.model, self.last_frozen)
        self.network = build_network(tail, classes=len(taxonomy), biodegradable=True, dropout=0.2)
        pooled = {"features": self.network.get_layer("pool").output}
        self.pooled = keras.Model(self.network.input, pooled)
        self.scored = keras.Model(self.network.input, self.network.output | pooled)

    def start(self) -> Weights:
        """Fit the heads on the frozen network; gives the weights to start from."""
        features = [self.features(view)[self.rows] for view in self.views[:HEAD_VIEWS]]
        labels = np.tile(self.train.labels, len(features))
        both = np.concatenate(features)
        heads = {
            "logits": fit_categories(both, labels, inverse_penalty=PENALTY),
            "biodegradable_logit": fit_biodegradable(both, self.mask[labels], inverse_penalty=PENALTY),
        }
        for name, head in heads.items():
            self.network.get_layer(name).set_weights([head.weight.astype(np.float32), head.bias.astype(np.float32)])
        self.elsewhere = self._elsewhere()
        weights: Weights = self.network.get_weights()
        plain = fit_categories(features[0], self.train.labels, inverse_penalty=PENALTY)
        self.report("frozen, heads on altered photos too", weights)
        self._report("frozen, heads on plain photos", lambda seen: plain.logits(self.features(seen)).argmax(axis=1))
        return weights

    def tune(self, seed: int) -> Weights:
        """Fine-tune with one seed; gives the weights of the last epoch."""
        held = "-".join(["without", *sorted(self.arguments.hold_out)]) if self.arguments.hold_out else "all"
        result = fine_tune_tail(
            self.network,
            self.train.labelled(self.taxonomy),
            self.views,
            self.val.labelled(self.taxonomy),
            self.seen[self.val_rows],
            SETTINGS,
            spec=self.spec,
            plain_share=PLAIN_SHARE,
            work=self.arguments.cache / f"{self.backbone.name}-{held}-{seed}",
            seed=seed,
            rows=self.rows,
            resume=True,
            on_epoch_end=say_epoch,
        )
        self.network.set_weights(result.start)
        return result.last

    def features(self, seen: Activations) -> NDArray[np.float32]:
        """Pooled features of activations under the network's present weights, `(n, 1280)`."""
        return predict_activations(self.pooled, seen)["features"]

    def report(self, name: str, weights: Weights) -> None:
        """Print how accurate a network is on `val`, on sources held out, and elsewhere."""
        self.network.set_weights(weights)
        self._report(name, lambda seen: predict_activations(self.network, seen)["logits"].argmax(axis=1))

    def take(self, bundle: str) -> tuple[Weights, dict[str, Any]]:
        """The weights of a bundle that this recipe made, and what it says of its seeds."""
        loaded = load_bundle(resolve_bundle(bundle))
        trained = find_backbone(f"bundle:{bundle}").build(size=self.spec.size[0])
        self.model.set_weights(trained.get_weights())
        constants = {c.name: to_array(c) for c in load_from_string(loaded.read_model()).graph.initializer}
        for name in ("logits", "biodegradable_logit"):
            self.network.get_layer(name).set_weights([constants[f"{name}.weight"], constants[f"{name}.bias"]])
        weights: Weights = self.network.get_weights()
        seeds = loaded.manifest.training["seeds"]
        if loaded.manifest.version == "1.1.0":  # where this name meant the cross-fitted one
            seeds = {s: {_NEW_NAMES.get(name, name): v for name, v in row.items()} for s, row in seeds.items()}
        return weights, seeds

    def write(self, weights: Weights, seeds: Mapping[str, Mapping[str, float]]) -> None:
        """Calibrate and measure the network, and write its bundle."""
        chosen = self.judge(weights, self.unknown())
        test = read_split(self.arguments.data, "test", self.taxonomy)
        scores = self._scores(chosen.known, self._activations(test.paths, "test"))
        copies = copies_among(test, self.taxonomy)
        metrics = {
            "test": measure(scores, test.labels, self.taxonomy, chosen.calibration, groups=copies), **chosen.metrics,
        }  # fmt: skip
        record = record_calibration(TARGETS, chosen.calibration, self.train, self.val)
        for name, metric in flat_metrics(metrics).items():
            print(f"{name}: {metric.value:.4f} ({metric.low} to {metric.high})")
        fitted = chosen.calibration.fitted
        manifest = Manifest(
            name="waste8",
            version=self.arguments.version,
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            taxonomy=self.taxonomy,
            preprocess=self.spec,
            temperature=fitted.temperature,
            biodegradable_temperature=fitted.biodegradable_temperature,
            review=fitted.review,
            metrics=metrics,
            training=self._record(seeds) | {"unfamiliarity_median": chosen.unfamiliarity_median},
        )
        self.network.set_weights(weights)
        graph = attach_heads(
            self.backbone.to_onnx(self.model),
            self._head("logits"),
            biodegradable=self._head("biodegradable_logit"),
            known=None if chosen.calibration.scale is None else (chosen.known, chosen.calibration.scale),
        )
        files = {
            "model.onnx": graph.SerializeToString(),
            "card.md": self._card(manifest, record, class_rows(self.taxonomy.ids, scores.logits, test.labels)).encode(),
            CALIBRATION_NAME: record.to_bytes(),
            REPLAY_NAME: self._replay().to_bytes(),
        }
        out = write_bundle(self.arguments.out, manifest, files, overwrite=self.arguments.overwrite)
        check_bundle(out, self.val, self.taxonomy, expected=chosen.metrics["val"].values["accuracy"].value)

    def _activations(
        self, photos: list[Path], what: str, number: int = 0, backgrounds: Sequence[int] | None = None
    ) -> Activations:
        ticks = iter(track(range(len(photos)), description=f"Activations of {what}"))
        return self.cache.view(photos, number, backgrounds=backgrounds, progress=lambda: next(ticks, None) and None)

    def _elsewhere(self) -> tuple[Photos, Activations] | None:
        """Photos by others, without those that are among the training photos too."""
        if not self.arguments.elsewhere:
            return None
        folders = [
            (name, Path(folder)) for name, _, folder in (text.partition("=") for text in self.arguments.elsewhere)
        ]
        photos = read_folders(folders, self.taxonomy)
        seen = self._activations(photos.paths, "elsewhere")
        nearest = (_unit(self.features(seen)) @ _unit(self.features(self.views[0])).T).max(axis=1)
        others = np.flatnonzero(nearest <= TWIN_COSINE)
        print(f"elsewhere: {len(others)} of {len(photos)} photos are not among the training photos")
        return photos.take(others), seen[others]

    def _report(self, name: str, predict: Callable[[Activations], NDArray[np.intp]]) -> None:
        found = {"val": accuracy(self.val.labels, predict(self.seen[self.val_rows]))}
        if self.arguments.hold_out:
            away = np.concatenate([predict(self.views[0][self.away]), predict(self.seen[self.away_val_rows])])
            truth = np.concatenate([self.all.labels[self.away], self.val_all.labels[self.away_val_rows]])
            source = np.concatenate([self.all.sources[self.away], self.val_all.sources[self.away_val_rows]])
            by_source = {str(one): float(np.mean((away == truth)[source == one])) for one in np.unique(source)}
            found |= {**by_source, "mean of the held-out sources": float(np.mean(list(by_source.values())))}
        if self.elsewhere:
            photos, seen = self.elsewhere
            found["elsewhere"] = accuracy(photos.labels, predict(seen))
        print(f"{name}: " + ", ".join(f"{key} {value:.2%}" for key, value in found.items()), flush=True)

    def unknown(self) -> dict[str, Activations]:
        """Pictures of none of the classes, by the name of their set."""
        noise = self._activations(write_noise(self.arguments.cache / "noise"), "noise")
        if not self.arguments.unknown:
            return {"noise": noise}
        return {"not-waste": self._activations(list_photos(self.arguments.unknown), "unknown"), "noise": noise}

    def judge(self, weights: Weights, unknown: Mapping[str, Activations]) -> Judged:
        """Calibrate a network on `val`, and measure it there and on pictures of none of the classes."""
        self.network.set_weights(weights)
        known = fit_subspace(self.features(self.views[0])[self.rows])
        scores, labels = self._scores(known, self.seen), self.val.labels
        copies = copies_among(self.val, self.taxonomy)
        calibration = calibrate(scores, labels, TARGETS, groups=copies)
        metrics = {"val": measure(scores, labels, self.taxonomy, calibration, groups=copies, fitted_for=TARGETS)}
        metrics |= {name: measure_unknown(self._scores(known, seen), calibration) for name, seen in unknown.items()}
        strangeness = scores.exported(calibration.scale).unfamiliarity
        median = None if strangeness is None else float(np.median(strangeness))
        return Judged(known, calibration, metrics, median)

    def _scores(self, known: FeatureSubspace, seen: Activations) -> Scores:
        found = {name: values.astype(np.float64) for name, values in predict_activations(self.scored, seen).items()}
        residual = known.residual(found["features"])
        return Scores(found["logits"], found["biodegradable_logit"][:, 0], self.mask, residual)

    def _head(self, name: str) -> LinearModel:
        weight, bias = self.network.get_layer(name).get_weights()
        return LinearModel(weight.astype(np.float64), bias.astype(np.float64))

    def _replay(self) -> Replay:
        """What `binsight adapt` needs; under the network's present weights."""
        features = [self.features(self.views[0])[self.rows], self.features(self.seen)[self.val_rows]]
        heads = [self._head(name).weight for name in ("logits", "biodegradable_logit")]
        labels = np.concatenate([self.train.labels, self.val.labels])
        held = np.repeat([False, True], [len(part) for part in features])
        return make_replay(np.concatenate(features), labels, held, heads=np.concatenate(heads, axis=1))

    def measure_seeds(self, candidates: Sequence[Weights]) -> dict[str, dict[str, float]]:
        """Every metric of each seed by itself."""
        unknown = self.unknown()
        measured = [flat_metrics(self.judge(weights, unknown).metrics) for weights in candidates]
        return {
            str(seed): {name: round(metric.value, 4) for name, metric in metrics.items()}
            for seed, metrics in zip(self.arguments.seeds, measured, strict=True)
        }

    def _record(self, seeds: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
        return {
            "recipe": "recipes/waste8/fine_tuned_lite0.py",
            "backbone": f"{self.backbone.name} at {self.spec.size[0]} px, ImageNet weights ({self.backbone.licence}), "
            f"trained behind {self.last_frozen}",
            "heads": "linear, fitted on the frozen network, then trained with it",
            "average": f"{TUNED_SHARE:.0%} of the tuned weights, {1 - TUNED_SHARE:.0%} of the first; mean of the seeds",
            "seeds": {seed: dict(values) for seed, values in seeds.items()},
            "settings": SETTINGS.to_dict() | {"views": VIEWS, "plain_share": PLAIN_SHARE},
            "photos": {"train": len(self.train), "val": len(self.val)},
            "data_sha256": digest(self.arguments.data, [*self.train.paths, *self.val.paths]),
            "licences": "mixed, partly unknown; see card.md: for research and evaluation",
        }

    def _card(self, manifest: Manifest, record: CalibrationRecord, rows: Sequence[str]) -> str:
        seeds = manifest.training["seeds"]
        template = Template((HERE / "card.md").read_text(encoding="utf-8"))
        return template.substitute(
            version=manifest.version,
            created=manifest.created,
            number=self.backbone.name[-1],
            size=self.spec.size[0],
            block=BACKBONES[self.backbone.name][1],
            classes="\n".join(rows),
            shown=shown_precision(record),
            metrics="\n".join(metric_rows(manifest)),
            seeds="\n".join(seed_rows(list(seeds.values()))),
            train=len(self.train),
            val=len(self.val),
            test=manifest.metrics["test"].photos,
            digest=manifest.training["data_sha256"],
        )


def _unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = features / np.linalg.norm(features, axis=1, keepdims=True)
    return result


if __name__ == "__main__":
    main()
