"""What goes in and out over HTTP of lines, as types."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from binsight.serving.schemas import Answer, Body, Query, Score

__all__ = [
    "AlarmList",
    "AuditItem",
    "AuditLabel",
    "AuditQuestion",
    "CountQuery",
    "EventsQuery",
    "FrameAnswer",
    "FrameHeaders",
    "LabelAnswer",
    "LimitQuery",
    "LineAnew",
    "LineList",
    "LineOverview",
    "PieceDetail",
    "PieceList",
    "PiecesQuery",
    "ShiftList",
    "TriggerAnswer",
    "TriggerBody",
]

Status = Literal[
    "seen", "decided", "commanded", "acknowledged", "confirmed", "fail_safe", "late", "refused", "unknown", "dropped"
]
Auditor = Annotated[str, Field(min_length=1, max_length=100, description="Who labels.")]


class PiecesQuery(Query):
    """Which pieces."""

    limit: Annotated[int, Field(ge=1, le=500)] = Field(default=50, description="How many at most.")
    before: Annotated[str, Field(min_length=1, max_length=26)] | None = Field(
        default=None, description="Only those older than this piece: the `next` of the answer before."
    )
    lane: Annotated[int, Field(ge=0, le=255)] | None = Field(default=None, description="Only those sent there.")
    status: Status | None = Field(default=None, description="Only those with this status.")


class CountQuery(Query):
    """How many shifts."""

    count: Annotated[int, Field(ge=1, le=100)] = Field(default=9, description="How many, back from the present one.")


class LimitQuery(Query):
    """How many entries."""

    limit: Annotated[int, Field(ge=1, le=1000)] = Field(default=100, description="How many at most.")


class EventsQuery(Query):
    """What the stream should carry."""

    frames: bool = Field(default=True, description="Also the pictures of the belt.")


class AuditQuestion(Body):
    """Asks for a piece to label."""

    auditor: Auditor
    skip: Annotated[list[Annotated[str, Field(max_length=26)]], Field(max_length=1000)] = Field(
        default=[], description="Pieces that this auditor has put off."
    )


class AuditLabel(Body):
    """What a person says a piece is."""

    auditor: Auditor
    category: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="A class, or `other`: none of them, several pieces, or not to be made out."
    )


class FrameHeaders(Query):
    """What a device says of the picture that it pushes."""

    device: Annotated[str, Field(max_length=64, pattern=r"^\P{C}*$")] = Field(default="", alias="X-Binsight-Device")
    sequence: Annotated[int, Field(ge=0, le=2**53)] | None = Field(default=None, alias="X-Binsight-Sequence")
    age_ms: float = Field(default=0, ge=0, le=86_400_000, alias="X-Binsight-Age-Ms")
    encoder: Annotated[int, Field(ge=0, lt=2**32)] | None = Field(default=None, alias="X-Binsight-Encoder")


class TriggerBody(Body):
    """A piece is at the trigger line."""

    encoder: Annotated[int, Field(ge=0, lt=2**32)] | None = Field(default=None, description="The belt's counts.")


class TriggerAnswer(Answer):
    """It was passed on."""

    taken: bool


class FrameAnswer(Answer):
    """What became of a frame."""

    newest: bool = Field(description="False: it was too old, or came before, and was dropped.")


class LabelAnswer(Answer):
    """A label that was kept."""

    id: str
    category: str
    open: int = Field(description="Pieces that are still to be labelled.")
    labelled: int


class LineClass(Answer):
    """A category."""

    id: str
    title: str
    stream: str


class LaneName(Answer):
    """A lane."""

    number: int
    name: str


class LineAbout(Answer):
    """What does not change while a line runs."""

    name: str
    site: str
    here: bool = Field(description="Whether it runs in this process; else its ledger is shown.")
    lanes: list[LaneName]
    classes: list[LineClass]


class LineList(Answer):
    """The lines."""

    lines: list[LineAbout]


class LanePurity(Answer):
    """Share of right pieces with its 95 % interval."""

    purity: Score | None = Field(description="Null while nothing was audited.")
    low: Score
    high: Score
    audited: int
    pieces: int
    method: str


class LaneOverview(Answer):
    """One lane in the running shift; 0 is what stays on the belt."""

    number: int
    name: str
    categories: list[str]
    pieces: int
    per_minute: int
    purity_target: Score | None
    purity: LanePurity | None


class CategoryCount(Answer):
    """Pieces of one category."""

    category: str | None = Field(description="Null where none was decided.")
    pieces: int


class AlarmEntry(Answer):
    """An alarm that came or went."""

    code: str
    active: bool
    detail: str
    at: str


class AlarmList(Answer):
    """The newest first."""

    events: list[AlarmEntry]


class Percentiles(Answer):
    """Milliseconds from the capture of the deciding frame to the command, or to the decision."""

    p50: float | None
    p95: float | None
    p99: float | None


class LineState(Answer):
    """The `state` message."""

    online: bool
    state: int
    state_name: str
    mode: int
    mode_name: str
    camera: str
    frame_age_ms: int | None
    ack_rtt_ms: float | None
    model: str


class LinePresence(Answer):
    """What is heard over its broker of a line that runs in another program."""

    broker: bool = Field(description="Whether there is a connection to it.")
    online: bool | None = Field(description="Whether the line lives; null: nothing was heard yet.")
    silent_s: float | None = Field(description="Since its last word.")


class ShiftName(Answer):
    """A shift, or a day."""

    name: str
    began: str


class LineOverview(Answer):
    """How a line is."""

    name: str
    site: str
    here: bool
    at: str
    state: LineState | None = Field(description="Null where the line runs in another program and is not heard.")
    remote: LinePresence | None = Field(description="Of a line that runs in another program and has a broker.")
    shift: ShiftName
    pieces: int = Field(description="That have their end, in this shift.")
    per_minute: int
    review_share: Score | None
    latency_ms: Percentiles
    ends: dict[str, int]
    lanes: list[LaneOverview]
    categories: list[CategoryCount]
    alarms: list[AlarmEntry]


class PieceEntry(Answer):
    """A piece in a list."""

    id: str
    seq: int
    t: str
    encoder: int | None
    category: str | None
    confidence: Score | None
    decision: Literal["accept", "review"] | None
    reason: str | None
    frames: int
    lane: int
    status: Status
    latency_ms: float | None
    picture: bool = Field(description="Whether a picture was kept.")


class PieceList(Answer):
    """The newest first."""

    pieces: list[PieceEntry]
    next: str | None = Field(description="What `before` must be for those that follow.")


class ScoreEntry(Answer):
    """A category's averaged probability."""

    category: str
    probability: Score


