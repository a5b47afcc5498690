"""A micro model as C: the texts of the generated files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binsight.bundle import Manifest
from binsight.errors import ExportError
from binsight.export.esp32.micro_file import Layer, MicroFile
from binsight.export.micro import as_input
from binsight.imaging import PreprocessSpec, resize_image

__all__ = ["expected_header", "make_pattern", "model_header", "model_source", "plan_header", "plan_source"]

_SUPPORTS = {"box": 0.5, "bilinear": 1.0}
_MADE = "/* Written by `binsight export --to esp32`; export again instead of changing it. */\n"
# (height, width): a camera's sizes, odd ones, smaller than the input, and far from its proportions.
_CELLS = 8
_SIZES = ((240, 320), (480, 640), (211, 317), (48, 64), (96, 96), (7, 1200), (601, 5), (1, 1))


_HEADER_START = """#ifndef BINSIGHT_MODEL_H
#define BINSIGHT_MODEL_H

#include <stdbool.h>
#include <stdint.h>

"""
_HEADER_END = """
typedef struct {
    const char *id, *stream; /* as they may stand in JSON */
    bool biodegradable;
    double threshold; /* the least confidence at which it is accepted */
} binsight_class;

#ifdef __cplusplus
extern "C" {
#endif
extern const binsight_class binsight_classes[BINSIGHT_CLASSES];
extern const unsigned char binsight_model[BINSIGHT_MODEL_BYTES]; /* a .tflite file, at an address divisible by 16 */
extern const int8_t binsight_golden_output[BINSIGHT_GOLDEN_COUNT][BINSIGHT_CLASSES];
#ifdef __cplusplus
}
#endif
#endif
"""


def model_header(manifest: Manifest, network: MicroFile, golden: NDArray[np.int8], arena_bytes: int) -> str:
    """`model.h`: sizes, preprocessing, temperature.

    Args:
        manifest: of the bundle.
        network: its micro network.
        golden: `(n, C)` int8, what the network answers to the golden pictures.
        arena_bytes: what the micro interpreter needs.

    Raises:
        ExportError: the preprocessing cannot be done by the core.
    """
    spec = manifest.preprocess
    if spec.fit == "letterbox" or spec.filter not in _SUPPORTS:
        raise ExportError(
            f"expected preprocessing by stretch or crop with the filter box or bilinear, got {spec.fit}, {spec.filter}"
        )
    height, width = network.size
    values: dict[str, Any] = {
        "MODEL": _quoted(f"{manifest.name} {manifest.version}"),
        "MODEL_SHA256": _quoted(hashlib.sha256(network.data).hexdigest()),
        "MODEL_BYTES": len(network.data),
        "ARENA_BYTES": arena_bytes,
        "INPUT_WIDTH": width,
        "INPUT_HEIGHT": height,
        "INPUT_CHANNELS": network.channels,
        "INPUT_BYTES": width * height * network.channels,
        "SMALLER_SIDE": min(width, height),
        "CROPS": int(spec.fit == "crop"),
        "CROP_FRACTION": repr(float(spec.crop_fraction)),
        "FILTER_BOX": int(spec.filter == "box"),
        "FILTER_SUPPORT": _SUPPORTS[spec.filter],
        "CLASSES": network.classes,
        "KNOWS_BIODEGRADABLE": int(manifest.taxonomy.has_biodegradability),
        "LOGIT_SCALE": repr(network.logit_scale),
        "TEMPERATURE": repr(float(manifest.temperature)),
        "GOLDEN_COUNT": len(golden),
    }
    defines = "".join(f"#define BINSIGHT_{name} {value}\n" for name, value in values.items())
    return f"{_MADE}{_HEADER_START}{defines}{_HEADER_END}"


def model_source(manifest: Manifest, network: MicroFile, golden: NDArray[np.int8]) -> str:
    """`model.c`: classes, weights, golden answers; arguments as `model_header`."""
    classes = "".join(
        f"    {{{_quoted(c.id)}, {_quoted(c.stream)}, {str(bool(c.biodegradable)).lower()}, {float(threshold)!r}}},\n"
        for c, threshold in zip(manifest.taxonomy.classes, manifest.review.confidence, strict=True)
    )
    answers = "".join(f"    {{{', '.join(map(str, row))}}},\n" for row in golden.tolist())
    return f"""{_MADE}#include "model.h"

