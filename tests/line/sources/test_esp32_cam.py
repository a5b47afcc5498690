"""A simulated ESP32-CAM as a camera of the line: each of its faults is borne."""

import threading
import time
from itertools import islice

import pytest
from tests.line.fakes import FakeClock
from tests.line.sources.cameras import serve, wait_until
from tests.line.sources.esp32_cam import Esp32Cam
from tests.line.sources.test_reader import RealClock
from tests.line.sources.test_snapshot import request

from binsight.errors import InputError
from binsight.imaging import ImageLimits
from binsight.line.sources import reader as reader_module
from binsight.line.sources.mjpeg import MotionJpeg
from binsight.line.sources.opening import open_source
from binsight.line.sources.snapshot import Snapshots
from binsight.line.sources.stamps import StampClock


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(reader_module, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(reader_module, "_LAST_PAUSE_S", 0.05)


def snapshots(camera, **settings):
    """Its single pictures."""
    return Snapshots(camera.capture_url, clock=RealClock(), frames_per_second=500, **settings)(threading.Event())


def stream(camera, **settings):
    """Its stream."""
    return MotionJpeg(camera.stream_url, clock=RealClock(), **settings)(threading.Event())


class TestCapture:
    def test_pictures_without_their_end_are_shown(self):
        """Every pixel is there."""
        with Esp32Cam(no_end=1) as camera:
            assert [camera.number(shot.decode()) for shot in islice(snapshots(camera), 4)] == [0, 1, 2, 3]

    def test_a_picture_that_was_kept_is_known_to_be_old(self):
        """It was taken at the request before the last, ten seconds ago, and its stamp tells."""
        clock = FakeClock(100.0)
        with Esp32Cam(behind=1, now=clock.now) as camera:
            shots = Snapshots(camera.capture_url, clock=clock, frames_per_second=500)(threading.Event())
            taken = []
            for _ in range(4):
                taken.append(next(shots).captured_s)
                clock.seconds += 10
            assert taken == pytest.approx([100, 100, 110, 120], abs=0.1)
            assert camera.exposed == [100, 100, 110, 120, 130]

    def test_without_stamps_a_picture_is_as_old_as_its_request(self):
        """Nothing tells more."""
        clock = FakeClock(100.0)
        with Esp32Cam(behind=1, now=clock.now, stamps=False) as camera:
            shots = Snapshots(camera.capture_url, clock=clock, frames_per_second=500)(threading.Event())
            next(shots)
            clock.seconds += 10
            assert next(shots).captured_s == 110

    def test_answers_that_dribble_come_whole(self):
        """Segment by segment, within the time for one picture."""
        with Esp32Cam(dribble_s=0.005) as camera:
            assert [camera.number(shot.decode()) for shot in islice(snapshots(camera), 3)] == [0, 1, 2]

    def test_a_kept_connection_that_is_dropped_is_made_anew_at_once(self):
        """Without a failure, so without a pause."""
        with Esp32Cam(drops=2) as camera:
            assert len(list(islice(snapshots(camera), 6))) == 6
            assert camera.requests >= 10

    def test_a_picture_cut_off_is_counted_and_the_next_one_taken(self):
        """The camera stays `ok`."""
        with Esp32Cam(cut=2) as camera:
            source = open_source(camera.capture_url, RealClock(), frames_per_second=50)
            try:
                wait_until(lambda: source.read(0.5) is not None and source.broken >= 2)
                assert source.state == "ok"
            finally:
                source.close()


class TestStream:
    @pytest.mark.parametrize("lengths", [True, False], ids=["with-lengths", "without"])
    def test_pictures_come_whole(self, lengths):
        """With or without a stated length, with or without their end; in chunks that dribble."""
        with Esp32Cam(no_end=2, lengths=lengths, dribble_s=0.001, frame_s=0.005) as camera:
            assert [camera.number(shot.decode()) for shot in islice(stream(camera), 5)] == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize("stamps", [True, False], ids=["stamped", "unstamped"])
    def test_a_slow_camera_is_not_taken_for_an_old_one(self, stamps):
        """Six pictures a second are as fresh as fifty; counted at 25 a second, the last would be a second old."""
        with Esp32Cam(frame_s=0.16, stamps=stamps) as camera:
            ages = [time.monotonic() - shot.captured_s for shot in islice(stream(camera), 9)]
            assert ages[-1] < 0.6

    def test_what_waited_for_the_radio_is_old(self):
        """It comes all at once after the gap of a second, and is told from what is fresh."""
        with Esp32Cam(gap=5, gap_s=1.0) as camera:
            ages = [time.monotonic() - shot.captured_s for shot in islice(stream(camera), 20)]
            assert max(ages) > 0.3

    def test_it_is_opened_anew_when_it_drops(self):
        """Again and again, and the line goes on."""
        with Esp32Cam(drops=4, frame_s=0.005) as camera:
            source = open_source(f"mjpeg {camera.stream_url}", RealClock())
            try:
                wait_until(lambda: source.read(1.0) is not None and camera.requests >= 3)
            finally:
                source.close()

    def test_a_cut_off_picture_is_counted_and_the_next_one_taken(self):
        """As with single pictures."""
        with Esp32Cam(cut=3, frame_s=0.01) as camera:
            source = open_source(f"mjpeg {camera.stream_url}", RealClock())
            try:
                wait_until(lambda: source.read(0.5) is not None and source.broken >= 2)
            finally:
                source.close()

    def test_one_that_stalls_is_given_up_in_time(self):
        """It says something, then nothing."""
        camera = Esp32Cam(gap=3, gap_s=60, frame_s=0.01)
        with camera, pytest.raises(OSError, match=r"0\.3 s|timed out"):
            list(stream(camera, read_timeout_s=0.3))

    def test_a_second_client_does_not_hold_the_line(self):
        """The firmware serves one; the other waits, is told in time, and comes in when the first has gone."""
        with Esp32Cam() as camera:
            first = stream(camera)
            next(first)
            with pytest.raises(OSError, match="timed out"):
                next(stream(camera, read_timeout_s=0.2))
            first.close()
            shots = None
            for _ in range(50):
                try:
                    shots = next(stream(camera, read_timeout_s=0.5))
                    break
                except OSError:
                    continue
            assert shots is not None

    @pytest.mark.parametrize(
        ("head", "body", "message"),
        [
            ("404 Not Found", b"", "HTTP 404"),
            ("200 OK\r\nContent-Type: text/html", b"<html>", "expected a stream of JPEGs, got text/html"),
            ("200 OK\r\nContent-Type: multipart/x", b"", "expected a stream of JPEGs"),
            ("200 OK\r\nContent-Type: multipart/x; boundary=b", bytes(9000), "within 4,096 bytes"),
            ("200 OK\r\nContent-Type: multipart/x; boundary=b", b"--b\r\nContent-Length: 99999\r\n\r\n", "1,000 bytes"),
            ("200 OK\r\nContent-Type: multipart/x; boundary=b", b"--b\r\nX: y\r\n\r\n" + bytes(9000), "within 1"),
            ("200 OK\r\nContent-Type: multipart/x; boundary=b", b"--b\r\nX: y\r\n\r\nxy", "ended"),
            ("what?", b"", "broken answer"),
        ],
    )
    def test_what_is_no_stream(self, head, body, message):
        """Each is an error in one line, and nothing grows without end."""

        def send(connection, number):
            request(connection)
            connection.sendall(f"HTTP/1.1 {head}\r\n\r\n".encode() + body)

        with serve(send) as port:
            limits = ImageLimits(max_bytes=1000)
            camera = MotionJpeg(f"http://127.0.0.1:{port}/", clock=RealClock(), read_timeout_s=5, limits=limits)
            with pytest.raises(OSError, match=message):
                next(camera(threading.Event()))


class TestStampClock:
    def test_the_fastest_picture_counts(self):
        """Delays of 0.3, 0.1 and 0.6 s: the second is the least, so the third was 0.5 s late."""
        clock = StampClock()
        assert clock.tell(10.0, 110.3) == pytest.approx(110.3)
        assert clock.tell(11.0, 111.1) == pytest.approx(111.1)
        assert clock.tell(12.0, 112.6) == pytest.approx(112.1, abs=0.01)

    def test_a_camera_that_started_anew(self):
        """Its clock goes back: nothing is known of its delay."""
        clock = StampClock()
        clock.tell(1000.0, 1100.0)
        assert clock.tell(3.0, 1110.0) == pytest.approx(1110.0)

    def test_however_old_a_kept_picture_is(self):
        """A minute is no new clock, unless that is said."""
        for jump_s, expected in ((float("inf"), 103.0), (5.0, 163.0)):
            clock = StampClock(jump_s=jump_s)
            clock.tell(2.0, 102.0)
            assert clock.tell(3.0, 163.0) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    "uri", ["http://", "mjpeg http:///stream", "http://camera:port/", "rtsp://[::1", "http://c:0/"]
)
def test_an_address_that_leads_nowhere_is_refused(uri):
    """At start, in one line: no camera would ever come."""
    with pytest.raises(InputError, match="expected an address such as"):
        open_source(uri, RealClock())
