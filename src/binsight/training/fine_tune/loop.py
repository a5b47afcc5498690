"""Train a network on photos, or on what its frozen layers made of them; a run that was killed continues where it was.

After every epoch the whole state is on disk, and all that is random follows from the seed, the epoch and the photo. So
a run that was killed at any moment and resumed ends with the weights that it would have had anyway.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from binsight.errors import CheckpointError, DatasetError, OutputError, SettingsError
from binsight.imaging import PreprocessSpec
from binsight.progress import Progress, unheard
from binsight.training.fine_tune.averaging import Weights
from binsight.training.fine_tune.batches import EpochBatches
from binsight.training.fine_tune.checkpoint import Checkpoint, RunFolder
from binsight.training.fine_tune.history import EpochRecord, OnEpochEnd, write_history
from binsight.training.fine_tune.optimizer import rate_share
from binsight.training.fine_tune.settings import FineTuneSettings
from binsight.training.fine_tune.trainer import Trainer, prepared_for_training
from binsight.training.fine_tune.validation import Validation
from binsight.training.photos import LabelledPhotos

__all__ = ["FineTuneResult", "FineTuneRun", "describe_run", "find_differences", "fine_tune"]


@dataclass(frozen=True, eq=False)
class FineTuneResult:
    """What came out of a run; weights are in the order of `network.get_weights()`.

    Attributes:
        start: the weights before the first step, for `averaging.interpolate`.
        weights: those of the best epoch on the validation photos, or of the last, as the settings say; running means
            where settings ask for them. The network has them now.
        validation: of these.
        best_epoch: 1 for the first.
        history: one record per epoch, those before a resume included.
    """

    start: Weights
    weights: Weights
    validation: Validation
    best_epoch: int
    history: tuple[EpochRecord, ...]


def fine_tune(
    network: keras.Model,
    batches: EpochBatches,
    val: LabelledPhotos,
    predict: Callable[[], Mapping[str, NDArray[np.float32]]],
    *,
    spec: PreprocessSpec,
    work: Path,
    resume: bool = False,
    on_epoch_end: OnEpochEnd | None = None,
    progress: Progress = unheard,
) -> FineTuneResult:
    """Fine-tune a network, and leave in it the weights that settings ask to keep.

    Args:
        network: from `build_network`, heads fitted: with random heads, the first steps would spoil the backbone. It is
            changed, and left without optimizer.
        batches: what it learns from and how: `TrainingBatches` of photos, or `ViewBatches` of what frozen layers made
            of them, where the network is what `split_backbone` left with heads on it.
        val: photos to choose the epoch by.
        predict: gives each output of the network for these, as it is then; see `predict_outputs`.
        spec: how photos are prepared for the backbone.
        work: a folder for checkpoints and `history.csv`; some 6 times the size of the weights per kept epoch.
        resume: continue the run in `work` after its last complete epoch, with the weights that it had; begin it where
            there is none yet.
        on_epoch_end: called with each epoch's record, after its state is on disk.
        progress: called after each step with the steps done and the steps of the whole run.

    Raises:
        DatasetError: the photos do not fit the network.
        SettingsError: the loss became infinite or no number; the rate is too high.
        CheckpointError: `work` has a run of other settings, photos, seed or network; or its checkpoints are damaged.
        OutputError: `work` has a run and `resume` was not asked for; or it cannot be written.
        InputError: a photo cannot be read.
        ImageError: a photo is refused; its path is in the message.
    """
    settings = batches.settings
    _check_photos(network, batches.photos, val)
    if "biodegradable_logit" not in network.output:
        batches = replace(batches, photos=replace(batches.photos, biodegradable=None))
        val = replace(val, biodegradable=None)

    def validate() -> Validation:
        return Validation.of(predict(), val, biodegradable_weight=settings.biodegradable_weight)

    with prepared_for_training(network, settings, seed=batches.seed):
        identity = describe_run(network, batches.photos, val, settings, spec=spec, seed=batches.seed)
        run = FineTuneRun(Trainer(network, settings), batches, validate, RunFolder(work), identity | batches.about)
        result = run.complete(resume=resume, on_epoch_end=on_epoch_end, progress=progress)
    network.set_weights(result.weights)
    return result


def _check_photos(network: keras.Model, train: LabelledPhotos, val: LabelledPhotos) -> None:
    classes = int(network.output["logits"].shape[-1])
    faults = [
        f"{name} photos have label {photos.labels.max()}, the network {classes} classes"
        for name, photos in (("training", train), ("validation", val))
        if photos.labels.max() >= classes
    ]
    if "biodegradable_logit" in network.output and train.biodegradable is None:
        faults.append("the network has a biodegradable head, but the training photos have no such labels")
    if faults:
        raise DatasetError("fine-tuning: " + "; ".join(faults))


@dataclass(eq=False)
class FineTuneRun:
    """A run under way: what its epochs add to, and what a checkpoint keeps."""

    trainer: Trainer
    batches: EpochBatches
    validate: Callable[[], Validation]
    folder: RunFolder
    identity: dict[str, Any]
    start: Weights = field(default_factory=list)
    best: Weights = field(default_factory=list)
    best_epoch: int = 0
    history: list[EpochRecord] = field(default_factory=list)

    @property
    def settings(self) -> FineTuneSettings:
        """How the network is trained."""
        return self.batches.settings

    def complete(
        self, *, resume: bool, on_epoch_end: OnEpochEnd | None = None, progress: Progress = unheard
    ) -> FineTuneResult:
        """Run all epochs that are left."""
        self.begin(resume=resume)
        while not self.is_over():
            record = self.train_epoch(progress)
            if on_epoch_end:
                on_epoch_end(record)
        return self.finish()

    def begin(self, *, resume: bool) -> None:
        """Take up the run in the folder, or begin one there; one without a complete epoch is nothing to lose."""
        stored, epochs = self.folder.read_start(), self.folder.epochs()
        if epochs and not resume:
            raise OutputError(f"{self.folder.path} has a run of {epochs[0]} epochs; resume it or name another folder")
        if stored is None or not (epochs or (resume and not self._differences(stored))):
            state = self.trainer.state()
            self.start = state["network"]
            self.folder.write_start(Checkpoint({"run": self.identity}, state))
        else:
            self._check_identity(stored)
            self.start = stored.groups["network"]
            self.trainer.restore(stored.groups)
            if newest := self.folder.read_newest():
                self._restore(*newest)
        write_history(self.folder.path / "history.csv", self.history)

    def is_over(self) -> bool:
        """All epochs are done, or the last ones were no better."""
        done, patience = len(self.history), self.settings.early_stop_patience
        return done >= self.settings.epochs or bool(patience and done - self.best_epoch >= patience)

    def train_epoch(self, progress: Progress) -> EpochRecord:
        """Train one epoch, validate, and write the state."""
        began, epoch = time.perf_counter(), len(self.history) + 1
        loss, rate = self._train(epoch, progress)
        weights = self.trainer.weights()
        with self.trainer.using(weights):
            found = self.validate()
        record = EpochRecord(
            epoch=epoch,
            learning_rate=rate,
            train_loss=loss,
            val_loss=found.loss,
            val_accuracy=found.accuracy,
            val_macro_f1=found.macro_f1,
            val_biodegradable_accuracy=found.biodegradable_accuracy,
            seconds=time.perf_counter() - began,
        )
        improved = not self.history or record.rank > self.history[self.best_epoch - 1].rank
        self.history.append(record)
        if improved:
            self.best, self.best_epoch = weights, epoch
        self._write(epoch, improved=improved)
        return record

    def finish(self) -> FineTuneResult:
        """The weights that are kept, and how good they are."""
        weights = self.best if self.settings.keep == "best" else self.trainer.weights()
        with self.trainer.using(weights):
            found = self.validate()
        start = self.trainer.only_weights(self.start)
        return FineTuneResult(start, weights, found, self.best_epoch, tuple(self.history))

    def _train(self, epoch: int, progress: Progress) -> tuple[float, float]:
        """Give the epoch's mean loss and its last learning rate."""
        settings, per_epoch = self.settings, self.batches.steps
        steps, warmup = settings.epochs * per_epoch, round(settings.warmup_epochs * per_epoch)
        losses, rate = [], 0.0
        for i, batch in enumerate(self.batches.epoch(epoch)):
            done = (epoch - 1) * per_epoch + i
            share = rate_share(done, steps=steps, warmup=warmup, final=settings.final_share)
            rate = settings.learning_rate * share
            losses.append(self.trainer.step(batch, rate=rate))
            if not math.isfinite(losses[-1]):
                raise SettingsError(
                    f"training diverged: the loss is {losses[-1]} in epoch {epoch}, step {i + 1}; "
                    f"lower learning_rate, now {settings.learning_rate:g}, and begin anew"
                )
            progress(done + 1, steps)
        return sum(losses) / per_epoch, rate

    def _write(self, epoch: int, *, improved: bool) -> None:
        about = {
            "run": self.identity,
            "best_epoch": self.best_epoch,
            "history": [asdict(record) for record in self.history],
        }
        state = Checkpoint(about, self.trainer.state())
        best = Checkpoint({"run": self.identity, "epoch": epoch}, {"weights": self.best}) if improved else None
        self.folder.write_epoch(epoch, state, best)
        write_history(self.folder.path / "history.csv", self.history)

    def _restore(self, state: Checkpoint, best: Checkpoint) -> None:
        self._check_identity(state)
        self.trainer.restore(state.groups)
        self.best, self.best_epoch = best.groups["weights"], state.about["best_epoch"]
        self.history = [EpochRecord(**record) for record in state.about["history"]]

    def _differences(self, stored: Checkpoint) -> list[str]:
        return find_differences(stored.about["run"], self.identity)

    def _check_identity(self, stored: Checkpoint) -> None:
        if differences := self._differences(stored):
            raise CheckpointError(
                f"{self.folder.path} has another run; it differs in {'; '.join(differences)}: "
                "resume with what it was begun with, or name another folder"
            )


