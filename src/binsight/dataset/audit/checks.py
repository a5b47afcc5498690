"""Looks at a data set before anything is trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binsight.dataset.audit.balance import balance_findings
from binsight.dataset.audit.copies import copy_findings
from binsight.dataset.audit.discriminant import out_of_fold
from binsight.dataset.audit.findings import KINDS, Audit, Finding, Severity, Skipped
from binsight.dataset.audit.labels import suggest_labels
from binsight.dataset.audit.measure import Measurements, measure_photos
from binsight.dataset.audit.quality import quality_findings
from binsight.dataset.audit.settings import AuditSettings
from binsight.dataset.audit.shortcuts import check_shortcuts
from binsight.dataset.duplicates import connected_groups, find_duplicates
from binsight.dataset.samples import Dataset
from binsight.predictor import Predictor, one_blas_thread
from binsight.probability.folds import spread_folds
from binsight.progress import Stage, unheard_stage

__all__ = ["audit"]

# Frozen features have many more dimensions than a class has photos (docs/audit.md, "Label errors").
_SHRINKAGE = 0.6
_LEAST_PHOTOS = 10  # of a class, to say anything about its labels
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class _Subset:
    """The photos that classes can be studied on: decoded, of classes with enough of them."""

    positions: NDArray[np.intp]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    classes: list[str]


def audit(
    dataset: Dataset,
    *,
    settings: AuditSettings | None = None,
    predictor: Predictor | None = None,
    cache: str | Path | None = None,
    workers: int | None = None,
    stage: Stage = unheard_stage,
) -> Audit:
    """Find what is wrong with a data set. No photo is changed.

    Args:
        dataset: as `scan` gives it.
        settings: where the line is drawn.
        predictor: whose frozen features are used to find wrong labels and outliers, loaded with `threads=1`; None
            skips both checks.
        cache: an SQLite file that remembers what was measured, by content; made when it is missing.
        workers: threads; by default one per core.
        stage: called with the name of each stage; gives the function that its steps are reported to.
    """
    settings = settings or AuditSettings()
    reading = stage("Reading photos")
    found = measure_photos(dataset, predictor=predictor, cache=cache, workers=workers, progress=reading)
    pairs = find_duplicates(
        found.prints, threshold=settings.near_similarity, workers=workers, progress=stage("Comparing photos")
    )
    groups = connected_groups(len(dataset), ((pair.first, pair.second) for pair in pairs))
    copies = copy_findings(dataset, pairs, groups)
    subset = _subset(dataset, found, groups, settings.seed)
    if subset is None:
        studied = _Studied((), {}, _skipped(f"fewer than two classes with {_LEAST_PHOTOS} photos or more", "shortcut"))
    else:
        conflicting = {i for finding in copies if finding.kind == "label_conflict" for i in finding.files}
        no_features = "no model was given" if predictor is None else "the model's network gives no features"
        studied = _study(found, subset, conflicting, settings, workers, no_features=no_features)
    findings = [*quality_findings(dataset, found, settings), *copies, *balance_findings(dataset, settings)]
    order = {kind: i for i, kind in enumerate(KINDS)}
    # Stable: within a kind the order says something.
    findings = sorted([*findings, *studied.findings], key=lambda finding: order[finding.kind])
    return Audit(
        dataset, tuple(findings), tuple(pairs), tuple(groups), studied.shortcuts, studied.skipped, asdict(settings)
    )


@dataclass(frozen=True, slots=True)
class _Studied:
    """What comparing the classes has shown, and which checks could not be made."""

    findings: tuple[Finding, ...]
    shortcuts: dict[str, Any]
    skipped: tuple[Skipped, ...]


def _skipped(reason: str, *more: str) -> tuple[Skipped, ...]:
    return tuple(Skipped(check, reason) for check in ("label_error", "outlier", *more))


def _subset(dataset: Dataset, found: Measurements, groups: Sequence[int], seed: int) -> _Subset | None:
    usable = found.usable
    counts = np.bincount(dataset.labels[usable], minlength=len(dataset.classes))
    kept = np.flatnonzero(counts >= _LEAST_PHOTOS)
    if len(kept) < 2:
        return None
    positions = np.flatnonzero(usable & np.isin(dataset.labels, kept))
    labels = np.searchsorted(kept, dataset.labels[positions])
    folds = spread_folds(labels, [groups[int(i)] for i in positions], folds=_FOLDS, seed=seed)
    return _Subset(positions, labels, folds, [dataset.classes[i] for i in kept])


def _study(
    found: Measurements,
    subset: _Subset,
    conflicting: set[int],
    settings: AuditSettings,
    workers: int | None,
    *,
    no_features: str,
) -> _Studied:
    with one_blas_thread():
        looks = Measurements(found.prints, found.look[subset.positions], None)
        shortcuts = check_shortcuts(looks, subset.labels, subset.folds, subset.classes, workers=workers)
        findings = _shortcut_findings(shortcuts, settings)
        if found.features is None:
            return _Studied(tuple(findings), shortcuts, _skipped(no_features))
        everything = len(subset.positions) == len(found.features)
        rows = found.features if everything else found.features[subset.positions]
        result = out_of_fold(rows, subset.labels, subset.folds, shrinkage=_SHRINKAGE, workers=workers)
    findings += _label_findings(result.probabilities, subset, conflicting)
    findings += _outlier_findings(result.distance, subset, settings)
    return _Studied(tuple(findings), shortcuts, ())


def _label_findings(probabilities: NDArray[np.float64], subset: _Subset, conflicting: set[int]) -> list[Finding]:
    """Copies with different labels are reported as such; suggesting a label for each would say it twice."""
    findings = []
    for suggestion in suggest_labels(probabilities, subset.labels):
        position = int(subset.positions[suggestion.position])
        if position in conflicting:
            continue
        label, other = subset.classes[suggestion.label], subset.classes[suggestion.suggested]
        message = (
            f"labelled {label} ({suggestion.label_probability:.0%} likely), looks like {other} "
            f"({suggestion.suggested_probability:.0%})"
        )
        details = {
            "label": label,
            "suggested": other,
            "label_probability": round(suggestion.label_probability, 4),
            "suggested_probability": round(suggestion.suggested_probability, 4),
        }
        severity: Severity = "warning" if suggestion.is_confident else "info"
        findings.append(Finding("label_error", severity, (position,), message, "look at it and correct it", details))
    return findings


def _outlier_findings(distance: NDArray[np.float64], subset: _Subset, settings: AuditSettings) -> list[Finding]:
    score = np.log(np.maximum(distance, 1e-9))
    middle = float(np.median(score))
    # 1.4826 makes the median deviation of a normal distribution its standard deviation.
    spread = 1.4826 * float(np.median(np.abs(score - middle))) + 1e-9
    z = (score - middle) / spread
    order = np.argsort(-z, kind="stable")
    findings = []
    for i in order[: int((z > settings.outlier_z).sum())]:
        message = f"unlike the photos of every class ({z[i]:.1f} robust standard deviations from typical)"
        action = "check that it shows waste of its class, and nothing but that"
        findings.append(
            Finding("outlier", "info", (int(subset.positions[i]),), message, action, {"z": round(float(z[i]), 2)})
        )
    return findings


def _shortcut_findings(shortcuts: dict[str, Any], settings: AuditSettings) -> list[Finding]:
    findings = []
    for group, result in sorted(shortcuts["groups"].items(), key=lambda item: -item[1]["gain"]):
        given_away = sorted(
            (name for name, told in result["told"].items() if told >= settings.shortcut_told),
            key=lambda name: -result["told"][name],
        )
        if group not in _REASONS or not (given_away or result["gain"] >= settings.shortcut_gain):
            continue
        message = (
            f"the {group} alone tells the class in {result['balanced_accuracy']:.0%} of cases "
            f"({shortcuts['chance']:.0%} by chance)"
        )
        if given_away:
            message += "; it gives away " + ", ".join(f"{n} ({result['recall'][n]:.0%} recognised)" for n in given_away)
        details = {"group": group, "given_away": given_away, **result}
        findings.append(Finding("shortcut", "warning", (), message, _REASONS[group], details))
    return findings


_REASONS = {
    "size": "bring all photos to one size before training, and take classes from several sources",
    "aspect ratio": "crop all photos to one shape, and take classes from several sources",
    "file size": "store all photos at one size and quality",
    "compression": "store all photos with one encoder and quality; compress at random in training",
    "border colour": "take photos on other backgrounds; crop, or replace backgrounds, in training",
    "mean colour": "take photos in other light and on other backgrounds; vary colours in training",
}
