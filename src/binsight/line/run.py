"""A line in real time: threads around the engine, which is one of them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from binsight.line.alarms import Alarm
from binsight.line.classify import ClassifierThread
from binsight.line.clock import SystemClock
from binsight.line.config import LineConfig
from binsight.line.engine import Engine
from binsight.line.ledger.writer import LedgerWriter
from binsight.line.memory import LineMemory
from binsight.line.ports import Ports, Sorter, Source, posted_events
from binsight.line.records import Frame, Piece
from binsight.predictor import Predictor

__all__ = ["LineRunner"]

_TICK_S = 0.02
_GRACE_S = 1.0  # for the answers that are under way when the line is told to stop


class LineRunner:
    """Runs a line until it is told to stop.

    The engine's thread takes calls from one queue; camera, classifier, ledger and sorter have threads of their own and
    post to it. The newest frame waits in a place of its own: a slow engine sees fewer frames, never old ones.

    Args:
        on_piece, on_alarm: told on the engine's thread; must not wait.
    """

    def __init__(
        self,
        config: LineConfig,
        *,
        predictor: Predictor,
        source: Source,
        sorter: Sorter,
        ledger: LedgerWriter,
        memory: LineMemory,
        clock: SystemClock | None = None,
        on_piece: Callable[[Piece], None] = lambda _: None,
        on_alarm: Callable[[Alarm], None] = lambda _: None,
    ) -> None:
        self.config, self.predictor = config, predictor
        self._clock = clock or SystemClock()
        self._source, self._sorter, self._ledger = source, sorter, ledger
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self._newest: Frame | None = None
        self._frame_lock = threading.Lock()
        self._stopping = threading.Event()
        self.ended = threading.Event()  # a file has no more frames
        self._classifier = ClassifierThread(predictor, post=self.post)
        self.engine = Engine(
            Ports(config, predictor, self._classifier, self._clock, sorter, ledger, self.post),
            on_piece=on_piece,
            on_alarm=on_alarm,
            empty_belt=memory.empty_belt,
            keep_belt=memory.keep_belt,
            is_new=memory.is_new,
            keep_familiar=memory.keep_familiar,
        )

    def post(self, call: Callable[[], None]) -> None:
        """Have something called on the engine's thread, from any thread."""
        self._calls.put(call)

    def stop(self) -> None:
        """End `run`, from any thread or a signal's handler."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop`, or until a file has ended and every piece with it."""
        camera = threading.Thread(target=self._watch_camera, name="camera", daemon=True)
        self._sorter.start(posted_events(self.engine, self.post))
        camera.start()
        try:
            self._work(self._is_done)
            self._source.close()
            if not self.engine.at_rest:
                end_s = self._clock.now() + _GRACE_S
                self._work(lambda: self.engine.at_rest or self._clock.now() > end_s)
            self.engine.stop()
        finally:
            self._stopping.set()
            self._source.close()
            self._classifier.close()
            self._sorter.close()
            self._ledger.close()
            camera.join(timeout=5)

    def _work(self, is_done: Callable[[], bool]) -> None:
        tick_s, told_s = self._clock.now(), float("-inf")
        while not is_done():
            self._take_calls(tick_s + _TICK_S)
            now = self._clock.now()
            if now >= tick_s + _TICK_S:
                tick_s = now
                self.engine.tick()
            if now >= told_s + self.config.sorter.heartbeat_s:
                told_s = now
                self._sorter.publish("state", self.engine.state_message(), retain=True)

    def _is_done(self) -> bool:
        if self._stopping.is_set():
            return True
        return self.ended.is_set() and self._calls.empty() and self.engine.at_rest

    def _take_calls(self, until_s: float) -> None:
        try:
            self._calls.get(timeout=max(0.0, until_s - self._clock.now()))()
            while self._clock.now() < until_s:
                self._calls.get_nowait()()
        except queue.Empty:
            pass

    def _watch_camera(self) -> None:
        pause_s, next_s = 1 / self.config.camera.frames_per_second, 0.0
        while not self._stopping.is_set():
            try:
                frame = self._source.read(timeout_s=0.2)
            except EOFError:
                self.ended.set()
                return
            if frame is None:
                state = self._source.state
                if state != "ok":
                    self.post(lambda state=state: self.engine.on_camera(state))  # type: ignore[misc]  # bound now
            elif frame.captured_s >= next_s:
                # A tenth early is in time: cameras jitter.
                next_s = frame.captured_s + 0.9 * pause_s
                self._hand_over(frame)

    def _hand_over(self, frame: Frame) -> None:
        with self._frame_lock:
            waits, self._newest = self._newest is not None, frame
        if waits:
            self.engine.frames_dropped += 1
        else:
            self.post(self._take_frame)

    def _take_frame(self) -> None:
        with self._frame_lock:
            frame, self._newest = self._newest, None
        if frame is not None:
            self.engine.on_frame(frame)
