"""Train the last layers of a network on what its first layers made of photos; see `activations`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from binsight.errors import SettingsError
from binsight.imaging import PreprocessSpec
from binsight.progress import Progress, unheard
from binsight.training.fine_tune.activations import Activations
from binsight.training.fine_tune.batches import Batch, EpochBatches
from binsight.training.fine_tune.checkpoint import RunFolder
from binsight.training.fine_tune.history import OnEpochEnd
from binsight.training.fine_tune.loop import FineTuneResult, FineTuneRun
from binsight.training.fine_tune.run_identity import describe_run
from binsight.training.fine_tune.settings import FineTuneSettings
from binsight.training.fine_tune.trainer import Trainer, prepared_for_training
from binsight.training.fine_tune.validation import Validation
from binsight.training.photos import LabelledPhotos

__all__ = ["ViewBatches", "fine_tune_tail", "predict_activations", "split_backbone"]

_BATCH = 64


def split_backbone(backbone: keras.Model, layer: str) -> keras.Model:
    """Return the part of a backbone behind a layer, sharing its weights; its output is the feature map."""
    return keras.Model(backbone.get_layer(layer).output, backbone.output, name="backbone")


@dataclass(frozen=True, eq=False)
class ViewBatches(EpochBatches):
    """Makes the batches of each epoch from activations; the same for the same seed.

    Attributes:
        views: `(n, gh, gw, d)` each; the first is of the photos as they are.
        plain_share: of the photos of an epoch, how many are seen as they are.
    """

    views: Sequence[Activations]
    plain_share: float

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of an epoch."""
        rng = np.random.default_rng([self.seed, number])
        order = self.order(rng)
        altered = rng.integers(1, len(self.views), len(order))
        which = np.where(rng.random(len(order)) < self.plain_share, 0, altered)
        for part, targets in self.parts(order):
            seen = [self.views[view][photo] for view, photo in zip(which[part], order[part], strict=True)]
            yield Batch(np.stack(seen).astype(np.float32), targets)


def fine_tune_tail(
    network: keras.Model,
    train: LabelledPhotos,
    views: Sequence[Activations],
    val: LabelledPhotos,
    seen: Activations,
    settings: FineTuneSettings,
    *,
    spec: PreprocessSpec,
    plain_share: float,
    work: Path,
    seed: int,
    resume: bool = False,
    on_epoch_end: OnEpochEnd | None = None,
    progress: Progress = unheard,
) -> FineTuneResult:
    """Fine-tune the part of a network behind its first layers, and leave in it the weights to keep.

    Args:
        network: from `build_network` on what `split_backbone` gave, heads fitted.
        train: n photos to learn from.
        views: at least two, `(n, gh, gw, d)`, from `ActivationCache.view`, the first number 0.
        val: m photos to choose the epoch by.
        seen: view 0 of those, `(m, gh, gw, d)`.
        settings: how; `augment` says how the views were made.
        spec: how photos were prepared.
        plain_share: of the photos of an epoch, how many are seen as they are, in [0, 1].
        work: a folder for checkpoints and `history.csv`.
        seed: of sampling, choice of views, and dropout.
        resume: continue the run in `work` after its last complete epoch.
        on_epoch_end: called with each epoch's record, after its state is on disk.
        progress: called after each step with the steps done and the steps of the whole run.

    Raises:
        SettingsError: there are too few views, or the loss became infinite.
        CheckpointError: `work` has another run, or its checkpoints are damaged.
        OutputError: `work` has a run and `resume` was not asked for; or it cannot be written.
    """
    if len(views) < 2:
        raise SettingsError(f"expected two views or more, got {len(views)}")
    classes = int(network.output["logits"].shape[-1])
    with prepared_for_training(network, settings, seed=seed):
        run = FineTuneRun(
            trainer=Trainer(network, settings),
            batches=ViewBatches(train, classes, settings, seed, views, plain_share),
            validate=partial(_validate, network, val, seen, settings),
            folder=RunFolder(work),
            identity=describe_run(network, train, val, settings, spec=spec, seed=seed)
            | {"views": len(views), "plain_share": plain_share},
        )
        result = run.complete(resume=resume, on_epoch_end=on_epoch_end, progress=progress)
    network.set_weights(result.weights)
    return result


def predict_activations(network: keras.Model, seen: Activations) -> dict[str, NDArray[np.float32]]:
    """Each output of such a network for `(m, gh, gw, d)` activations, float32, `(m, k)`."""
    found: list[Mapping[str, NDArray[np.float32]]] = []
    for first in range(0, len(seen), _BATCH):
        part = seen[first : first + _BATCH].astype(np.float32)
        # The last batch is filled up: another size would have the network compiled again.
        filled = np.pad(part, ((0, _BATCH - len(part)), (0, 0), (0, 0), (0, 0)))
        outputs = network.predict_on_batch(filled)
        found.append({name: np.asarray(value, np.float32)[: len(part)] for name, value in outputs.items()})
    return {name: np.concatenate([outputs[name] for outputs in found]) for name in found[0]}


def _validate(network: keras.Model, val: LabelledPhotos, seen: Activations, settings: FineTuneSettings) -> Validation:
    logits = predict_activations(network, seen)
    return Validation.of(logits, val, biodegradable_weight=settings.biodegradable_weight)
