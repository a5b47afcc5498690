r"""Make `waste8` 1.3.0: the network of 1.2.0 learns from more photographers, and from photos of none of its classes.

    pip install -e ".[train]"
    mkdir first && git archive 2d57eca^ src/binsight/models/waste8 | tar x -C first  # 1.2.0 with its backbone's weights
    python recipes/waste8/second_stage.py --data ../shared/data --start first/src/binsight/models/waste8 --overwrite

How: what lies behind block 10 is trained, on activations of three views of each photo: as it is, altered as in the
first stage, and from above, with cut-out objects turned and pasted on empty belts, floors and textures. Classes and
sources are drawn by the root of their photos. A seventh of what is drawn is of no class: glass, textiles, empty places,
corners of other photos; there all classes shall be equally likely (outlier exposure). The weights are 60 % the trained
ones and 40 % those of the start. To measure on sources that are left out:

    python recipes/waste8/second_stage.py --data ../shared/data --start ... --epochs 3 --leave-out trashnet \
        more/akshatew more/techsash more/fakraze more/grocery more/palletid \
        --empties-of more/drinkwaste more/debwallpaper

What was computed is kept in --cache, and not computed again.

References:
    Hendrycks, Mazeika and Dietterich 2019, arXiv 1812.04606 (outlier exposure); Wortsman et al. 2022, arXiv 2109.01903
    (WiSE-FT).
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from numpy.typing import NDArray
from onnx import load_from_string
from onnx.numpy_helper import to_array
from pasted import SPEC
from photographers import NONE, Draws, Photos, list_photos, without
from seen import LAST_FROZEN, VIEWS, Seen
from written import Judge, keep_decisions, print_by_source, write_model

from binsight.bundle import load_bundle, resolve_bundle
from binsight.taxonomy import Taxonomy, builtin_taxonomy
from binsight.training.backbones import find_backbone
from binsight.training.fine_tune.activations import Activations
from binsight.training.fine_tune.averaging import Weights, interpolate
from binsight.training.fine_tune.batches import Batch
from binsight.training.fine_tune.network import build_network
from binsight.training.fine_tune.schedule import rate_share
from binsight.training.fine_tune.settings import FineTuneSettings
from binsight.training.fine_tune.tail import split_backbone
from binsight.training.fine_tune.trainer import Trainer, prepared_for_training

DRAWN: Final = 5120  # photos per epoch
PLAIN_SHARE, NONE_SHARE, TUNED_SHARE = 0.25, 0.14, 0.6
SETTINGS: Final = FineTuneSettings(
    epochs=6,
    batch_size=64,
    learning_rate=4e-4,
    warmup_epochs=0.5,
    weight_decay=0.01,
    label_smoothing=0.05,
    ema_decay=0.995,
)


def main() -> None:
    """Run the recipe."""
    arguments = _arguments()
    taxonomy = builtin_taxonomy("waste8")
    photos = list_photos(arguments.data, taxonomy)
    seen = Seen.of(photos, arguments.cache)
    model, network = build(taxonomy, arguments.start)
    rows = without(photos, arguments.leave_out, arguments.empties_of)
    settings = replace(SETTINGS, epochs=arguments.epochs)
    first: Weights = network.get_weights()
    tuned = arguments.cache / f"weights-{_name(rows, settings, arguments.seed)}.npz"
    if not tuned.exists():
        batches = Batches(photos, seen, rows, arguments.leave_out, taxonomy, settings, arguments.seed)
        np.savez(tuned, *tune(network, batches))
    with np.load(tuned) as stored:
        network.set_weights(interpolate(first, [stored[name] for name in stored.files], TUNED_SHARE))
    judged = Judge.of(network, photos, seen, taxonomy, rows, tuned.with_suffix(".outputs.npz"))
    if arguments.leave_out:
        others = np.setdiff1d(np.arange(len(photos.paths)), rows)
        print_by_source(judged, photos, others)
        keep_decisions(judged, photos, others, tuned.with_suffix(".decisions.npz"))
        return
    about = {
        "start": f"waste8 {load_bundle(resolve_bundle(arguments.start)).manifest.version}",
        "average": f"{TUNED_SHARE:.0%} of the tuned weights, {1 - TUNED_SHARE:.0%} of the start's",
        "seed": arguments.seed,
        "settings": settings.to_dict()
        | {"views": len(VIEWS), "drawn": DRAWN, "plain_share": PLAIN_SHARE, "none_share": NONE_SHARE},
    }
    write_model(arguments, photos, judged, (model, network), about)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with waste8/, more/, trashnet/ and not-waste/")
    parser.add_argument("--start", required=True, help="bundle of the first stage, with backbone.safetensors")
    parser.add_argument("--epochs", type=int, default=SETTINGS.epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="SOURCE", help="measure on these, write nothing")
    parser.add_argument("--empties-of", nargs="*", default=[], metavar="SOURCE", help="leave out its empty places")
    parser.add_argument("--out", type=Path, default=Path("src/binsight/models/waste8"))
    parser.add_argument("--overwrite", action="store_true", help="replace the bundle at --out")
    parser.add_argument("--cache", type=Path, default=Path(".cache/second"), help="where activations and weights are")
    parser.add_argument("--version", default="1.3.0", help="version of the bundle")
    return parser.parse_args()


def build(taxonomy: Taxonomy, start: str) -> tuple[keras.Model, keras.Model]:
    """The backbone, and its trained part with the heads; both have the weights of a bundle."""
    model = find_backbone(f"bundle:{start}").build(size=SPEC.size[0])
    tail = split_backbone(model, f"blocks_{LAST_FROZEN}_add")
    network = build_network(tail, classes=len(taxonomy), biodegradable=True, dropout=0.2)
    graph = load_from_string(load_bundle(resolve_bundle(start)).read_model()).graph
    constants = {constant.name: to_array(constant) for constant in graph.initializer}
    for name in ("logits", "biodegradable_logit"):
        network.get_layer(name).set_weights([constants[f"{name}.weight"], constants[f"{name}.bias"]])
    return model, network


@dataclass(frozen=True, eq=False)
class Batches:
    """Makes the batches of each epoch; the same for the same seed."""

    photos: Photos
    seen: Seen
    rows: NDArray[np.intp]
    left_out: Sequence[str]
    taxonomy: Taxonomy
    settings: FineTuneSettings
    seed: int

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of an epoch."""
        of_known = ~np.isin(self.photos.sources[self.seen.patched], self.left_out)
        draws = Draws(self.photos, self.rows, np.flatnonzero(of_known), NONE_SHARE)
        rng = np.random.default_rng([self.seed, number])
        order = draws.draw(DRAWN, rng)
        views = np.where(rng.random(DRAWN) < PLAIN_SHARE, 0, rng.integers(1, len(VIEWS), DRAWN))
        for first in range(0, DRAWN, self.settings.batch_size):
            part = slice(first, first + self.settings.batch_size)
            seen = [self._activations(int(i), VIEWS[view]) for i, view in zip(order[part], views[part], strict=True)]
            yield Batch(np.stack(seen).astype(np.float32), self._targets(order[part]))

    def _activations(self, photo: int, view: int) -> Activations:
        if photo >= len(self.photos.paths):
            patch: Activations = self.seen.patches[photo - len(self.photos.paths)]
            return patch
        place = int(self.seen.used[view][photo])
        shows_what_is_left_out = place >= 0 and self.photos.sources[place] in self.left_out
        found: Activations = self.seen.views[0 if shows_what_is_left_out else view][photo]
        return found

    def _targets(self, chosen: NDArray[np.intp]) -> dict[str, NDArray[np.float32]]:
        """As labelled, a little smoothed; of none of the classes, all are alike."""
        classes, smoothing = len(self.taxonomy), self.settings.label_smoothing
        labels = np.append(self.photos.labels, NONE)[np.minimum(chosen, len(self.photos.paths))]
        known, mask = labels != NONE, np.asarray(self.taxonomy.biodegradable_mask)
        one_hot = (1 - smoothing) * np.eye(classes)[labels] + smoothing / classes
        second = np.where(known, (1 - smoothing) * mask[labels] + smoothing / 2, 0.5)
        return {
            "logits": np.where(known[:, None], one_hot, 1 / classes).astype(np.float32),
            "biodegradable_logit": second.astype(np.float32)[:, None],
        }


def tune(network: keras.Model, batches: Batches) -> Weights:
    """Train; gives the running mean of the weights, and leaves the network as it was."""
    settings, per_epoch, done = batches.settings, DRAWN // batches.settings.batch_size, 0
    first = network.get_weights()
    with prepared_for_training(network, settings, seed=batches.seed):
        trainer = Trainer(network, settings)
        for epoch in range(settings.epochs):
            losses = []
            for batch in batches.epoch(epoch):
                share = rate_share(
                    done, steps=per_epoch * settings.epochs, warmup=per_epoch // 2, final=settings.final_share
                )
                losses.append(trainer.step(batch, rate=settings.learning_rate * share))
                done += 1
            print(f"  epoch {epoch + 1}: loss {np.mean(losses):.3f}", flush=True)
        weights = trainer.weights()
    network.set_weights(first)
    return weights


def _name(rows: NDArray[np.intp], settings: FineTuneSettings, seed: int) -> str:
    return hashlib.sha256(f"{rows.tolist()} {settings} {seed}".encode()).hexdigest()[:12]


if __name__ == "__main__":
    main()
