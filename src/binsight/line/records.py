"""What passes between the parts of a line: frames, boxes, views, pieces, commands and answers.

All times called `…_s` are seconds of the line's own steady clock (`ports.Clock.now`), never of the wall: a wall clock
that jumps moves no deadline. Times called `…_at` are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from binsight.predictor import Prediction

__all__ = [
    "ACK_RESULTS",
    "CONFIRM_RESULTS",
    "ENCODER_RANGE",
    "ENDS",
    "FAIL_SAFE_LANE",
    "STATUSES",
    "Ack",
    "AckResult",
    "Blob",
    "Box",
    "CameraState",
    "Command",
    "Confirm",
    "ConfirmResult",
    "EncoderReading",
    "Frame",
    "Status",
    "View",
    "encoder_difference",
]

FAIL_SAFE_LANE = 0  # "do not eject": where a piece goes when in doubt, late, or when anything fails
ENCODER_RANGE = 2**32  # counts wrap here

CameraState = Literal["ok", "starting", "stalled", "frozen", "dark", "blurred", "unstable", "absent"]

# The life of a piece: seen → decided → commanded → acknowledged → confirmed, or another end with its reason.
Status = Literal[
    "seen",
    "decided",
    "commanded",
    "acknowledged",
    "confirmed",
    "fail_safe",  # review, or no lane takes it: not commanded, it stays on the belt
    "late",  # the deadline had passed before the command could be sent
    "refused",  # the sorter said no
    "unknown",  # commanded, and no answer came
    "dropped",  # no link to the sorter, or its outbox was full
]
STATUSES: tuple[Status, ...] = (
    "seen",
    "decided",
    "commanded",
    "acknowledged",
    "confirmed",
    "fail_safe",
    "late",
    "refused",
    "unknown",
    "dropped",
)
# A piece at one of these changes no more; the sum over them is the number of pieces seen once the line is at rest.
ENDS: tuple[Status, ...] = ("confirmed", "fail_safe", "late", "refused", "unknown", "dropped")

AckResult = Literal["accepted", "late", "blocked", "unknown_lane", "full"]
ACK_RESULTS: tuple[AckResult, ...] = ("accepted", "late", "blocked", "unknown_lane", "full")
ConfirmResult = Literal["ejected", "missed", "double"]
CONFIRM_RESULTS: tuple[ConfirmResult, ...] = ("ejected", "missed", "double")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the belt.

    Attributes:
        image: `(h, w, 3)` uint8 RGB.
        captured_s: when the camera took it; its age counts from here.
        number: rising by at least 1 from frame to frame of one source; gaps are frames that were dropped.
        encoder: the belt's position at capture in counts, in [0, 2³²); None where there is no encoder.
    """

    image: NDArray[np.uint8]
    captured_s: float
    number: int
    encoder: int | None = None


@dataclass(frozen=True, slots=True)
class EncoderReading:
    """Where the belt stood: `counts` in [0, 2³²) at `at_s`."""

    counts: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in a frame's pixels: left and top belong to it, right and bottom do not."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """In pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """In pixels."""
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Blob:
    """What differs from the empty belt in one frame.

    Attributes:
        box: where, in pixels of the full frame.
        area: its pixels in the full frame (scaled from the small picture).
        cut_off: it touches the edge of the watched region along the belt: not all of it is seen.
        several: it looks like pieces that touch each other.
    """

    box: Box
    area: float
    cut_off: bool = False
    several: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """One look at one piece.

    Attributes:
        frame: number of the frame.
        captured_s: when the camera took it.
        box: where the piece was, in pixels of the full frame.
        crop: `(h, w, 3)` uint8 RGB, the piece with a margin, from the full frame.
        sharpness: higher is sharper; comparable within one camera.
        votes: false for a blurred or cut-off view, which counts for nothing.
        prediction: what the model says of `crop`; None until it was asked.
    """

    frame: int
    captured_s: float
    box: Box
    crop: NDArray[np.uint8] = field(repr=False)
    sharpness: float = 0.0
    votes: bool = True
    prediction: Prediction | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """What the sorter is asked to do with one piece.

    Attributes:
        id: the piece's ULID.
        seq: the piece's sequence number, rising by 1 from piece to piece for ever (also over restarts), at least 1.
        lane: where to eject it, at least 1; lane 0 is never commanded.
        target: encoder counts at which to fire, in [0, 2³²); None where there is no encoder.
        fire_at_s: when the piece is expected at that point; a message states it as milliseconds from its sending.
        deadline_s: after this the command must not leave.
        dwell_ms: how long to keep the ejector open.
        category: class id.
        confidence: in [0, 1].
    """

    id: str
    seq: int
    lane: int
    target: int | None
    fire_at_s: float
    deadline_s: float
    dwell_ms: int
    category: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Ack:
    """The sorter has taken a command, or says why not."""

    seq: int
    result: AckResult
    at_s: float
    encoder: int | None = None


@dataclass(frozen=True, slots=True)
class Confirm:
    """What became of a command at the ejector."""

    seq: int
    result: ConfirmResult
    at_s: float


def encoder_difference(later: int, earlier: int) -> int:
    """Counts from `earlier` to `later`, in [-2³¹, 2³¹): both are compared modulo 2³²."""
    return (later - earlier + ENCODER_RANGE // 2) % ENCODER_RANGE - ENCODER_RANGE // 2
