"""Video by PyAV: files, servers that say nothing."""

import threading
import time

import numpy as np
import pytest
from tests.line.fakes import FakeClock
from tests.line.sources.cameras import serve, wait_until
from tests.line.sources.test_reader import RealClock, frames_of
from tests.line.sources.test_snapshot import request
from tests.patience import PATIENCE_S

from binsight.errors import InputError
from binsight.line.sources import reader as reader_module
from binsight.line.sources.opening import open_source
from binsight.line.sources.video import LiveVideo, read_video

av = pytest.importorskip("av", reason="video needs the extra line-video")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(reader_module, "_FIRST_PAUSE_S", 0.01)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """20 frames at 10 a second, ever brighter."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            image = np.full((48, 64, 3), 10 * number, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_every_frame_of_a_file_comes_in_the_files_time(clip):
    """Every frame of a file comes in the files time."""
    source = open_source(str(clip), FakeClock(7.0), every_frame=True)
    frames = list(frames_of(source))
    assert [frame.captured_s for frame in frames] == pytest.approx([7.0 + n / 10 for n in range(20)])
    assert [frame.number for frame in frames] == list(range(1, 21))
    assert np.abs(np.array([frame.image.mean() for frame in frames]) - 10 * np.arange(20)).max() < 4


def test_a_truncated_file_and_one_that_is_no_video_are_told_in_one_line(clip, tmp_path):
    """A truncated file and one that is no video are told in one line."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clip.read_bytes()[:200])
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    for path in (broken, text):
        with pytest.raises(InputError, match="cannot read the video") as caught:
            next(read_video(str(path)))
        assert "\n" not in str(caught.value)


def test_a_file_played_in_real_time_drops_what_is_not_taken(clip):
    """A file played in real time drops what is not taken."""
    source = open_source(str(clip), RealClock())
    wait_until(lambda: source.dropped >= 2)
    frame = source.read(PATIENCE_S)
    assert frame is not None
    assert frame.number >= 2
    source.close()


@pytest.mark.parametrize("scheme", ["rtsp://127.0.0.1:{}/live", "mjpeg http://127.0.0.1:{}/"])
def test_a_server_that_says_nothing_does_not_hold_the_line(scheme):
    """It takes the connection and is silent: opening is given up in time, and tried again."""
    connections = []

    def answer(connection, number):
        connections.append(number)
        time.sleep(30)

    with serve(answer) as port:
        source = open_source(scheme.format(port), RealClock(), open_timeout_s=0.3)
        try:
            started = time.monotonic()
            assert source.read(0.05) is None
            assert time.monotonic() - started < PATIENCE_S  # the server is silent for longer
            wait_until(lambda: len(connections) > 1 and source.state == "absent")
        finally:
            source.close()


def test_rtsp_that_stops_in_the_middle_of_its_answer_is_given_up():
    """Rtsp that stops in the middle of its answer is given up."""

    def answer(connection, number):
        request(connection)
        connection.sendall(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DES")
        time.sleep(30)

    with serve(answer) as port:
        live = LiveVideo(f"rtsp://127.0.0.1:{port}/live", clock=RealClock(), open_timeout_s=0.3)
        started = time.monotonic()
        with pytest.raises(Exception, match=r"(?i)exit|timed|timeout|invalid"):
            next(live(threading.Event()))
        assert time.monotonic() - started < PATIENCE_S


def test_a_device_that_is_not_there_is_absent():
    """A device that is not there is absent."""
    source = open_source("/dev/video99", RealClock())
    try:
        wait_until(lambda: source.state == "absent")
        assert source.read(0.0) is None
    finally:
        source.close()
