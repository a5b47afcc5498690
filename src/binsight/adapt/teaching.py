"""Heads taught on a camera's photos, and what they say of each photo when it is left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from binsight.adapt.heads import Heads
from binsight.adapt.judging import RawScores
from binsight.adapt.learning import Memory, learn
from binsight.bundle import CameraPhotos, Replay
from binsight.probability import softmax
from binsight.probability.calibration import fit_temperature
from binsight.probability.folds import cross_fit_folds
from binsight.probability.scores import LinearHead
from binsight.taxonomy import Taxonomy

__all__ = ["Taught", "scores_of", "teach"]

_CAMERA_WEIGHTS: Final = (300.0, 150.0, 75.0, 37.0, 18.0)
_MAY_BE_LOST: Final = 0.003  # of the probability that is given to what old photos show
_CERTAIN: Final = 1.645  # standard errors: 95 %


@dataclass(frozen=True, eq=False)
class Taught:
    """What came of teaching.

    Attributes:
        heads: the new ones.
        left_out: what heads that were taught on others say of each of the n photos.
        known: what the new heads say of the old photos that nothing was learned from.
        camera_weight: as how many old photos one of the camera counted.
    """

    heads: Heads
    left_out: RawScores
    known: RawScores
    camera_weight: float


def teach(
    heads: Heads,
    replay: Replay,
    taxonomy: Taxonomy,
    camera: CameraPhotos,
    groups: NDArray[np.intp],
    views: NDArray[np.float32] | None = None,
) -> Taught:
    """Teach heads a camera.

    A photo of the camera counts as much as it may while, with a certainty of 95 %, at most 0.3 points are lost on old
    photos that nothing is learned from: of the probability of the right class, which chance moves less than a count.

    Args:
        heads: of the network.
        replay: what it learned before, earlier cameras included.
        taxonomy: that of the new heads: the old classes, then new ones.
        camera: n photos.
        groups: `(n,)`, copies have the same number: they count once, and are left out together.
        views: `(n, v, d)`, features of the same photos mirrored and turned, of which it learns, too.
    """
    grown = _with_classes(heads, len(taxonomy))
    before = scores_of(heads, taxonomy, replay.calibration_photos())
    for weight in _CAMERA_WEIGHTS:
        lesson = _Lesson(grown, replay, taxonomy, weight)
        new = lesson.learn(*_with_views(camera, groups, views))
        known = scores_of(new, taxonomy, replay.calibration_photos())
        if _loss_bound(before, known) <= _MAY_BE_LOST:
            break
    width = len(taxonomy)
    logits, second = np.zeros((len(camera), width)), np.zeros(len(camera))
    for fit, fold in cross_fit_folds((camera.labels + 1).astype(np.intp), groups):
        others = lesson.learn(*_with_views(camera.take(fit), groups[fit], None if views is None else views[fit]))
        judge = scores_of(others, taxonomy, CameraPhotos(camera.features[fold], camera.labels[fold]))
        logits[fold] = judge.logits
        if judge.biodegradable is not None:
            second[fold] = judge.biodegradable
    shown = scores_of(new, taxonomy, camera, groups)
    left_out = replace(shown, logits=logits, biodegradable=None if shown.biodegradable is None else second)
    return Taught(new, left_out, known, weight)


def _with_views(
    camera: CameraPhotos, groups: NDArray[np.intp], views: NDArray[np.float32] | None
) -> tuple[CameraPhotos, NDArray[np.intp]]:
    """Photos and then their views, a photo and its views in one group."""
    if views is None:
        return camera, groups
    times = 1 + views.shape[1]
    features = np.concatenate([camera.features, *views.swapaxes(0, 1)])
    return CameraPhotos(features, np.tile(camera.labels, times)), np.tile(groups, times)


def _loss_bound(before: RawScores, after: RawScores) -> float:
    """How much the probability of the right class has fallen on average, at most, by the normal approximation."""
    rows, temperature = np.arange(len(before.labels)), fit_temperature(before.logits, before.labels.astype(np.intp))
    old, new = (softmax(said.logits, temperature=temperature)[rows, said.labels] for said in (before, after))
    falls = old - new
    return float(falls.mean() + _CERTAIN * falls.std() / len(falls) ** 0.5)


def scores_of(
    heads: Heads, taxonomy: Taxonomy, photos: CameraPhotos, groups: NDArray[np.intp] | None = None
) -> RawScores:
    """What heads say of photos."""
    mask = np.asarray(taxonomy.biodegradable_mask) if taxonomy.has_biodegradability else None
    second = None if heads.biodegradable is None else heads.biodegradable.logits(photos.features)[:, 0]
    return RawScores(
        heads.categories.logits(photos.features),
        second,
        None if second is None else mask,
        None if heads.known is None else heads.known.measures(photos.features),
        labels=photos.labels,
        groups=np.arange(len(photos)) if groups is None else groups,
    )


class _Lesson:
    """All that stays the same from one fold to the next."""

    def __init__(self, heads: Heads, replay: Replay, taxonomy: Taxonomy, camera_weight: float) -> None:
        self._heads, self._taxonomy, self._camera_weight = heads, taxonomy, camera_weight
        self._before = replay.camera
        classes = np.arange(len(taxonomy), dtype=np.int64)
        self._categories = Memory.of(replay, heads.categories, classes)
        self._second = None
        if heads.biodegradable is not None:
            self._second = Memory.of(replay, _as_pair(heads.biodegradable), self._kinds(classes))

    def learn(self, camera: CameraPhotos, groups: NDArray[np.intp]) -> Heads:
        """Heads taught on some photos of the camera, and on all of earlier cameras."""
        weights = np.concatenate([np.ones(len(self._before)), 1 / np.bincount(groups)[groups]])
        photos = self._before.followed_by(camera) if len(self._before) else camera
        categories = learn(self._categories, photos, weights, camera_weight=self._camera_weight)
        if self._second is None:
            return replace(self._heads, categories=categories)
        kinds = CameraPhotos(photos.features, self._kinds(photos.labels))
        pair = learn(self._second, kinds, weights, camera_weight=self._camera_weight)
        second = LinearHead(pair.weight[:, 1:] - pair.weight[:, :1], pair.bias[1:] - pair.bias[:1])
        return replace(self._heads, categories=categories, biodegradable=second)

    def _kinds(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """1 for the biodegradable, 0 for the others, -1 for what is none of the classes."""
        mask = np.asarray(self._taxonomy.biodegradable_mask, np.int64)
        return np.where(labels < 0, -1, mask[np.maximum(labels, 0)])


def _as_pair(head: LinearHead) -> LinearHead:
    """The same probabilities from two outputs, so that one way of learning serves both heads."""
    return LinearHead(
        np.concatenate([np.zeros_like(head.weight), head.weight], axis=1),
        np.concatenate([np.zeros_like(head.bias), head.bias]),
    )


def _with_classes(heads: Heads, classes: int) -> Heads:
    """The heads with outputs for new classes, of which they know nothing."""
    head = heads.categories
    more = classes - len(head.bias)
    weight = np.concatenate([head.weight, np.zeros((len(head.weight), more))], axis=1)
    return replace(heads, categories=LinearHead(weight, np.append(head.bias, np.zeros(more))))
