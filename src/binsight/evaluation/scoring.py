"""What a model says of many photos, as arrays, through the same code that predicts for users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from binsight.errors import BinsightError, DatasetError, ImageError, InputError
from binsight.imaging import prepare_photo, read_photo
from binsight.predictor import Outputs, Predictor, available_cores, run_in_order
from binsight.probability import Decision, ReviewThresholds, decide, sigmoid, softmax

__all__ = ["Progress", "Scores", "Unreadable", "collect_scores", "score_photos"]

Progress = Callable[[int, int], None]
"""Called with how many photos are done and how many there are."""

_BATCH = 4  # photos per run of the network, measured in benchmarks/predict.py


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A photo that could not be looked at.

    Attributes:
        path: as it is shown.
        code: of the error, as in `binsight.errors`.
        message: why.
    """

    path: str
    code: str
    message: str


@dataclass(frozen=True, eq=False)
class Scores:
    """What one model says of n photos.

    Attributes:
        logits: `(n, C)` float64.
        probabilities: `(n, C)`, with the bundle's temperature.
        biodegradable: `(n,)`, the second head's probability; None for a model without it.
        unfamiliarity: `(n,)`; None for a model without it.
        verdicts: accept or review, and why, with the bundle's thresholds.
    """

    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    biodegradable: NDArray[np.float64] | None
    unfamiliarity: NDArray[np.float64] | None
    verdicts: tuple[Decision, ...]

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def predicted(self) -> NDArray[np.intp]:
        """`(n,)`, the most probable class of each."""
        found: NDArray[np.intp] = self.probabilities.argmax(axis=1)
        return found

    @property
    def confidence(self) -> NDArray[np.float64]:
        """`(n,)`, the probability of that class."""
        found: NDArray[np.float64] = self.probabilities.max(axis=1)
        return found

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """`(n,)`, whether the prediction is accepted rather than sent to review."""
        return np.array([v.decision == "accept" for v in self.verdicts], bool)

    def decide(self, review: ReviewThresholds, mask: Sequence[bool]) -> tuple[Decision, ...]:
        """The verdicts with other thresholds; `mask` says which classes are biodegradable."""
        return _decide(self.probabilities, self.biodegradable, self.unfamiliarity, review, mask)


def score_photos(
    predictor: Predictor,
    paths: Sequence[Path],
    *,
    names: Callable[[int], str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[Scores, NDArray[np.intp], tuple[Unreadable, ...]]:
    """Classify photo files.

    Args:
        predictor: loaded with `threads=1`.
        paths: the files.
        names: gives what the file at a position is called in the list of unreadable ones; by default its path.
        workers: batches in work at a time; by default one per core.
        progress: called as photos are done.

    Returns:
        The scores of the photos that can be read, their positions in `paths`, and the photos that cannot.

    Raises:
        DatasetError: none of the photos can be read.
        BundleError: the network fails.
    """
    outputs: list[Outputs] = []
    kept: list[int] = []
    unreadable: list[Unreadable] = []

    def run(chunk: range) -> _ChunkResult:
        return _run_chunk(predictor, paths, chunk)

    chunks = [range(first, min(first + _BATCH, len(paths))) for first in range(0, len(paths), _BATCH)]
    for chunk, result in zip(chunks, run_in_order(run, chunks, workers=workers or available_cores()), strict=True):
        if result.outputs is not None:
            outputs.append(result.outputs)
        for position in chunk:
            if (fault := result.faults.get(position)) is None:
                kept.append(position)
            else:
                name = names(position) if names else str(paths[position])
                unreadable.append(Unreadable(name, fault.code, str(fault)))
        if progress:
            progress(chunk.stop, len(paths))
    if not kept:
        first = f", the first because: {unreadable[0].message}" if unreadable else ""
        raise DatasetError(f"expected photos, got {len(paths)} of which none can be read{first}")
    return collect_scores(predictor, outputs), np.array(kept, np.intp), tuple(unreadable)


def collect_scores(predictor: Predictor, outputs: Sequence[Outputs]) -> Scores:
    """The outputs of several runs of the network as the scores of all their photos."""
    manifest = predictor.bundle.manifest
    logits = np.concatenate([o.logits for o in outputs]).astype(np.float64)
    second = _column([o.biodegradable_logit for o in outputs])
    strangeness = _column([o.unfamiliarity for o in outputs])
    probabilities = softmax(logits, temperature=manifest.temperature)
    biodegradable = None
    if second is not None and manifest.biodegradable_temperature is not None:
        biodegradable = sigmoid(second, temperature=manifest.biodegradable_temperature)
    mask = manifest.taxonomy.biodegradable_mask
    verdicts = _decide(probabilities, biodegradable, strangeness, manifest.review, mask)
    return Scores(logits, probabilities, biodegradable, strangeness, verdicts)


@dataclass(frozen=True)
class _ChunkResult:
    """The outputs of a chunk's readable photos, and the errors of the others by position."""

    outputs: Outputs | None
    faults: dict[int, BinsightError]


def _run_chunk(predictor: Predictor, paths: Sequence[Path], chunk: range) -> _ChunkResult:
    prepared: list[NDArray[np.uint8]] = []
    faults: dict[int, BinsightError] = {}
    for position in chunk:
        try:
            prepared.append(prepare_photo(read_photo(paths[position]), predictor.spec))
        except (ImageError, InputError) as error:
            faults[position] = error
    return _ChunkResult(predictor.run(np.stack(prepared)) if prepared else None, faults)


def _column(values: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float64] | None:
    present = [v[:, 0] for v in values if v is not None]
    return np.concatenate(present).astype(np.float64) if present else None


def _decide(
    probabilities: NDArray[np.float64],
    biodegradable: NDArray[np.float64] | None,
    unfamiliarity: NDArray[np.float64] | None,
    review: ReviewThresholds,
    mask: Sequence[bool],
) -> tuple[Decision, ...]:
    return tuple(
        decide(
            probabilities[i],
            review,
            biodegradable_mask=mask,
            biodegradable_probability=None if biodegradable is None else float(biodegradable[i]),
            unfamiliarity=None if unfamiliarity is None else float(unfamiliarity[i]),
        )
        for i in range(len(probabilities))
    )
