"""Several models on the same photos: which is better, beyond luck, and at what cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Bundle, load_bundle
from binsight.bundle.container import MODEL_NAME
from binsight.errors import DatasetError, TaxonomyError
from binsight.evaluation.bootstrap import bootstrap_intervals
from binsight.evaluation.evaluate import check_labels
from binsight.evaluation.figures import class_means, edge_interval
from binsight.evaluation.labelled import LabelledSet
from binsight.evaluation.overlap import find_overlap
from binsight.evaluation.results import json_ready
from binsight.evaluation.scoring import Unreadable, score_photos
from binsight.evaluation.significance import PairedTest, adjust_holm, mcnemar_exact
from binsight.imaging import prepare_photo, read_photo
from binsight.predictor import Predictor, time_in_turn
from binsight.probability.intervals import Interval, share_interval
from binsight.progress import Stage, unheard_stage
from binsight.taxonomy import Taxonomy

__all__ = ["Comparison", "Contestant", "Pair", "compare_bundles", "compare_contestants", "is_on_front"]


@dataclass(frozen=True, eq=False)
class Contestant:
    """One model of a comparison, measured.

    Attributes:
        name: as it is shown; all differ.
        predicted: `(n,)`, the class of each of the photos that all models saw.
        model_bytes: of its network's file.
        engine_ms: median time of one run of the network for one photo, in milliseconds.
        notes: further figures by title, such as the accuracy in cross-validation.
    """

    name: str
    predicted: NDArray[np.intp]
    model_bytes: int
    engine_ms: float
    notes: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One model's line in the table.

    Attributes:
        name: of the model.
        accuracy: with its 95 % interval.
        macro_f1: with its 95 % interval.
        engine_ms: median time of one run of the network, in milliseconds.
        model_bytes: of its network's file.
        is_best_for_time: no other is both faster and more accurate.
        is_best_for_size: no other is both smaller and more accurate.
        notes: further figures by title.
    """

    name: str
    accuracy: Interval
    macro_f1: Interval
    engine_ms: float
    model_bytes: int
    is_best_for_time: bool
    is_best_for_size: bool
    notes: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two models on the same photos.

    Attributes:
        first: name.
        second: name.
        test: on how many photos only one of them is right.
        adjusted_p: the p-value, adjusted for the number of pairs (Holm).
    """

    first: str
    second: str
    test: PairedTest
    adjusted_p: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Models side by side on the same photos.

    Attributes:
        split: what the photos are called.
        photos: how many all of them saw.
        entries: the models in the order given.
        pairs: every two of them.
        unreadable: photos that were left out.
        seen: of each model that has seen some of the photos its name and what for, a sentence.
        lacking: of each model that does not have some of the photos' classes its name and which, a sentence.
    """

    split: str
    photos: int
    entries: tuple[Entry, ...]
    pairs: tuple[Pair, ...]
    unreadable: tuple[Unreadable, ...] = ()
    seen: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form; what is undefined is null."""
        found: dict[str, Any] = json_ready(self)
        for entry in found["entries"]:
            entry["notes"] = dict(entry["notes"])
        return {"format": 1, **found}


def compare_bundles(
    bundles: Sequence[str | Path],
    photos: LabelledSet,
    taxonomy: Taxonomy,
    *,
    split: str = "val",
    workers: int | None = None,
    seed: int = 0,
    stage: Stage = unheard_stage,
) -> Comparison:
    """Classify the same photos with several bundles.

    Args:
        bundles: folders or zips, at least two.
        photos: labelled with positions in `taxonomy`.
        taxonomy: the classes; a bundle may have them in any order, and no others. Photos of a class that it does not
            have count as mistakes.
        split: what the photos are called.
        workers: photos in work at a time; by default one per core.
        seed: of the bootstrap.
        stage: told what begins, and how far it is.

    Raises:
        DatasetError: there are fewer than two bundles, or a label is no class.
        TaxonomyError: a bundle has other classes.
        InputError: there is no such bundle.
        BundleError: a bundle is malformed, or its network fails.
    """
    if len(bundles) < 2:
        raise DatasetError(f"expected at least two models to compare, got {len(bundles)}")
    check_labels(photos, taxonomy)
    loaded = [load_bundle(bundle) for bundle in bundles]
    orders = [_class_order(bundle, taxonomy) for bundle in loaded]
    contestants, seen = [], photos
    unreadable: tuple[Unreadable, ...] = ()
    for bundle, order, name in zip(loaded, orders, _names(loaded), strict=True):
        scores, kept, faults = score_photos(
            Predictor(bundle, threads=1), seen.paths, names=seen.name, workers=workers, progress=stage(name)
        )
        # What one cannot read none can; the first tells.
        seen, unreadable = seen.take(kept), (*unreadable, *faults)
        notes = (("accepted", float(scores.accepted.mean())),)
        size = bundle.manifest.files[MODEL_NAME].size
        contestants.append(Contestant(name, order[scores.predicted], size, math.nan, notes))
    stage("Timing")
    times = time_in_turn([_one_run(bundle, seen.paths[0]) for bundle in loaded])
    timed = [replace(c, engine_ms=ms) for c, ms in zip(contestants, times, strict=True)]
    found = compare_contestants(timed, seen.labels, split=split, copies=seen.copies, unreadable=unreadable, seed=seed)
    overlaps = [find_overlap(bundle, seen, workers=workers) for bundle in loaded]
    told = [
        f"{c.name}: {text}"
        for c, overlap in zip(timed, overlaps, strict=True)
        if overlap is not None and (text := overlap.counts().describe())
    ]
    shown = [taxonomy.ids[label] for label in np.unique(seen.labels)]
    lacking = [
        f"{c.name} has no {', '.join(missing)}: these photos count as mistakes"
        for c, bundle in zip(timed, loaded, strict=True)
        if (missing := [name for name in shown if name not in bundle.manifest.taxonomy.ids])
    ]
    return replace(found, seen=tuple(told), lacking=tuple(lacking))


def compare_contestants(
    contestants: Sequence[Contestant],
    labels: NDArray[np.intp],
    *,
    split: str,
    copies: NDArray[np.intp] | None = None,
    unreadable: tuple[Unreadable, ...] = (),
    seed: int = 0,
) -> Comparison:
    """Put measured models side by side: intervals, every two of them tested, and who is beaten by none.

    Args:
        contestants: with the predictions for the n photos.
        labels: `(n,)`.
        split: what the photos are called.
        copies: `(n,)`, copies of one photo have the same number and count as one observation; None: there are none.
        unreadable: photos that were left out.
        seed: of the bootstrap; all models are judged on the same resamples.
    """
    copies = np.arange(len(labels)) if copies is None else copies
    correct = [c.predicted == labels for c in contestants]
    pairs = list(combinations(range(len(contestants)), 2))
    tests = [mcnemar_exact(correct[a], correct[b], copies) for a, b in pairs]
    adjusted = adjust_holm([test.p_value for test in tests])
    right = [float(c.mean()) for c in correct]
    times, sizes = [c.engine_ms for c in contestants], [float(c.model_bytes) for c in contestants]
    return Comparison(
        split=split,
        photos=len(labels),
        entries=tuple(
            Entry(
                c.name, *_intervals(c.predicted, labels, copies, seed), c.engine_ms, c.model_bytes,
                is_on_front(i, right, times), is_on_front(i, right, sizes), c.notes,
            )
            for i, c in enumerate(contestants)
        ),
        pairs=tuple(
            Pair(contestants[a].name, contestants[b].name, test, p)
            for (a, b), test, p in zip(pairs, tests, adjusted, strict=True)
        ),
        unreadable=unreadable,
    )  # fmt: skip


def is_on_front(position: int, accuracy: Sequence[float], cost: Sequence[float]) -> bool:
    """Whether no other model is at least as accurate for at most the cost, and better in one of the two."""
    mine = accuracy[position], cost[position]
    return not any(a >= mine[0] and c <= mine[1] and (a, c) != mine for a, c in zip(accuracy, cost, strict=True))


def _one_run(bundle: Bundle, photo: Path) -> Callable[[], object]:
    """One run of the network on a photo, all cores sharing it."""
    predictor = Predictor(bundle)
    prepared = prepare_photo(read_photo(photo), predictor.spec)[None]
    return lambda: predictor.run(prepared)


def _intervals(
    predicted: NDArray[np.intp], labels: NDArray[np.intp], copies: NDArray[np.intp], seed: int
) -> tuple[Interval, Interval]:
    """Accuracy and macro F1."""
    size = int(max(labels.max(), predicted.max())) + 1
    true, named = np.eye(size)[labels], np.eye(size)[predicted]
    found = bootstrap_intervals(lambda w: class_means(w @ (true * named), w @ true, w @ named), [copies], seed=seed)
    return share_interval(predicted == labels, copies), edge_interval(found["macro_f1"], labels, copies)


def _class_order(bundle: Bundle, taxonomy: Taxonomy) -> NDArray[np.intp]:
    """For each output of the bundle's network the position of its class in `taxonomy`."""
    ids = bundle.manifest.taxonomy.ids
    if differing := sorted(set(ids) - set(taxonomy.ids)):
        raise TaxonomyError(
            f"{bundle.path}: expected classes of {taxonomy.name!r}, which has {', '.join(taxonomy.ids)}; "
            f"differing: {', '.join(differing)}"
        )
    return np.array([taxonomy.index(name) for name in ids], np.intp)


def _names(bundles: Sequence[Bundle]) -> list[str]:
    """Name and version of each; the path too where these are not enough."""
    labels = [bundle.label for bundle in bundles]
    names = [f"{b.label} ({b.path})" if labels.count(b.label) > 1 else b.label for b in bundles]
    return [f"{name} #{i + 1}" if names.count(name) > 1 else name for i, name in enumerate(names)]
