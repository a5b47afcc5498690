"""What the recipe says of its seeds, and the last check of what it wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from photos import Photos

from binsight.bundle import CalibrationRecord, Metric, SplitMetrics, photo_key, verify_bundle
from binsight.evaluation.metrics import accuracy
from binsight.pipeline.calibrate import ReviewTargets, ScaledCalibration
from binsight.predictor import Predictor, available_cores, predict_files
from binsight.predictor.prediction import Prediction
from binsight.taxonomy import Taxonomy
from binsight.training.familiarity import FeatureSubspace
from binsight.training.fine_tune.history import EpochRecord


def seed_rows(seeds: Sequence[dict[str, float]]) -> list[str]:
    """Each metric over the seeds: mean, and the half-width of Student's 95 % interval of the mean."""
    from scipy.stats import t  # noqa: PLC0415

    rows = []
    for name in seeds[0]:
        values = np.array([seed[name] for seed in seeds])
        half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        rows.append(f"| {name} | {values.mean():.4f} | ± {half:.4f} | {', '.join(f'{v:.4f}' for v in values)} |")
    return rows


def record_calibration(
    targets: ReviewTargets, found: ScaledCalibration, train: Photos, val: Photos
) -> CalibrationRecord:
    """What the bundle says of the photos it has seen: settings and weights were chosen on `val` too."""
    trained, calibrated = ([photo_key(path.read_bytes()) for path in photos.paths] for photos in (train, val))
    seen = {"trained": trained, "calibrated": calibrated, "chosen": calibrated}
    return CalibrationRecord.of(targets, found.fitted.shown_precision, seen)


def check_bundle(bundle: Path, val: Photos, taxonomy: Taxonomy, *, expected: float) -> None:
    """The written bundle, read as a user reads it, must reach what was measured."""
    if faults := verify_bundle(bundle):
        raise SystemExit(f"the bundle is not sound: {faults}")
    predictor = Predictor.load(bundle, threads=1)
    outcomes = list(predict_files(predictor, val.paths, workers=available_cores()))
    predicted = np.array([taxonomy.index(p.category) for p in outcomes if isinstance(p, Prediction)])
    reached = accuracy(val.labels, predicted)
    print(f"{bundle}: accuracy {reached:.4f} on val, read back through the predictor")
    if reached < expected - 0.003:
        raise SystemExit(f"expected an accuracy of {expected:.4f}, give or take two photos")


@dataclass(frozen=True)
class Judged:
    """What was fitted to a network, and how good it is."""

    known: FeatureSubspace
    calibration: ScaledCalibration
    metrics: dict[str, SplitMetrics]
    unfamiliarity_median: float | None


def flat_metrics(metrics: Mapping[str, SplitMetrics]) -> dict[str, Metric]:
    """All metrics by name; those of `val` have none of the split before them."""
    return {
        name if split == "val" else f"{split}: {name}": metric
        for split, measured in metrics.items()
        for name, metric in measured.values.items()
    }


def say_epoch(record: EpochRecord) -> None:
    """Print how an epoch went."""
    print(
        f"  epoch {record.epoch}: loss {record.train_loss:.3f}, val {record.val_loss:.3f}, "
        f"val accuracy {record.val_accuracy:.2%}, {record.seconds:.0f} s",
        flush=True,
    )
