"""What passes between the parts of a line: frames, boxes, views, pieces, commands and answers.

All times called `…_s` are seconds of the line's own steady clock (`ports.Clock.now`), never of the wall: a wall clock
that jumps moves no deadline. Times called `…_at` are UTC.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

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
    "EndReason",
    "Frame",
    "Piece",
    "Status",
    "View",
    "encoder_difference",
    "new_ulid",
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
STATUSES: tuple[Status, ...] = get_args(Status)
# A piece at one of these changes no more; the sum over them is the number of pieces seen once the line is at rest.
ENDS: tuple[Status, ...] = ("confirmed", "fail_safe", "late", "refused", "unknown", "dropped")

AckResult = Literal["accepted", "late", "blocked", "unknown_lane", "full"]
ACK_RESULTS: tuple[AckResult, ...] = get_args(AckResult)
ConfirmResult = Literal["ejected", "missed", "double"]
CONFIRM_RESULTS: tuple[ConfirmResult, ...] = get_args(ConfirmResult)

# Why a piece ended, besides a reason to review (`vote.VoteReason`) and what the sorter said; worded in lines-words.js.
EndReason = Literal[
    "deadline",
    "ledger",
    "look_only",
    "no_answer",
    "no_confirmation",
    "no_encoder",
    "no_lane",
    "no_link",
    "passed_unseen",
    "restart",
    # the state of a line that does not sort
    "idle",
    "stopped",
    "suspended",
    "held",
    "aborted",
]


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


@dataclass(frozen=True, slots=True)
class Piece:
    """All that is known of one piece; a row of the ledger, and the `piece` message.

    Attributes:
        id: ULID.
        line: the line's name.
        seq: sequence number, from 1, rising by 1 over the life of the ledger.
        seen_at: when it was seen first, UTC.
        captured_at: when the frame was taken in which it crossed the trigger line.
        decided_at: when it was decided.
        status: where in its life it is.
        encoder: counts when it crossed the trigger line; None without an encoder.
        frames: views that took part in the decision.
        category: class id; None until decided, and where no view could be judged.
        confidence: of the category, in [0, 1].
        scores: class id → averaged probability.
        decision: accept or review.
        reason: why review, or why this end.
        lane: where it was sent; 0 is the fail-safe.
        target: encoder counts at which to fire.
        commanded_at: when the command was handed to the network.
        acknowledged_at: when its answer came, also one that came too late.
        ack_result: what it said.
        confirmed_at: when the confirmation came.
        confirm_result: what it said.
        latency_ms: from the capture of the deciding frame to the command's handing over, or to the decision.
        model_name: the bundle's name.
        model_version: the bundle's version.
        shift: name of the shift.
        thumbnail: key of the stored picture, which is the piece's `id`; None where none is kept.
        audit_probability: with what probability this piece was drawn for the audit, in (0, 1]; None: not drawn.
        true_category: what an auditor said it is.
        audited_at: when.
        audited_by: who.
    """

    id: str
    line: str
    seq: int
    seen_at: dt.datetime
    captured_at: dt.datetime | None = None
    decided_at: dt.datetime | None = None
    status: Status = "seen"
    encoder: int | None = None
    frames: int = 0
    category: str | None = None
    confidence: float | None = None
    scores: Mapping[str, float] | None = None
    decision: Literal["accept", "review"] | None = None
    reason: str | None = None
    lane: int = FAIL_SAFE_LANE
    target: int | None = None
    commanded_at: dt.datetime | None = None
    acknowledged_at: dt.datetime | None = None
    ack_result: AckResult | None = None
    confirmed_at: dt.datetime | None = None
    confirm_result: ConfirmResult | None = None
    latency_ms: float | None = None
    model_name: str | None = None
    model_version: str | None = None
    shift: str | None = None
    thumbnail: str | None = None
    audit_probability: float | None = None
    true_category: str | None = None
    audited_at: dt.datetime | None = None
    audited_by: str | None = None


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_ulid(at: dt.datetime, randomness: int | None = None) -> str:
    """A sortable identifier of 26 characters: 48 bits of milliseconds, 80 random bits, in Crockford's base 32.

    Args:
        at: the time in it.
        randomness: in [0, 2⁸⁰); None draws it from the system.

    References:
        https://github.com/ulid/spec
    """
    number = int(at.timestamp() * 1000) << 80 | (secrets.randbits(80) if randomness is None else randomness)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def encoder_difference(later: int, earlier: int) -> int:
    """Counts from `earlier` to `later`, in [-2³¹, 2³¹): both are compared modulo 2³²."""
    return (later - earlier + ENCODER_RANGE // 2) % ENCODER_RANGE - ENCODER_RANGE // 2
