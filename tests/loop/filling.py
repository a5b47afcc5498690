"""A queue with photos in it, and a clock that the test moves."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
from PIL import Image

from binsight.loop.queue import Queue
from binsight.loop.sampling import Chances, Stratum

CLASSES = ("red", "green", "blue")
MODEL = "tiny 1.0.0"


class Clock:
    """The time, which stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 27, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the present moment."""
        return self.now

    def move(self, **amount: float) -> None:
        """Let time pass."""
        self.now += timedelta(**amount)


@cache
def jpeg(number: int) -> bytes:
    """Return the file of a small photo of its own."""
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def put(queue: Queue, number: int, **changes: object) -> str:
    """Keep a photo that was accepted as red and drawn at random; return its id."""
    values = {
        "model": MODEL,
        "stratum": Stratum("accept", "red"),
        "confidence": 0.9,
        "chances": Chances(1.0, 0.0),
        "is_random": True,
        "is_review": False,
        "receipt": f"receipt-{number}",
    }
    return queue.put(jpeg(number), **values | changes)