def describe_run(
    network: keras.Model,
    train: LabelledPhotos,
    val: LabelledPhotos,
    settings: FineTuneSettings,
    *,
    spec: PreprocessSpec,
    seed: int,
) -> dict[str, Any]:
    """All that decides how a run goes, JSON-ready: a checkpoint continues no other run.

    Photos count by their names, order and labels, wherever they lie.
    """
    shapes = [list(v.shape) for v in network.variables]
    return {
        "settings": settings.to_dict(),
        "preprocess": spec.to_dict(),
        "seed": seed,
        "training photos": _digest(train, with_sources=bool(settings.source_balance)),
        "validation photos": _digest(val),
        "network": hashlib.sha256(repr(shapes).encode()).hexdigest(),
    }


def find_differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs between two descriptions, as `name: before, now after`; digests by name only."""
    found = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += find_differences(old, new, "" if key == "settings" else f"{key}.")
        elif old != new:
            digest = isinstance(old, str) and len(old) == 64
            found.append(f"{prefix}{key}" if digest else f"{prefix}{key} was {old}, now {new}")
    return found


def _digest(photos: LabelledPhotos, *, with_sources: bool = False) -> str:
    answers, sources = photos.biodegradable, photos.sources if with_sources else None
    rows = [
        (path.parent.name, path.name, int(label), None if answers is None else bool(answers[i]))
        for i, (path, label) in enumerate(zip(photos.paths, photos.labels, strict=True))
    ]
    known = rows if sources is None else [rows, sources.tolist()]
    return hashlib.sha256(repr(known).encode()).hexdigest()