const binsight_class binsight_classes[BINSIGHT_CLASSES] = {{
{classes}}};

const int8_t binsight_golden_output[BINSIGHT_GOLDEN_COUNT][BINSIGHT_CLASSES] = {{
{answers}}};

#if defined(__GNUC__)
__attribute__((aligned(16)))
#endif
const unsigned char binsight_model[BINSIGHT_MODEL_BYTES] = {{
{_numbers(network.data)}
}};
"""


def plan_header(network: MicroFile) -> str:
    """`plan.h`: how much room the network of the host needs."""
    largest = max(int(np.prod(layer.outputs)) for layer in network.layers)
    return f"{_MADE}#define PLAN_LARGEST {largest} /* bytes of the largest result of an operator */\n"


def plan_source(network: MicroFile) -> str:
    """`plan.c`: the operators one after another."""
    arrays, rows = [], []
    for number, layer in enumerate(network.layers):
        names = ("NULL", "NULL")
        if layer.multipliers:
            names = (f"multipliers_{number}", f"shifts_{number}")
            arrays.append(f"static const int32_t {names[0]}[] = {{\n{_numbers(layer.multipliers)}\n}};\n")
            arrays.append(f"static const int8_t {names[1]}[] = {{\n{_numbers(layer.shifts)}\n}};\n")
        rows.append(_row(layer, *names))
    layers = "".join(rows)
    return (
        f'{_MADE}#include "network.h"\n\n{"".join(arrays)}\n'
        f"const layer plan_layers[] = {{\n{layers}}};\n\nconst int plan_length = {len(rows)};\n"
    )


def _row(layer: Layer, multipliers: str, shifts: str) -> str:
    numbers = (
        *(*layer.kernel, *layer.stride, *layer.padding),
        *(layer.in_zero, layer.out_zero, layer.least, layer.most, layer.filter, layer.bias),
    )
    shapes = ", ".join(f"{{{', '.join(map(str, shape))}}}" for shape in (layer.inputs, layer.outputs))
    return f"    {{{layer.kind}, {shapes}, {', '.join(map(str, numbers))}, {multipliers}, {shifts}}},\n"


def expected_header(spec: PreprocessSpec, channels: int) -> str:
    """`expected.h`: what pictures of several sizes become in `imaging`, as digests; grey where there is one channel."""
    rows = "".join(
        f"    {{{width}, {height}, {_digest(make_pattern(which, height, width), spec, channels)}u}},\n"
        for which, (height, width) in enumerate(_SIZES)
    )
    return f"""{_MADE}#include <stdint.h>

typedef struct {{
    int width, height;
    uint32_t digest; /* FNV-1a of the network's input */
}} expected_input;

static const expected_input expected_inputs[] = {{
{rows}}};
"""


def _digest(picture: NDArray[np.uint8], spec: PreprocessSpec, channels: int) -> int:
    value = 2166136261
    for byte in as_input(resize_image(picture, spec), channels).tobytes():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


def _quoted(text: str) -> str:
    """As a C string that holds the text as it stands inside a JSON string."""
    escaped = json.dumps(text)[1:-1]
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _numbers(values: Sequence[int]) -> str:
    rows = (values[start : start + 24] for start in range(0, len(values), 24))
    return "\n".join(f"    {','.join(map(str, row))}," for row in rows)


def make_pattern(which: int, height: int, width: int) -> NDArray[np.uint8]:
    """A picture of the self-test, as `binsight_pattern` in C makes it: noisy patches of colour.

    Returns:
        `(height, width, 3)` uint8 RGB.
    """
    count = height * width * 3
    draws = _draws(which, _CELLS * _CELLS * 3 + count)
    colours = (draws[: _CELLS * _CELLS * 3] >> 8 & 255).reshape(_CELLS, _CELLS, 3)
    noise = (draws[_CELLS * _CELLS * 3 :] & 63).reshape(height, width, 3) - 32
    rows, columns = np.arange(height) * _CELLS // height, np.arange(width) * _CELLS // width
    return np.clip(colours[rows][:, columns] + noise, 0, 255).astype(np.uint8)


def _draws(seed: int, count: int) -> NDArray[np.int64]:
    """The upper 16 bits of a linear congruential generator: `x = 1664525 x + 1013904223` modulo 2 ** 32."""
    values, state = np.empty(count, np.int64), seed
    for position in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values[position] = state >> 16
    return values
