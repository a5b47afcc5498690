"""The photos of one camera: read, named, seen by the network, copies found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import CameraPhotos
from binsight.dataset import Dataset, scan
from binsight.dataset.duplicates import connected_groups, duplicate_groups
from binsight.errors import DatasetError, TaxonomyError
from binsight.imaging import ImageLimits
from binsight.predictor import Outputs, Predictor, run_photos
from binsight.progress import Stage, unheard_stage
from binsight.taxonomy import Taxonomy, WasteClass, name_key

__all__ = ["FEWEST", "MOST", "MOST_TURNED", "NOT_WASTE", "SeenPhotos", "extend_taxonomy", "look", "look_at_camera"]

NOT_WASTE: Final = "not-waste"
"""The folder of a camera's empty places, and of whatever else is none of the classes."""

FEWEST, MOST = 3, 500
MOST_TURNED: Final = 30
"""Photos of a class, on average, up to which a lesson learns of them mirrored and turned too; more bring nothing."""

_SEEN: Final = ("features", "logits", "biodegradable_logit", "unfamiliarity")
_BURST: Final = 0.25  # of the distance that two photos of a class usually have: shots of one thing, moments apart


@dataclass(frozen=True, eq=False)
class SeenPhotos:
    """n photos of a camera.

    Attributes:
        taxonomy: the bundle's classes, and the new ones among these photos.
        paths: below the folder.
        digests: the SHA-256 of each file.
        photos: features and labels.
        views: `(n, v, d)`, the features of each photo mirrored and turned; v is 0 where there are many photos.
        groups: `(n,)`, photos of the same shot or burst have the same number.
        right_before: `(n,)`, which of them the bundle told rightly; of `not-waste`, none.
        accepted_before: `(n,)`, which of them it accepted.
        left_out: path → why a photo was not used.
    """

    taxonomy: Taxonomy
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    photos: CameraPhotos
    views: NDArray[np.float32]
    groups: NDArray[np.intp]
    right_before: NDArray[np.bool_]
    accepted_before: NDArray[np.bool_]
    left_out: Mapping[str, str]

    def take(self, rows: NDArray[np.bool_]) -> SeenPhotos:
        """Some of the photos."""
        chosen = np.flatnonzero(rows).tolist()
        return replace(
            self,
            paths=tuple(self.paths[i] for i in chosen),
            digests=tuple(self.digests[i] for i in chosen),
            photos=self.photos.take(rows),
            views=self.views[rows],
            groups=np.unique(self.groups[rows], return_inverse=True)[1].astype(np.intp),
            right_before=self.right_before[rows],
            accepted_before=self.accepted_before[rows],
        )

    def shots_among(self, features: NDArray[np.float32]) -> NDArray[np.bool_]:
        """`(m, n)`: which of m photos, by their `(m, d)` features, are of the same shot or burst as which of these."""
        near = np.zeros((len(features), len(self.photos)), bool)
        for label in np.unique(self.photos.labels) if len(features) else ():
            rows = self.photos.labels == label
            own = self.photos.features[rows]
            near[:, rows] = _distances(features, own) < _BURST * _usual_distance(_distances(own, own))
        return near


def extend_taxonomy(taxonomy: Taxonomy, new: Sequence[WasteClass]) -> Taxonomy:
    """The taxonomy with further classes behind its own; those it has already are passed over."""
    fresh = [entry for entry in new if entry.id not in taxonomy.ids]
    return Taxonomy(taxonomy.name, (*taxonomy.classes, *fresh)) if fresh else taxonomy