class TimeEntry(Answer):
    """A step of a piece's life."""

    step: Literal["captured", "seen", "decided", "commanded", "acknowledged", "confirmed"]
    at: str
    after_ms: float = Field(description="From capture.")


class ViewEntry(Answer):
    """One of the views of a piece that the model was asked about."""

    frame: int = Field(description="Its frame's number.")
    at: str = Field(description="When that was captured.")
    box: list[int] = Field(description="Left, top, right, bottom in the frame's pixels.")
    sharpness: float
    voted: bool = Field(description="Whether it counted; blurred ones do not.")
    category: str | None
    decision: Literal["accept", "review"] | None = Field(description="What the model would have said of it alone.")
    reason: str | None
    unfamiliarity: float | None
    scores: list[ScoreEntry]


class PieceAudit(Answer):
    """What an auditor said."""

    probability: Score | None = Field(description="With which it was drawn; null: it was not.")
    true_category: str | None
    at: str | None
    by: str | None


class PieceDetail(PieceEntry):
    """All about one piece."""

    scores: list[ScoreEntry]
    target: int | None
    ack_result: str | None
    confirm_result: str | None
    model: str | None
    shift: str | None
    times: list[TimeEntry]
    views: list[ViewEntry] = Field(description="In order; empty once its pictures are no longer kept.")
    audit: PieceAudit


class ShiftLane(Answer):
    """A lane in a shift."""

    number: int
    pieces: int
    purity: LanePurity | None


class ShiftEntry(ShiftName):
    """Sums of a shift."""

    pieces: int
    review_share: Score | None
    latency_ms: Percentiles
    ends: dict[str, int]
    lanes: list[ShiftLane]


class ShiftList(Answer):
    """The newest first."""

    shifts: list[ShiftEntry]


class AuditItem(Answer):
    """A piece to label; nothing tells what the model said."""

    id: str | None = Field(description="Null: there is none left.")
    open: int
    labelled: int
    without_picture: int


class LineAnew(Answer):
    """The event `anew`: all that counts."""

    overview: LineOverview
    newest: list[PieceEntry]
