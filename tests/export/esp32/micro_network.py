"""A micro model of 24 x 40 pixels with everything that a micro network may have, and a bundle for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tests.tiny_bundle import tiny_bundle, tiny_manifest

from binsight.export.quiet import quiet
from binsight.imaging import PreprocessSpec
from binsight.probability import ReviewThresholds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["SPEC", "THRESHOLDS", "micro_bundle", "micro_file"]

SPEC = PreprocessSpec(size=(24, 40), filter="bilinear")
THRESHOLDS = ReviewThresholds(confidence=(0.5, 0.6, 0.4))
_CLASSES = 3


def micro_bundle(path: Path, data: bytes, *, spec: PreprocessSpec = SPEC, **changes: Any) -> Path:
    """A bundle with a micro network, `data`."""
    facts = {"training": {"micro": {"arena_bytes": 20000}}, "review": THRESHOLDS, "temperature": 0.7}
    return tiny_bundle(path, None, tiny_manifest(preprocess=spec, **(facts | changes)), micro__tflite=data)


def micro_file(end: Callable[[Any], Any] = lambda logits: logits, *, channels: int = 3) -> bytes:
    """The network: convolutions of each kind, stride and padding, pooling; weights drawn from a seed.

    Each class is about as likely as the others.

    Args:
        end: what is done with the logits `(1, C)` at the end, nothing by default.
        channels: of its input: 3 for RGB, 1 for grey.
    """
    import tensorflow as tf  # noqa: PLC0415 - takes seconds

    draw = np.random.default_rng(0).normal

    def weights(*shape: int) -> Any:
        return tf.constant(draw(0, 0.4, shape), tf.float32)

    stem, spread, point, near, last = (
        weights(*shape)
        for shape in ((3, 3, channels, 8), (5, 5, 8, 1), (1, 1, 8, 12), (3, 3, 12, 1), (1, 1, 12, _CLASSES))
    )
    biases = [weights(outputs) for outputs in (8, 8, 12, 12)]

    def logits(images: Any) -> Any:
        x = tf.nn.relu6(tf.nn.conv2d(images, stem, 2, "SAME") + biases[0])
        x = tf.nn.relu6(tf.nn.depthwise_conv2d(x, spread, (1, 2, 2, 1), "SAME") + biases[1])
        x = tf.nn.conv2d(x, point, 1, "VALID") + biases[2]
        x = tf.nn.relu(tf.nn.depthwise_conv2d(x, near, (1, 1, 1, 1), "SAME") + biases[3])
        return tf.nn.conv2d(tf.nn.avg_pool2d(x, (6, 10), 1, "VALID"), last, 1, "SAME")

    middle = tf.reduce_mean([logits(tf.constant(values)) for (values,) in _pictures(channels)], axis=(0, 1, 2, 3))

    @tf.function(input_signature=[tf.TensorSpec((1, *SPEC.size, channels), tf.float32)], autograph=False)
    def network(images: Any) -> Any:
        return end(tf.reshape(logits(images) - middle, (1, _CLASSES)))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: _pictures(channels)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with quiet():
        data: bytes = converter.convert()
    return data


def _pictures(channels: int) -> Any:
    generator = np.random.default_rng(1)
    for _ in range(20):
        values = generator.uniform(-1, 1, (1, 1, 1, channels)) + generator.normal(0, 0.3, (1, *SPEC.size, channels))
        values[0, 0, 0], values[0, -1, -1] = -1, 127 / 128  # then an integer is a pixel minus 128
        yield [np.clip(values, -1, 127 / 128).astype(np.float32)]
