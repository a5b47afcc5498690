"""Run a bundle's network on photos and say what they are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Bundle, load_bundle, resolve_bundle
from binsight.bundle.container import INT8_NAME, MODEL_NAME
from binsight.bundle.session import open_session, run_session
from binsight.imaging import (
    ImageLimits,
    PreprocessSpec,
    decode_image,
    overlay_heatmap,
    prepare_photo,
    read_photo,
    resize_image,
)
from binsight.imaging.heatmap import class_evidence
from binsight.predictor.cores import available_cores
from binsight.predictor.prediction import Biodegradability, Precision, Prediction
from binsight.probability import decide, sigmoid, softmax
from binsight.taxonomy import Taxonomy

__all__ = ["Outputs", "Precision", "Predictor"]

_BIODEGRADABILITY: dict[bool | None, Biodegradability] = {
    True: "biodegradable",
    False: "non_biodegradable",
    None: "unknown",
}
_DECISIVE = ("logits", "biodegradable_logit", "unfamiliarity")
_HEATMAP_MIN_SIZE = (768, 768)
# Larger batches gain nothing on a CPU and hold more memory.
_MAX_BATCH = 16


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the network gives for `n` photos; an output it does not have is None.

    Attributes:
        logits: `(n, C)` float32.
        biodegradable_logit: `(n, 1)` float32.
        attention: `(n, gh, gw, C)` float32.
        features: `(n, d)` float32.
        unfamiliarity: `(n, 1)` float32.
    """

    logits: NDArray[np.float32]
    biodegradable_logit: NDArray[np.float32] | None = None
    attention: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None
    unfamiliarity: NDArray[np.float32] | None = None

    @classmethod
    def join(cls, parts: Sequence[Outputs]) -> Outputs:
        """What several runs with the same outputs gave, as that of one."""
        columns = {field.name: [getattr(part, field.name) for part in parts] for field in fields(cls)}
        joined: dict[str, Any] = {name: np.concatenate(c) for name, c in columns.items() if c[0] is not None}
        return cls(**joined)


