"""What the recipe says of its seeds, and the last check of what it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from photos import Photos

from binsight.bundle import verify_bundle
from binsight.evaluation.metrics import accuracy
from binsight.predictor import Predictor, available_cores, predict_files
from binsight.predictor.prediction import Prediction
from binsight.taxonomy import Taxonomy


def seed_rows(seeds: Sequence[dict[str, float]]) -> list[str]:
    """Each metric over the seeds: mean, and the half-width of Student's 95 % interval of the mean."""
    from scipy.stats import t  # noqa: PLC0415

    rows = []
    for name in seeds[0]:
        values = np.array([seed[name] for seed in seeds])
        half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        rows.append(f"| {name} | {values.mean():.4f} | ± {half:.4f} | {', '.join(f'{v:.4f}' for v in values)} |")
    return rows


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