def look_at_camera(
    root: Path,
    predictor: Predictor,
    new_classes: Sequence[WasteClass] = (),
    *,
    workers: int,
    limits: ImageLimits | None = None,
    split: str | None = None,
    fewest: int = FEWEST,
    most: int = MOST,
    stage: Stage = unheard_stage,
) -> SeenPhotos:
    """Read a folder per class, and what the network makes of each photo.

    Args:
        root: the folder, or a manifest.
        predictor: of the bundle, loaded with `threads=1`.
        new_classes: what folders may be called beside the bundle's classes.
        workers: threads.
        split: only photos of this split; None: all.
        fewest: different photos that a class needs.
        most: photos of a class; of more as many are taken, evenly spread.
        limits: a larger photo is left out.
        stage: called with what is being done; the result is called with how much of it is.

    Raises:
        InputError: there is no such folder, or it cannot be read.
        DatasetError: too few classes or photos.
        TaxonomyError: a folder is called like none of the classes.
    """
    found = scan(root, progress=stage("Reading"), workers=workers, limits=limits)
    if split is not None:
        found = found.in_split(split)
    taxonomy = extend_taxonomy(predictor.taxonomy, new_classes)
    shown = {_match(name, taxonomy, root) for name in found.classes}
    taxonomy = extend_taxonomy(predictor.taxonomy, [entry for entry in new_classes if entry.id in shown])
    classes = {
        name: taxonomy.ids.index(i) if i else -1 for name in found.classes for i in [_match(name, taxonomy, root)]
    }
    broken = {s.path: s.error for s in found if s.error is not None}
    kept, too_many = _first_of_each(found.sound(), classes, most)
    run = partial(look, predictor, turns=len(kept) <= MOST_TURNED * len(classes))
    files = [kept.file(s) for s in kept]
    looked = run_photos(predictor, files, run=run, workers=workers, limits=limits, progress=stage("Looking"))
    damaged = {kept.samples[i].path: str(fault) for i, fault in looked.faults.items()}
    views, told, accepted = _said(predictor, taxonomy, looked.outputs)
    features = views[:, 0]
    left_out = {**broken, **too_many, **damaged}
    kept = kept.where(lambda s: s.path not in damaged)
    labels = np.array([classes[s.class_id] for s in kept], np.int64)
    copies = duplicate_groups(kept, workers=workers, progress=stage("Looking for copies"), limits=limits)
    torn = _in_two_classes(kept, labels, np.array(copies, np.intp))
    groups = _with_bursts(copies, features, labels)
    left_out |= torn
    rows = np.array([s.path not in torn for s in kept], bool)
    chosen = [s for s in kept if s.path not in torn]
    seen = SeenPhotos(
        taxonomy,
        tuple(s.path for s in chosen),
        tuple(s.sha256 or "" for s in chosen),
        CameraPhotos(features[rows], labels[rows]),
        views[rows, 1:],
        np.unique(groups[rows], return_inverse=True)[1].astype(np.intp),
        (told == labels)[rows],
        accepted[rows],
        left_out,
    )
    _check(seen, root, fewest)
    return seen


def _turned(inputs: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Photos `(n, h, w, 3)` mirrored, upside down and, where they are square, turned either way, once mirrored."""
    mirrored = inputs[:, :, ::-1]
    quarters = [np.rot90(inputs, axes=(1, 2)), np.rot90(mirrored, axes=(1, 2))]
    views = [mirrored, mirrored[:, ::-1], *(quarters if inputs.shape[1] == inputs.shape[2] else ())]
    return [np.ascontiguousarray(view) for view in views]


def look(predictor: Predictor, inputs: NDArray[np.uint8], *, turns: bool) -> Outputs:
    """What the network gives, and beside the features `(n, 1 + v, d)` those of the photos mirrored and turned."""
    outputs = predictor.run(inputs, _SEEN)
    views = [predictor.run(view, ("features",)).features for view in (_turned(inputs) if turns else ())]
    return replace(outputs, features=np.stack([outputs.features, *views], axis=1))  # type: ignore[list-item]  # asked for


def _said(
    predictor: Predictor, taxonomy: Taxonomy, outputs: Outputs | None
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
    """The features `(n, 1 + v, d)` of photos, the classes that the model names, and whether it would accept them."""
    said = [] if outputs is None else predictor.interpret(outputs)
    features = None if outputs is None else outputs.features
    told = np.array([taxonomy.index(p.category) for p in said], np.int64)
    accepted = np.array([p.decision == "accept" for p in said], bool)
    return np.zeros((0, 1, 0), np.float32) if features is None else features, told, accepted


def _match(name: str, taxonomy: Taxonomy, root: Path) -> str | None:
    """The class that a folder's name means; None for `not-waste`."""
    if name_key(name) == name_key(NOT_WASTE):
        return None
    try:
        return taxonomy.match(name)
    except TaxonomyError as error:
        said = str(error) if str(error).endswith("?") else f"{error}."
        raise TaxonomyError(
            f"{root}: {said} Rename the folder, or make it a new class with --new-class or --taxonomy; empty places "
            f"go into {NOT_WASTE}/"
        ) from None


def _first_of_each(found: Dataset, classes: Mapping[str, int], most: int) -> tuple[Dataset, dict[str, str]]:
    """At most so many photos of each class, evenly spread, and why the others are left out."""
    kept: set[str] = set()
    for label in set(classes.values()):
        paths = [s.path for s in found if classes[s.class_id] == label]
        kept |= {paths[i] for i in np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int)}
    left = {s.path: f"its class has more than {most} photos" for s in found if s.path not in kept}
    return found.where(lambda s: s.path in kept), left


