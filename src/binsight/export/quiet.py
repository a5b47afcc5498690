"""Silence for libraries that write to standard error without being asked."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]

_STANDARD_ERROR = 2


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what is written to standard error, by compiled code too, and warnings and log records below an error.

    What goes wrong is raised as an exception all the same. These are properties of the whole process: for a program of
    one thread that would otherwise show dozens of lines of a compiler.
    """
    before = logging.root.manager.disable
    saved, nowhere = os.dup(_STANDARD_ERROR), os.open(os.devnull, os.O_WRONLY)
    try:
        logging.disable(logging.WARNING)
        os.dup2(nowhere, _STANDARD_ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(saved, _STANDARD_ERROR)
        logging.disable(before)
        os.close(saved)
        os.close(nowhere)
