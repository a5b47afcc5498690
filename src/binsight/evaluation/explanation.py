"""What a model gets wrong and why it may: heat maps, and the most similar photos of a reference folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binsight.errors import DatasetError
from binsight.evaluation.evaluate import score_bundle
from binsight.evaluation.labelled import LabelledSet
from binsight.evaluation.mistakes import Confusion, Mistake, add_pictures, confusions, find_mistakes
from binsight.evaluation.pictures import PICTURE_SIDE
from binsight.evaluation.results import Model, json_ready
from binsight.evaluation.scoring import Unreadable
from binsight.imaging import decode_image, read_photo
from binsight.imaging.storing import thumbnail_jpeg
from binsight.predictor import Outputs, Predictor, run_photos
from binsight.progress import Progress, Stage, unheard_stage
from binsight.taxonomy import Taxonomy

__all__ = ["Explanation", "Neighbour", "explain_mistakes"]

_NEIGHBOURS = 3


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A reference photo that looks like a mistake to the network.

    Attributes:
        path: with the folder it lies in, which often is its class.
        similarity: cosine of the features, at most 1.
        picture: small, as JPEG.
    """

    path: str
    similarity: float
    picture: bytes | None = None


@dataclass(frozen=True)
class Explanation:
    """The mistakes of one model on some photos.

    Attributes:
        model: which.
        taxonomy: its classes.
        split: what the photos are called.
        photos: how many were classified.
        total: how many of them are wrong.
        mistakes: the most confident of these, most confident first, with pictures.
        files: for each mistake its file.
        neighbours: for each mistake the most similar reference photos; empty without a reference.
        confusions: the pairs of classes among all mistakes, the most frequent first.
        unreadable: photos that could not be looked at, of both kinds.
    """

    model: Model
    taxonomy: Taxonomy
    split: str
    photos: int
    total: int
    mistakes: tuple[Mistake, ...]
    files: tuple[Path, ...]
    neighbours: tuple[tuple[Neighbour, ...], ...]
    confusions: tuple[Confusion, ...]
    unreadable: tuple[Unreadable, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form without pictures."""
        mistakes = []
        for mistake, near in zip(self.mistakes, self.neighbours, strict=True):
            found = [{"path": n.path, "similarity": n.similarity} for n in near]
            mistakes.append({**json_ready(mistake), "neighbours": found})
        return {
            "format": 1,
            "model": json_ready(self.model),
            "split": self.split,
            "photos": self.photos,
            "wrong": self.total,
            "mistakes": mistakes,
            "confusions": json_ready(self.confusions),
            "unreadable": json_ready(self.unreadable),
        }


def explain_mistakes(
    bundle: str | Path,
    photos: LabelledSet,
    *,
    reference: Sequence[Path] = (),
    limit: int = 200,
    split: str = "val",
    workers: int | None = None,
    stage: Stage = unheard_stage,
) -> Explanation:
    """Find the mistakes of a bundle and what may explain them.

    Args:
        bundle: a folder or zip.
        photos: labelled with positions in the bundle's taxonomy.
        reference: photos to look for similar ones in, such as those it was trained on.
        limit: at most so many mistakes are explained, the most confident ones.
        split: what the photos are called.
        workers: photos in work at a time; by default one per core.
        stage: told what begins, and how far it is.

    Raises:
        InputError: there is no such bundle.
        BundleError: the bundle is malformed, or its network fails.
        DatasetError: a label is no class, none of the photos can be read, or the bundle has no features to compare.
    """
    predictor, scores, kept, unreadable = score_bundle(bundle, photos, workers=workers, progress=stage("Classifying"))
    every = find_mistakes(scores, photos, kept, predictor.taxonomy)
    shown = add_pictures(every[:limit], predictor, photos, workers=workers, progress=stage("Heat maps"))
    files = tuple(photos.paths[m.position] for m in shown)
    near: tuple[tuple[Neighbour, ...], ...] = tuple(() for _ in shown)
    if reference and shown:
        near, faults = _neighbours(predictor, files, reference, workers, stage("Reference photos"))
        unreadable += faults
    manifest = predictor.bundle.manifest
    return Explanation(
        model=Model(manifest.name, manifest.version, manifest.created, str(predictor.bundle.path)),
        taxonomy=predictor.taxonomy,
        split=split,
        photos=len(scores),
        total=len(every),
        mistakes=shown,
        files=files,
        neighbours=near,
        confusions=confusions(every),
        unreadable=unreadable,
    )


def _neighbours(
    predictor: Predictor, files: Sequence[Path], reference: Sequence[Path], workers: int | None, progress: Progress
) -> tuple[tuple[tuple[Neighbour, ...], ...], tuple[Unreadable, ...]]:
    """For each file the most similar reference photos, other than itself; and those that cannot be read."""
    theirs = run_photos(predictor, reference, ("features",), workers=workers, progress=progress)
    mine = run_photos(predictor, files, ("features",), workers=workers)
    if theirs.outputs is None or mine.outputs is None:
        raise DatasetError(f"expected reference photos, got {len(reference)} of which none can be read")
    similarity = _unit_features(predictor, mine.outputs) @ _unit_features(predictor, theirs.outputs).T
    found: list[tuple[Neighbour, ...]] = [()] * len(files)
    for position, row in zip(mine.kept, similarity, strict=True):
        near = ((reference[theirs.kept[j]], row[j]) for j in np.argsort(-row, kind="stable"))
        others = (pair for pair in near if pair[0].resolve() != files[position].resolve())
        found[position] = tuple(_neighbour(*pair) for pair in islice(others, _NEIGHBOURS))
    unreadable = (Unreadable(str(reference[i]), fault.code, str(fault)) for i, fault in theirs.faults.items())
    return tuple(found), tuple(unreadable)


def _unit_features(predictor: Predictor, outputs: Outputs) -> NDArray[np.float64]:
    """Vectors of length 1, one for each photo that can be read."""
    if outputs.features is None:
        raise DatasetError(f"{predictor.bundle.path}: its network gives no features to compare photos by")
    vectors = outputs.features.astype(np.float64)
    unit: NDArray[np.float64] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit


def _neighbour(path: Path, similarity: np.float64) -> Neighbour:
    pixels = decode_image(read_photo(path), min_size=(PICTURE_SIDE, PICTURE_SIDE))
    return Neighbour("/".join(path.parts[-2:]), float(similarity), thumbnail_jpeg(pixels, PICTURE_SIDE))