def _with_bursts(copies: Sequence[int], features: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.intp]:
    """Groups in which the shots of a burst are one too."""
    first = {group: i for i, group in reversed(list(enumerate(copies)))}
    pairs = [(first[group], i) for i, group in enumerate(copies)]
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        pairs += [(int(rows[i]), int(rows[j])) for i, j in _bursts(features[rows])]
    return np.array(connected_groups(len(copies), pairs), np.intp)


def _bursts(features: NDArray[np.float32]) -> list[tuple[int, int]]:
    """The pairs of photos of one class whose features are much nearer than the class's photos are."""
    distances = _distances(features, features)
    first, second = np.triu_indices(len(features), 1)
    near = distances[first, second] < _BURST * _usual_distance(distances)
    return list(zip(first[near].tolist(), second[near].tolist(), strict=True))


def _distances(ones: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    first, second = (np.square(part).sum(axis=1, dtype=np.float64) for part in (ones, others))
    result: NDArray[np.float64] = np.sqrt(np.maximum(first[:, None] + second - 2 * (ones @ others.T), 0))
    return result


def _usual_distance(distances: NDArray[np.float64]) -> float:
    """The median of those `(n, n)` between two photos; 0 of a single one."""
    between = distances[np.triu_indices(len(distances), 1)]
    return float(np.median(between)) if len(between) else 0.0


def _in_two_classes(found: Dataset, labels: NDArray[np.int64], groups: NDArray[np.intp]) -> dict[str, str]:
    torn = {int(g) for g in np.unique(groups) if len(np.unique(labels[groups == g])) > 1}
    return {
        sample.path: "a copy of it lies in another class's folder"
        for sample, group in zip(found.samples, groups, strict=True)
        if int(group) in torn
    }


def _check(seen: SeenPhotos, root: Path, fewest: int) -> None:
    labels = seen.photos.labels
    distinct = Counter(int(labels[seen.groups == g][0]) for g in np.unique(seen.groups))
    names = {label: seen.taxonomy.ids[label] if label >= 0 else NOT_WASTE for label in np.unique(labels).tolist()}
    unusable = f" {len(seen.left_out)} cannot be used, such as {_example(seen.left_out)}" if seen.left_out else ""
    if not set(names) - {-1}:
        raise DatasetError(f"{root}: expected photos in a folder per class, found none of a class.{unusable}")
    if len(names) < 2:
        raise DatasetError(
            f"{root}: expected two classes or more, got {next(iter(names.values()))} alone, which would teach it to "
            f"say nothing else; add another class, or the camera's empty places as {NOT_WASTE}/.{unusable}"
        )
    few = [
        f"{name} has {int((labels == label).sum())} photos"
        + (f", all of {distinct[label]} shots" if distinct[label] < (labels == label).sum() else "")
        for label, name in names.items()
        if distinct[label] < fewest
    ]
    if few:
        raise DatasetError(
            f"{root}: expected at least {fewest} different photos of each class, but {'; '.join(few)}: take more, "
            f"of different pieces, or take the folder away.{unusable}"
        )


def _example(left_out: Mapping[str, str]) -> str:
    path, why = next(iter(left_out.items()))
    return f"{path}: {why}"
