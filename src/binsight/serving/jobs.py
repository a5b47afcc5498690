"""From a photo to a job for the queue, and from the network's outputs to the answer."""

from __future__ import annotations

import base64
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from binsight.imaging import ImageLimits, decode_photo, encode_picture, overlay_heatmap, prepare_photo
from binsight.imaging.heatmap import class_evidence
from binsight.predictor import Outputs, Prediction
from binsight.serving.keeping import Receipt
from binsight.serving.models import LoadedModel
from binsight.serving.photo_queue import Job
from binsight.serving.schemas import PredictionAnswer, PredictQuery

__all__ = ["Classified", "answer", "photo_job"]


class Classified(NamedTuple):
    """A prediction, the heat map as a `data:` URL where it was asked for, and the receipt of a photo that is kept."""

    prediction: Prediction
    heatmap: str | None = None
    receipt: Receipt | None = None


_DECISIVE = ("logits", "biodegradable_logit", "unfamiliarity")
# A heat map is to be looked at: larger ones would only be slower to draw, send and show.
_HEATMAP_SIDE = 768
_FAST = 1


def photo_job(model: LoadedModel, data: bytes, *, limits: ImageLimits, deadline: float, heatmap: bool = False) -> Job:
    """A job that gives a `Classified`.

    Raises, from its future:
        ImageError: the photo was refused.
    """
    if not heatmap:
        prepare = partial(_prepare, data, model, limits)
        return Job(model, _DECISIVE, prepare, partial(_finish, model), deadline)
    drawing = _HeatmapDrawing(model, data, limits)
    return Job(model, (*_DECISIVE, "attention"), drawing.prepare, drawing.finish, deadline)


def answer(classified: Classified, query: PredictQuery, source: str | None = None) -> PredictionAnswer:
    """The JSON answer of the design."""
    prediction, heatmap, receipt = classified
    members: dict[str, Any] = {} if source is None else {"source": source}
    members |= prediction.to_dict()
    if query.top is not None:
        scores = members["confidence_scores"]
        members["top"] = [{"category": name, "confidence": scores[name]} for name, _ in prediction.top(query.top)]
    if heatmap is not None:
        members["heatmap"] = heatmap
    if receipt is not None:
        members["kept"] = asdict(receipt)
    return PredictionAnswer.model_validate(members)


def _prepare(data: bytes, model: LoadedModel, limits: ImageLimits) -> NDArray[np.uint8]:
    return prepare_photo(data, model.narrow.spec, limits=limits)[None]


def _finish(model: LoadedModel, outputs: Outputs, timing_ms: dict[str, float]) -> Classified:
    return Classified(model.narrow.interpret(outputs, timing_ms)[0])


class _HeatmapDrawing:
    """Keeps the photo from decoding until the overlay is drawn."""

    def __init__(self, model: LoadedModel, data: bytes, limits: ImageLimits) -> None:
        self._model, self._data, self._limits = model, data, limits
        self._photo = np.zeros((1, 1, 3), np.uint8)

    def prepare(self) -> NDArray[np.uint8]:
        """The network's input, just as without a heat map; the photo for drawing is decoded apart from it."""
        photo = decode_photo(self._data, limits=self._limits, min_size=(_HEATMAP_SIDE, _HEATMAP_SIDE)).picture
        photo.thumbnail((_HEATMAP_SIDE, _HEATMAP_SIDE))
        self._photo = np.asarray(photo)
        return _prepare(self._data, self._model, self._limits)

    def finish(self, outputs: Outputs, timing_ms: dict[str, float]) -> Classified:
        """The prediction, and the overlay as a PNG in a data URL."""
        engine = self._model.narrow
        prediction = engine.interpret(outputs, timing_ms)[0]
        assert outputs.attention is not None  # noqa: S101 - asked for, and every bundle has it
        evidence = class_evidence(outputs.attention[0], engine.taxonomy.index(prediction.category))
        png = encode_picture(overlay_heatmap(self._photo, evidence, engine.spec), "PNG", compress_level=_FAST)
        data_url = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
        return Classified(prediction, data_url)
