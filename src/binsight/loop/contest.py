"""Two bundles on the same photos: what the gate judges."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Bundle, load_bundle
from binsight.dataset import Dataset, scan
from binsight.dataset.duplicates import duplicate_groups
from binsight.dataset.labels import resolve_classes
from binsight.errors import DatasetError, TaxonomyError
from binsight.evaluation.labelled import LabelledSet
from binsight.evaluation.overlap import find_overlap
from binsight.evaluation.scoring import score_photos
from binsight.loop.gate import Cost, Judged, Pair
from binsight.loop.looks import digest_of
from binsight.predictor import Predictor, time_in_turn
from binsight.progress import Stage, unheard_stage
from binsight.taxonomy import name_key

__all__ = ["HARD", "LOCKED", "Contest", "hold_contest"]

LOCKED: Final = "locked"
"""The split of photos that no model may ever see in training, and that the gate looks at ten times."""

HARD: Final = "hard"
"""The split of photos that were hard for the models before."""

_NOT_WASTE: Final = "not-waste"
_UNKNOWN: Final = -1


@dataclass(frozen=True, eq=False)
class Contest:
    """Both models on the photos.

    Attributes:
        split: where the proof is sought.
        digest: names these photos, whatever their order.
        locked: both on them.
        hard: both on hard ones; None: there are none.
        cost: the challenger's.
        left_out: photos that one of them has learned from, or that could not be read.
    """

    split: str
    digest: str
    locked: Pair
    hard: Pair | None
    cost: Cost
    left_out: int


def hold_contest(
    challenger: Path,
    champion: Path,
    data: Path,
    *,
    split: str | None = None,
    meanings: Mapping[str, str] | None = None,
    look: Callable[[str, Sequence[str]], None] = lambda _split, _photos: None,
    workers: int | None = None,
    stage: Stage = unheard_stage,
) -> Contest:
    """Let both classify the photos.

    Args:
        challenger: a bundle.
        champion: another, with the same classes.
        data: a folder per class, or a manifest; photos of no class lie in `not-waste`.
        split: where the proof is sought; None: `locked`, or `val`, or all where there are no splits.
        meanings: class name of the data → what it means in the models, or `not-waste`; empty: it is left out.
        look: called with the split and the SHA-256 of its photos before anybody looks at them; may refuse.
        workers: photos in work at a time; by default one per core.
        stage: told what begins, and how far it is.

    Raises:
        TaxonomyError: the models, or the photos, have other classes.
        DatasetError: there is no such split, or a model has learned from all of its photos.
        InputError: something is missing or cannot be read.
        BundleError: a bundle is not sound.
    """
    bundles = [load_bundle(path) for path in (champion, challenger)]
    _check_classes(bundles)
    found = _renamed(scan(data, progress=stage("Scanning"), workers=workers), meanings or {})
    split = found.find_split(split, usual=LOCKED if LOCKED in found.splits else "val") or "all"
    proof, hard = (found if split == "all" else found.in_split(split)), found.in_split(HARD)
    photos = [s.sha256 or hashlib.sha256(s.path.encode()).hexdigest() for s in proof]
    look(split, photos)
    predictors = [Predictor(bundle, threads=1) for bundle in bundles]
    locked, left_out = _pair(proof, bundles, predictors, workers, stage, "the photos")
    pair = None
    if len(hard) and split != HARD:
        pair, more = _pair(hard, bundles, predictors, workers, stage, "hard photos")
        left_out += more
    return Contest(split, digest_of(photos), locked, pair, _cost(bundles), left_out)


def _check_classes(bundles: Sequence[Bundle]) -> None:
    old, new = (set(bundle.manifest.taxonomy.ids) for bundle in bundles)
    if old != new:
        raise TaxonomyError(
            f"expected two models with the same classes; only the champion has {', '.join(sorted(old - new)) or 'none'}"
            f", only the challenger {', '.join(sorted(new - old)) or 'none'}"
        )


def _renamed(found: Dataset, meanings: Mapping[str, str]) -> Dataset:
    """The data set with the classes that are meant; those that mean nothing are left out."""
    means = {name: name for name in found.classes}
    means |= {found.find_class(name): meaning for name, meaning in meanings.items()}
    kept = tuple(replace(s, class_id=means[s.class_id]) for s in found if means[s.class_id])
    return replace(found, classes=tuple(sorted({s.class_id for s in kept})), samples=kept, taxonomy=None)


def _pair(
    found: Dataset,
    bundles: Sequence[Bundle],
    predictors: Sequence[Predictor],
    workers: int | None,
    stage: Stage,
    of: str,
) -> tuple[Pair, int]:
    taxonomy = bundles[0].manifest.taxonomy
    known = [name for name in found.classes if name_key(name) != name_key(_NOT_WASTE)]
    names = resolve_classes(known, taxonomy, where=str(found.root))
    position = {name: taxonomy.index(names[name]) if name in names else _UNKNOWN for name in found.classes}
    truth = np.array([position[s.class_id] for s in found], np.intp)
    copies = np.asarray(
        duplicate_groups(found, workers=workers, progress=stage(f"Looking for copies among {of}")), np.intp
    )
    paths = tuple(found.file(s) for s in found)
    photos = LabelledSet(paths, np.maximum(truth, 0), found.root, copies=copies)
    usable = np.ones(len(found), bool)
    for bundle in bundles:
        if (seen := find_overlap(bundle, photos, workers=workers)) is not None:
            usable &= ~seen.any
    if not usable.any():
        raise DatasetError(
            f"{found.root}: expected photos that neither model has learned from, got {len(found):,} others"
        )
    kept = np.flatnonzero(usable)
    scored = []
    for predictor, who in zip(predictors, ("champion", "challenger"), strict=True):
        progress = stage(f"Classifying {of}, {who}")
        scored.append(score_photos(predictor, [paths[i] for i in kept], workers=workers, progress=progress))
    readable = scored[0][1]
    rows = kept[readable]
    judged = [_judged(scores.probabilities, scores.accepted, truth[rows], b, taxonomy.ids)
              for (scores, _, _), b in zip(scored, bundles, strict=True)]  # fmt: skip
    return Pair(truth[rows], copies[rows], *judged), len(found) - len(rows)


def _judged(
    probabilities: NDArray[np.float64],
    accepted: NDArray[np.bool_],
    truth: NDArray[np.intp],
    bundle: Bundle,
    ids: Sequence[str],
) -> Judged:
    """The scores with the classes in the champion's order."""
    order = [bundle.manifest.taxonomy.index(name) for name in ids]
    own = probabilities[:, order]
    wanted = np.zeros_like(own)
    is_known = truth >= 0
    wanted[np.flatnonzero(is_known), truth[is_known]] = 1
    return Judged(own.argmax(axis=1).astype(np.intp), accepted, ((own - wanted) ** 2).sum(axis=1))


def _cost(bundles: Sequence[Bundle]) -> Cost:
    predictors = [Predictor(bundle) for bundle in bundles]
    greys = [np.full((1, *p.spec.size, 3), 127, np.uint8) for p in predictors]
    old_ms, new_ms = time_in_turn([lambda p=p, g=g: p.run(g) for p, g in zip(predictors, greys, strict=True)])  # type: ignore[misc]
    old, new = (sum(entry.size for entry in bundle.manifest.files.values()) for bundle in bundles)
    return Cost(new_ms / old_ms, new / old)
