"""Measure a bundle on labelled photos."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Bundle, load_bundle
from binsight.errors import DatasetError
from binsight.evaluation.costs import StreamCosts, default_costs
from binsight.evaluation.figures import confusion_matrix, measure_scores, stream_positions
from binsight.evaluation.labelled import LabelledSet
from binsight.evaluation.measures import CROSS_FITTED
from binsight.evaluation.mistakes import Mistake, add_pictures, find_mistakes
from binsight.evaluation.overlap import Overlap, find_overlap
from binsight.evaluation.reliability import equal_width_bins, expected_error_if_calibrated, reliability_bins
from binsight.evaluation.results import Evaluation, Group, Model, Reliability, Review, Streams, TwoHeads
from binsight.evaluation.robustness import Robustness, measure_robustness
from binsight.evaluation.scoring import Scores, Unreadable, cross_fit, score_photos
from binsight.evaluation.selective import operating_point, risk_coverage, target_thresholds
from binsight.evaluation.significance import mcnemar_exact
from binsight.evaluation.speed import PhotoTimes, measure_speed
from binsight.evaluation.unknown import measure_unknown
from binsight.predictor import Predictor
from binsight.probability.calibration import calibrate, fit_temperature
from binsight.probability.intervals import Interval, share_interval
from binsight.progress import Progress, Stage, unheard_stage
from binsight.settings import check_section, setting
from binsight.taxonomy import Taxonomy

__all__ = ["EvaluationSettings", "check_labels", "evaluate_bundle", "score_bundle"]

_SIGNIFICANT = 0.05
_LEAST_CROSS_FITTED = 10  # photos


@dataclass(frozen=True)
class EvaluationSettings:
    """What shapes the figures.

    Attributes:
        costs: of wrong streams; None: those of `docs/evaluation.md`. The other settings say what they mean themselves.

    Raises:
        SettingsError: listing every value that is out of its range.
    """

    target_precision: float = setting(0.993, "For which review thresholds are chosen.", low=1e-9, high=1)
    costs: StreamCosts | None = None
    bins: int = setting(15, "Of the calibration errors.", low=1)
    resamples: int = setting(2000, "Of the bootstrap.", low=1)
    seed: int = setting(0, "Of everything that is random.", low=0)
    robustness_photos: int = setting(200, "At most so many are degraded, of each class its share.", low=1)
    timed_photos: int = setting(50, "At most so many are timed.", low=1)
    pictured_mistakes: int = setting(60, "At most so many mistakes get pictures.", low=0)

    def __post_init__(self) -> None:
        check_section(self, "evaluation")


def evaluate_bundle(
    bundle: str | Path,
    photos: LabelledSet,
    *,
    unknown: Sequence[Path] = (),
    robustness: bool = True,
    split: str = "val",
    settings: EvaluationSettings | None = None,
    workers: int | None = None,
    stage: Stage = unheard_stage,
) -> Evaluation:
    """Measure everything about a bundle that labelled photos can tell.

    On photos that the bundle's temperatures and thresholds were fitted on, as it records them, the figures that depend
    on these are given a second time, cross-fitted, as `…_cross_fitted`.

    Args:
        bundle: a folder or zip.
        photos: labelled with positions in the bundle's taxonomy.
        unknown: photos of things that are none of its classes.
        robustness: whether to measure degraded photos, 25 times the work for each of up to 200.
        split: what the photos are called.
        settings: what shapes the figures.
        workers: photos in work at a time; by default one per core.
        stage: told what begins, and how far it is.

    Raises:
        InputError: there is no such bundle.
        BundleError: the bundle is malformed, or its network fails.
        DatasetError: a label is no class of the bundle, or none of the photos can be read.
    """
    settings = settings or EvaluationSettings()
    predictor, scores, kept, unreadable = score_bundle(bundle, photos, workers=workers, progress=stage("Classifying"))
    loaded, seen = predictor.bundle, photos.take(kept)
    values = _values(scores, seen, predictor.taxonomy, settings) | _class_values(scores, seen, predictor.taxonomy)
    overlap = find_overlap(loaded, seen, workers=workers)
    values |= _cross_fitted(scores, seen, overlap, predictor.taxonomy, settings)
    strange = None
    found: dict[str, Interval] = {}
    if unknown:
        strange, found = measure_unknown(
            predictor, unknown, scores, copies=seen.copies, resamples=settings.resamples, seed=settings.seed,
            workers=workers, name=_below_common_folder(unknown), progress=stage("Unknown photos"),
        )  # fmt: skip
    table = _robustness(predictor, seen, settings, workers, stage("Degraded photos")) if robustness else None
    stage("Timing")
    speed = measure_speed(loaded, [seen.paths[i] for i in seen.spread(settings.timed_photos)])
    values |= found | _robustness_values(table) | _speed_values(speed)
    mistakes = find_mistakes(scores, photos, kept, predictor.taxonomy)
    return Evaluation(
        model=_model(loaded),
        taxonomy=predictor.taxonomy,
        split=split,
        photos=len(seen),
        unreadable=unreadable,
        values={name: value for name, value in values.items() if not math.isnan(value.value)},
        confusion=_counts(seen.labels, scores.predicted, len(predictor.taxonomy)),
        biodegradable=_two_heads(scores, seen, predictor.taxonomy),
        streams=_streams(scores, seen.labels, predictor.taxonomy, settings.costs or default_costs()),
        overlap=None if overlap is None else overlap.counts(),
        calibration=_calibration(scores, seen.labels, loaded, settings),
        review=_review(scores, seen, loaded, settings),
        unknown=strange,
        robustness=table,
        speed=speed,
        groups=_groups(scores, seen),
        mistakes=_pictured(mistakes, predictor, photos, settings, workers, stage("Heat maps")),
        settings={k: v for k, v in asdict(settings).items() if k != "costs"},
    )


def score_bundle(
    bundle: str | Path, photos: LabelledSet, *, workers: int | None, progress: Progress
) -> tuple[Predictor, Scores, NDArray[np.intp], tuple[Unreadable, ...]]:
    """Classify labelled photos with a bundle.

    Returns:
        The loaded bundle with one thread, and what `score_photos` returns.

    Raises:
        InputError: there is no such bundle.
        BundleError: the bundle is malformed, or its network fails.
        DatasetError: a label is no class of the bundle, or none of the photos can be read.
    """
    predictor = Predictor(load_bundle(bundle), threads=1)
    check_labels(photos, predictor.taxonomy)
    return predictor, *score_photos(predictor, photos.paths, names=photos.name, workers=workers, progress=progress)


def check_labels(photos: LabelledSet, taxonomy: Taxonomy) -> None:
    """Make sure that every label is a position in the taxonomy.

    Raises:
        DatasetError: one is not.
    """
    largest = int(photos.labels.max())
    if largest >= len(taxonomy):
        raise DatasetError(f"expected labels below {len(taxonomy)}, the classes of {taxonomy.name!r}, got {largest}")


def _below_common_folder(paths: Sequence[Path]) -> Callable[[Path], str]:
    """Shows a path relative to the folder that holds all of them."""
    folder = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    return lambda path: path.absolute().relative_to(folder).as_posix()


def _model(bundle: Bundle) -> Model:
    manifest = bundle.manifest
    return Model(manifest.name, manifest.version, manifest.created, str(bundle.path))


def _values(scores: Scores, seen: LabelledSet, taxonomy: Taxonomy, settings: EvaluationSettings) -> dict[str, Interval]:
    return measure_scores(
        scores, seen.labels, taxonomy, seen.copies,
        costs=settings.costs, bins=settings.bins, resamples=settings.resamples, seed=settings.seed,
    )  # fmt: skip


def _cross_fitted(
    scores: Scores, seen: LabelledSet, overlap: Overlap | None, taxonomy: Taxonomy, settings: EvaluationSettings
) -> dict[str, Interval]:
    """The figures that depend on what was fitted on some of these photos, these judged by what is fitted on others."""
    if overlap is None or not overlap.calibrated.any() or len(seen) < _LEAST_CROSS_FITTED:
        return {}
    targets = overlap.targets

    def judge(fit: NDArray[np.intp], fold: NDArray[np.intp]) -> Scores:
        fitted = calibrate(scores.network.take(fit), seen.labels[fit], targets, groups=seen.copies[fit])
        return Scores.of(scores.network.take(fold), fitted)

    crossed = cross_fit(scores, seen.labels, judge, chosen=overlap.calibrated, copies=seen.copies, seed=settings.seed)
    if crossed is None:
        return {}
    found = _values(crossed, seen, taxonomy, settings)
    return {other: found[name] for name, other in CROSS_FITTED.items() if name in found}


def _class_values(scores: Scores, seen: LabelledSet, taxonomy: Taxonomy) -> dict[str, Interval]:
    """Recall, precision and F1 of each class with score intervals, which hold for few photos and no mistakes.

    `F1 = 2 J / (1 + J)`, where J is the share of right ones among the photos that are of the class or taken for it.
    """
    found: dict[str, Interval] = {}
    for c, name in enumerate(taxonomy.ids):
        true, named = seen.labels == c, scores.predicted == c
        recall, precision, overlap = (
            share_interval((true & named)[whole], seen.copies[whole]) for whole in (true, named, true | named)
        )
        f1 = (2 * share / (1 + share) for share in (overlap.value, overlap.low, overlap.high))
        found |= {f"recall.{name}": recall, f"precision.{name}": precision, f"f1.{name}": Interval(*f1)}
    return found


def _robustness(
    predictor: Predictor, seen: LabelledSet, settings: EvaluationSettings, workers: int | None, progress: Progress
) -> Robustness:
    chosen = seen.take(seen.spread(settings.robustness_photos))
    return measure_robustness(
        predictor, chosen.paths, chosen.labels, of=len(seen), seed=settings.seed, workers=workers, progress=progress
    )


def _robustness_values(table: Robustness | None) -> dict[str, Interval]:
    if table is None:
        return {}
    means = {f"robust_accuracy.{r.name}": [cell.accuracy.value for cell in r.cells] for r in table.rows}
    found = {"robust_accuracy": table.mean_accuracy} | {name: float(np.mean(v)) for name, v in means.items()}
    return {name: _bare(value) for name, value in found.items()}


def _speed_values(speed: PhotoTimes) -> dict[str, Interval]:
    found = {"decode_ms": speed.decode_ms, "engine_ms": speed.engine_ms, "model_mb": speed.model_bytes / 1e6}
    return {name: _bare(value) for name, value in found.items()}


def _bare(value: float) -> Interval:
    return Interval(value, float("nan"), float("nan"))


def _counts(labels: NDArray[np.intp], predicted: NDArray[np.intp], size: int) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, confusion_matrix(labels, predicted, size).tolist()))


def _two_heads(scores: Scores, seen: LabelledSet, taxonomy: Taxonomy) -> TwoHeads | None:
    if scores.biodegradable is None:
        return None
    mask = np.asarray(taxonomy.biodegradable_mask)
    by_sum = scores.probabilities[:, mask].sum(axis=1) > 0.5
    truth = mask[seen.labels]
    test = mcnemar_exact((scores.biodegradable > 0.5) == truth, by_sum == truth, seen.copies)
    winner = "head" if test.only_first > test.only_second else "sum"
    return TwoHeads(winner if test.p_value < _SIGNIFICANT else "neither", test)


def _streams(scores: Scores, labels: NDArray[np.intp], taxonomy: Taxonomy, costs: StreamCosts) -> Streams:
    names, stream_of = stream_positions(taxonomy)
    matrix = tuple(map(tuple, costs.matrix(names).tolist()))
    counts = _counts(stream_of[labels], stream_of[scores.predicted], len(names))
    return Streams(names, counts, matrix, costs.name, costs.review)


def _calibration(scores: Scores, labels: NDArray[np.intp], bundle: Bundle, settings: EvaluationSettings) -> Reliability:
    bin_of = equal_width_bins(scores.confidence, settings.bins)
    return Reliability(
        temperature=bundle.manifest.temperature,
        fitted_temperature=fit_temperature(scores.network.logits, labels),
        bins=reliability_bins(scores.confidence, scores.predicted == labels, bin_of, bins=settings.bins),
        expected=expected_error_if_calibrated(scores.confidence, bin_of, seed=settings.seed),
    )


def _review(scores: Scores, seen: LabelledSet, bundle: Bundle, settings: EvaluationSettings) -> Review:
    review, correct = bundle.manifest.review, scores.predicted == seen.labels
    target = target_thresholds(
        scores, seen.labels, review,
        target_precision=settings.target_precision, copies=seen.copies, seed=settings.seed,
    )  # fmt: skip
    curve = risk_coverage(scores.confidence, correct)
    return Review(curve, operating_point(scores, correct), review.confidence, target)


def _groups(scores: Scores, seen: LabelledSet) -> tuple[Group, ...]:
    if seen.groups is None:
        return ()
    names = np.array(seen.groups)
    correct, accepted = scores.predicted == seen.labels, scores.accepted
    found = []
    for name in sorted(set(seen.groups)):
        own = names == name
        right = share_interval(correct[own], seen.copies[own])
        passed = own & accepted
        precision = float(correct[passed].mean()) if passed.any() else float("nan")
        found.append(Group(name, int(np.count_nonzero(own)), right, float(accepted[own].mean()), precision))
    return tuple(found)


def _pictured(
    mistakes: Sequence[Mistake],
    predictor: Predictor,
    photos: LabelledSet,
    settings: EvaluationSettings,
    workers: int | None,
    progress: Progress,
) -> tuple[Mistake, ...]:
    count = settings.pictured_mistakes
    drawn = add_pictures(mistakes[:count], predictor, photos, workers=workers, progress=progress)
    return (*drawn, *mistakes[count:])
