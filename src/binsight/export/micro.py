"""Run a network for microcontrollers as they would: with the kernels and the memory plan of their interpreter.

The interpreter is the package `tflite-micro`, which exists for Python 3.11 on Linux only. It tells what a board cannot:
how much memory a network needs, and the integers that a correct board gives.

References:
    https://github.com/tensorflow/tflite-micro
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from binsight.errors import ExportError
from binsight.extras import needs_extra

__all__ = ["LUMA", "arena_bytes", "as_input", "run_micro"]

LUMA = (299, 587, 114)  # of red, green and blue in a thousand of grey: Rec. ITU-R BT.601, as Pillow's mode L

_ROOM: Final = 1 << 23  # bytes; it reports what it takes of them
_STANDARD_ERROR: Final = 2
_TOTAL: Final = re.compile(rb"Arena allocation total (\d+) bytes")


def as_input(pictures: NDArray[np.uint8], channels: int) -> NDArray[np.int8]:
    """What a micro network is given of pictures `(..., 3)` uint8 RGB: `(..., channels)`, each value minus 128.

    With one channel it is grey, rounded to the nearest, halves to the even one.
    """
    if channels == 1:
        grey = np.round((pictures.astype(np.int64) @ np.array(LUMA)) / 1000)
        pictures = grey.astype(np.uint8)[..., None]
    return (pictures ^ 128).view(np.int8)  # the bits of `byte - 128`


def arena_bytes(network: bytes) -> int:
    """How much memory the interpreter takes for activations and what it keeps of the layers: the arena.

    On a board, kernels written for its processor may ask for some working memory beside it.

    Args:
        network: the content of a bundle's `micro.tflite`.

    Raises:
        ExportError: it is no network the interpreter can run.
        MissingExtraError: the interpreter is not installed.
    """
    interpreter = _open(network)
    with tempfile.TemporaryFile() as report:
        _write_errors_to(report.fileno(), interpreter.print_allocations)  # it only ever prints them
        report.seek(0)
        found = _TOTAL.search(report.read())
    if found is None:
        raise ExportError("the micro interpreter does not say how much memory it takes")
    return int(found[1])


def run_micro(network: bytes, pictures: NDArray[np.int8]) -> NDArray[np.int8]:
    """What the network gives, integer by integer.

    Args:
        network: the content of a bundle's `micro.tflite`.
        pictures: `(n, h, w, channels)`, pixels less 128.

    Returns:
        `(n, classes)` int8.

    Raises:
        ExportError: the interpreter cannot run the network.
        MissingExtraError: the interpreter is not installed.
    """
    interpreter = _open(network)
    answers = []
    for picture in pictures:
        interpreter.set_input(picture[None], 0)
        interpreter.invoke()
        answers.append(interpreter.get_output(0)[0].copy())
    return np.stack(answers)


def _open(network: bytes) -> Any:
    with needs_extra("running a network as a microcontroller does", "micro"):
        from tflite_micro import runtime  # noqa: PLC0415 - for Python 3.11 only
    try:
        return runtime.Interpreter.from_bytes(network, arena_size=_ROOM)
    except Exception as error:
        # Its parsers raise what they like.
        raise ExportError(f"the micro interpreter cannot run the network ({error})") from error


def _write_errors_to(descriptor: int, call: Callable[[], None]) -> None:
    """Have what compiled code writes to standard error written elsewhere."""
    saved = os.dup(_STANDARD_ERROR)
    try:
        os.dup2(descriptor, _STANDARD_ERROR)
        call()
    finally:
        os.dup2(saved, _STANDARD_ERROR)
        os.close(saved)
