"""A look at a recording: every frame, in the recording's own time, as fast as it goes; nothing is sorted."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from binsight.line.config import LineConfig
from binsight.line.engine import Engine, Picture
from binsight.line.ledger.writer import LedgerWriter
from binsight.line.ports import Ports
from binsight.line.records import Piece, View
from binsight.line.sorters.none import NoSorter
from binsight.line.sources.opening import open_source
from binsight.line.sources.survey import read_frames
from binsight.line.views import judge_views
from binsight.predictor import Predictor

__all__ = ["Look", "look"]

_AFTER_S, _STEP_S = 2.0, 0.1  # at the end, what waits for its decision gets so long


class _RecordingClock:
    """Time that stands where the recording stands."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._began = dt.datetime.now(dt.UTC)

    def now(self) -> float:
        """Seconds of the recording."""
        return self.now_s

    def utc(self) -> dt.datetime:
        """As if it was made now."""
        return self._began + dt.timedelta(seconds=self.now_s)


@dataclass(frozen=True, slots=True)
class Look:
    """What came of it.

    Attributes:
        frames: that were looked at.
        broken: that could not be decoded.
        pieces: that were seen.
        seconds: length of the recording.
        belt_known: whether an empty belt was ever seen; without one nothing is found.
    """

    frames: int
    broken: int
    pieces: int
    seconds: float
    belt_known: bool


def look(
    config: LineConfig,
    *,
    predictor: Predictor,
    ledger: LedgerWriter,
    empty_belt: bytes | None = None,
    on_piece: Callable[[Piece], None] = lambda _: None,
    on_picture: Callable[[Picture], None] = lambda _: None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Look:
    """Go through a video file or a folder once.

    Args:
        config: of the line; its source is the recording.
        predictor: the model.
        ledger: the account, without a thread of its own.
        empty_belt: as `sources.survey` learnt it, so that the first pieces are found too.
        on_piece: told of every new state of a piece.
        on_picture: shown every frame.
        on_progress: told how many frames are done.

    Raises:
        InputError: the recording cannot be read.
    """
    clock, calls = _RecordingClock(), deque[Callable[[], None]]()

    def classify(views: Sequence[View], then: Callable[[Sequence[View]], None], *, urgent: bool) -> bool:  # noqa: ARG001 - none waits
        judged = judge_views(predictor, views)
        calls.append(lambda: then(judged))
        return True

    engine = Engine(
        Ports(config, predictor, classify, clock, NoSorter(config, clock=clock), ledger, calls.append),
        seed=0,
        on_piece=on_piece,
        empty_belt=empty_belt,
    )

    def settle() -> None:
        while calls:
            calls.popleft()()
        engine.tick()
        ledger.flush()

    frames = 0
    with closing(open_source(config.camera.source, clock, every_frame=True)) as source:
        for frames, frame in enumerate(read_frames(source), start=1):
            clock.now_s = max(clock.now_s, frame.captured_s)
            engine.on_frame(frame)
            settle()
            seen = engine.picture
            # A frame that showed nothing new, or before an empty belt was known, is shown as it came.
            on_picture(seen if seen is not None and seen.frame.number == frame.number else Picture(frame, (), {}))
            on_progress(frames)
    length_s = clock.now_s
    while not engine.at_rest and clock.now_s < length_s + _AFTER_S:
        clock.now_s += _STEP_S
        settle()
    return Look(frames, getattr(source, "broken", 0), engine.pieces_seen, length_s, engine.ready)
