"""The reader's thread: reopening, states, ends."""

import datetime as dt
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
from tests.line.fakes import FakeClock
from tests.line.sources.cameras import jpeg, wait_until
from tests.patience import PATIENCE_S

from binsight.errors import InputError
from binsight.line.ports import Source
from binsight.line.records import Frame
from binsight.line.sources import reader as reader_module
from binsight.line.sources.opening import open_source
from binsight.line.sources.reader import ReaderSource
from binsight.line.sources.slot import Shot


class RealClock:
    def now(self) -> float:
        return time.monotonic()

    def utc(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(reader_module, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(reader_module, "_LAST_PAUSE_S", 0.05)


def picture() -> np.ndarray:
    """A small black one."""
    return np.zeros((2, 2, 3), dtype=np.uint8)


def frames_of(source: Source) -> Iterator[Frame]:
    """Until the end."""
    with suppress(EOFError):
        while True:
            frame = source.read(2.0)
            assert frame is not None
            yield frame


def test_a_camera_that_is_absent_at_start_and_fails_later_comes_back_by_itself():
    """A camera that is absent at start and fails later comes back by itself."""
    attempts = 0

    def shots(stop):
        nonlocal attempts
        attempts += 1
        if attempts < 4:
            raise OSError("no such camera")
        yield Shot(time.monotonic(), picture)
        yield Shot(time.monotonic(), picture)
        if attempts == 4:
            raise RuntimeError("a bug of its library")
        stop.wait()

    source = ReaderSource(shots, name="test", clock=RealClock())
    try:
        wait_until(lambda: source.state == "absent" or attempts > 3)
        wait_until(lambda: source.openings == 2 and source.state == "ok")
        assert source.read(1.0) is not None
        assert attempts == 5
    finally:
        source.close()


def test_pauses_double_with_jitter_and_a_shot_sets_them_back(monkeypatch):
    """Pauses double with jitter and a shot sets them back."""
    pauses = []
    monkeypatch.setattr(reader_module, "_FIRST_PAUSE_S", 1.0)
    monkeypatch.setattr(reader_module, "_LAST_PAUSE_S", 4.0)
    attempts = 0

    class Stop(threading.Event):
        def wait(self, timeout=None):
            pauses.append(timeout)
            if len(pauses) == 6:
                self.set()
            return self.is_set()

    def shots(stop):
        nonlocal attempts
        attempts += 1
        if attempts == 5:
            yield Shot(0.0, picture)
        raise OSError("gone")

    monkeypatch.setattr(reader_module, "threading", SimpleNamespace(Event=Stop, Thread=threading.Thread))
    source = ReaderSource(shots, name="test", clock=FakeClock(), seed=1)
    source._thread.join(60)
    for pause, base in zip(pauses, [2.0, 4.0, 4.0, 4.0, 1.0, 2.0], strict=True):
        assert base <= pause <= 1.5 * base
    assert len({pause / base for pause, base in zip(pauses, [2, 4, 4, 4, 1, 2], strict=True)}) == 6


def test_close_ends_the_thread_and_the_capture():
    """Close ends the thread and the capture."""
    closed = threading.Event()

    def shots(stop):
        try:
            while not stop.wait(0.002):
                yield Shot(time.monotonic(), picture)
        finally:
            closed.set()

    source = ReaderSource(shots, name="test", clock=RealClock())
    wait_until(lambda: source.state == "ok")
    source.close()
    assert closed.wait(PATIENCE_S)
    source._thread.join(PATIENCE_S)
    assert not source._thread.is_alive()


def test_a_folder_gives_every_picture_in_its_own_time(tmp_path):
    """A folder gives every picture in its own time."""
    for number in (2, 0, 1):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(80 * number))
    (tmp_path / "3.jpg").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture either")
    source = open_source(f"folder:{tmp_path}", FakeClock(50.0), frames_per_second=10, every_frame=True)
    frames = [source.read(0.0) for _ in range(3)]
    assert [frame.captured_s for frame in frames if frame] == pytest.approx([50.0, 50.1, 50.2])
    assert [round(frame.image.mean() / 80) for frame in frames if frame] == [0, 1, 2]
    with pytest.raises(EOFError):
        source.read(0.0)
    assert source.broken == 1


def test_a_folder_played_in_real_time_ends(tmp_path):
    """A folder played in real time ends."""
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(80 * number))
    source = open_source(f"folder:{tmp_path}", RealClock(), frames_per_second=100)
    seen = list(frames_of(source))
    assert seen[-1].number == 3


@pytest.mark.parametrize("uri", ["nothing.mp4", "ftp://host/x", "folder:nowhere", "", "http"])
def test_an_address_of_nothing_is_refused_in_one_line(uri, tmp_path, monkeypatch):
    """An address of nothing is refused in one line."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="expected") as caught:
        open_source(uri, FakeClock())
    assert "\n" not in str(caught.value)


def test_no_message_shows_a_password():
    """No message shows a password."""
    with pytest.raises(InputError) as caught:
        open_source("ftp://me:secret@host/x", FakeClock())
    assert "secret" not in str(caught.value)
    assert "host/x" in str(caught.value)