class Predictor:
    """A loaded model. All methods may be called from several threads at a time.

    Args:
        bundle: the model.
        threads: how many threads share the work of one call. All cores give one photo the shortest wait; for the
            most photos per second use 1 and call from as many threads as there are cores (`run_in_order` does).
        precision: `int8` runs `model.int8.onnx` in place of `model.onnx`.
        session: runs another of the bundle's networks, or the same by other means, in that precision. It has the
            methods `get_outputs` and `run` of an `onnxruntime.InferenceSession`.

    Raises:
        BundleError: the bundle's network is missing, altered, or does not fit its manifest.
        ValueError: `threads` is below 1.
    """

    def __init__(
        self, bundle: Bundle, *, threads: int | None = None, precision: Precision = "float", session: Any = None
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"expected at least 1 thread, got {threads}")
        self.bundle = bundle
        self.threads = available_cores() if threads is None else threads
        self.precision: Precision = precision
        model = INT8_NAME if precision == "int8" else MODEL_NAME
        self._session = open_session(bundle, threads=self.threads, model=model) if session is None else session
        self._outputs = frozenset(output.name for output in self._session.get_outputs())
        self._decisive = tuple(name for name in _DECISIVE if name in self._outputs)

    @classmethod
    def load(
        cls, model: str | Path = "waste8", *, threads: int | None = None, precision: Precision = "float"
    ) -> Predictor:
        """Load a bundle by path, or by name from the package.

        Raises:
            InputError: there is no such bundle.
            BundleError: the bundle is malformed or was altered.
        """
        return cls(load_bundle(resolve_bundle(model)), threads=threads, precision=precision)

    @property
    def taxonomy(self) -> Taxonomy:
        """What the classes mean."""
        return self.bundle.manifest.taxonomy

    @property
    def spec(self) -> PreprocessSpec:
        """What the network's input looks like."""
        return self.bundle.manifest.preprocess

    def predict_file(self, path: str | Path, *, limits: ImageLimits | None = None) -> Prediction:
        """Classify the photo in a file.

        Raises:
            InputError: the file is missing or cannot be read.
            ImageError: its content was refused; see `decode_image`.
        """
        return self.predict_bytes(read_photo(path, limits=limits), limits=limits)

    def predict_bytes(self, data: bytes, *, limits: ImageLimits | None = None) -> Prediction:
        """Classify one encoded photo.

        Raises:
            ImageError: the data were refused; see `decode_image`.
        """
        start = time.perf_counter()
        prepared = prepare_photo(data, self.spec, limits=limits)
        decoded = time.perf_counter()
        return self.predict_prepared(prepared[None], decode_ms=1000 * (decoded - start))[0]

    def predict_images(self, images: Sequence[NDArray[np.uint8]]) -> list[Prediction]:
        """Classify decoded photos.

        Args:
            images: each `(h, w, 3)` uint8, upright RGB, of any size.

        Returns:
            One prediction for each, in order.
        """
        predictions: list[Prediction] = []
        for first in range(0, len(images), _MAX_BATCH):
            batch = [resize_image(image, self.spec) for image in images[first : first + _MAX_BATCH]]
            predictions += self.predict_prepared(np.stack(batch))
        return predictions

    def predict_prepared(self, inputs: NDArray[np.uint8], *, decode_ms: float = 0.0) -> list[Prediction]:
        """Classify photos that are already of the network's input size.

        Args:
            inputs: `(n, h, w, 3)` uint8 RGB, n of at least 1, as `prepare_photo` and `resize_image` give them.
            decode_ms: what preparing them took, for `timing_ms`, in milliseconds for each.

        Returns:
            n predictions, in order.
        """
        start = time.perf_counter()
        outputs = self.run(inputs, self._decisive)
        infer_ms = 1000 * (time.perf_counter() - start) / len(inputs)
        return self.interpret(outputs, {"decode": decode_ms, "infer": infer_ms})

    def predict_with_heatmap(
        self, data: bytes, *, limits: ImageLimits | None = None
    ) -> tuple[Prediction, NDArray[np.uint8]]:
        """Classify one encoded photo and show what spoke for the category.

        Returns:
            The prediction, and the photo with the heat map over it, `(h, w, 3)` uint8; a large JPEG comes out
            reduced, with sides of at least 768 pixels.

        Raises:
            ImageError: the data were refused; see `decode_image`.
        """
        start = time.perf_counter()
        photo = decode_image(data, limits=limits, min_size=_HEATMAP_MIN_SIZE)
        # Not resized from `photo`: the prediction must be the one that `predict_bytes` gives.
        prepared = prepare_photo(data, self.spec, limits=limits)
        decoded = time.perf_counter()
        outputs = self.run(prepared[None], (*self._decisive, "attention"))
        timing_ms = {"decode": 1000 * (decoded - start), "infer": 1000 * (time.perf_counter() - decoded)}
        prediction = self.interpret(outputs, timing_ms)[0]
        assert outputs.attention is not None  # noqa: S101 - asked for above, and every bundle has it
        evidence = class_evidence(outputs.attention[0], self.taxonomy.index(prediction.category))
        return prediction, overlay_heatmap(photo, evidence, self.spec)

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] = _DECISIVE) -> Outputs:
        """The network's outputs as they are.

        Args:
            inputs: `(n, h, w, 3)` uint8 RGB of the network's input size.
            names: which outputs are wanted; one that the network does not have comes out as None.

        Raises:
            ValueError: the inputs have another shape or type.
            BundleError: the network fails on these inputs, or gives what no network of a bundle may.
        """
        if inputs.dtype != np.uint8 or inputs.ndim != 4 or inputs.shape[1:] != (*self.spec.size, 3) or not len(inputs):
            raise ValueError(
                f"expected (n, {self.spec.size[0]}, {self.spec.size[1]}, 3) uint8, got {inputs.shape} {inputs.dtype}"
            )
        wanted = [name for name in dict.fromkeys(("logits", *names)) if name in self._outputs]
        return Outputs(**run_session(self._session, inputs, wanted, classes=len(self.taxonomy)))

    def interpret(self, outputs: Outputs, timing_ms: dict[str, float] | None = None) -> list[Prediction]:
        """Turn the network's outputs into predictions: probabilities, decision, stream, advice.

        Args:
            outputs: of n photos, as `run` gives them.
            timing_ms: milliseconds per photo and stage, put into each prediction.
        """
        manifest = self.bundle.manifest
        probabilities = softmax(outputs.logits, temperature=manifest.temperature)
        second = None
        if outputs.biodegradable_logit is not None and manifest.biodegradable_temperature is not None:
            second = sigmoid(outputs.biodegradable_logit[:, 0], temperature=manifest.biodegradable_temperature)
        strangeness = None if outputs.unfamiliarity is None else outputs.unfamiliarity[:, 0]
        return [
            self._interpret_one(
                probabilities[i],
                None if second is None else float(second[i]),
                None if strangeness is None else float(strangeness[i]),
                timing_ms or {},
            )
            for i in range(len(probabilities))
        ]

    def _interpret_one(
        self,
        probabilities: NDArray[np.float64],
        biodegradable_probability: float | None,
        unfamiliarity: float | None,
        timing_ms: dict[str, float],
    ) -> Prediction:
        manifest, taxonomy = self.bundle.manifest, self.taxonomy
        best = taxonomy.classes[int(probabilities.argmax())]
        return Prediction(
            category=best.id,
            scores=dict(zip(taxonomy.ids, probabilities.tolist(), strict=True)),
            biodegradability=_BIODEGRADABILITY[best.biodegradable],
            biodegradable_probability=biodegradable_probability,
            verdict=decide(
                probabilities,
                manifest.review,
                biodegradable_mask=taxonomy.biodegradable_mask,
                biodegradable_probability=biodegradable_probability,
                unfamiliarity=unfamiliarity,
            ),
            stream=best.stream,
            advice=best.advice,
            model_name=manifest.name,
            model_version=manifest.version,
            precision=self.precision,
            timing_ms=timing_ms,
            unfamiliarity=unfamiliarity,
        )
