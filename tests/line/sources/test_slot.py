"""The slot of one, and pushed pictures."""

import io

import numpy as np
import pytest
from PIL import Image
from tests.line.fakes import FakeClock
from tests.line.sources.cameras import jpeg

from binsight.errors import ImageError, InputError
from binsight.line.sources.push import PushSource
from binsight.line.sources.slot import Shot, SlotSource


def shot(at_s: float, shade: int = 0) -> Shot:
    """A small shot of one shade."""
    return Shot(at_s, lambda: np.full((2, 2, 3), shade, dtype=np.uint8))


def test_only_the_newest_is_given_once_and_the_others_are_counted():
    """Only the newest is given once and the others are counted."""
    clock = FakeClock(100.0)
    source = SlotSource(clock)
    assert source.state == "starting"
    for number in range(5):
        source.put(shot(100.0 + number / 1000, number))
    frame = source.read(0.0)
    assert frame is not None
    assert (frame.number, frame.captured_s, int(frame.image[0, 0, 0])) == (5, 100.004, 4)
    assert source.dropped == 4
    assert source.read(0.0) is None
    assert source.state == "ok"


def test_an_old_frame_is_dropped_and_the_source_stalls():
    """An old frame is dropped and the source stalls."""
    clock = FakeClock(100.0)
    source = SlotSource(clock, stalled_after_s=0.5)
    source.put(shot(100.0))
    clock.seconds = 100.6
    assert source.read(0.0) is None
    assert (source.dropped, source.state) == (1, "stalled")


def test_frames_faster_than_asked_for_are_passed_over():
    """Frames faster than asked for are passed over."""
    source = SlotSource(FakeClock(100.0), frames_per_second=10)
    source.put(shot(100.0))
    source.put(shot(100.05))
    source.put(shot(100.1))
    frame = source.read(0.0)
    assert frame is not None
    assert frame.captured_s == 100.1
    assert source.dropped == 1


def test_a_broken_frame_is_counted_and_waited_over():
    """A broken frame is counted and waited over."""
    source = PushSource(FakeClock())
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).save(data, "JPEG")
    source.push(data.getvalue()[: len(data.getvalue()) // 2])
    assert source.read(0.0) is None
    assert source.broken == 1


def test_the_end_and_close_wake_a_reader():
    """The end and close wake a reader."""
    source = SlotSource(FakeClock())
    source.put(shot(100.0))
    source.end()
    assert source.read(0.0) is not None
    with pytest.raises(EOFError):
        source.read(5.0)
    other = SlotSource(FakeClock())
    other.close()
    assert other.read(5.0) is None


def test_a_pushed_frame_is_as_old_as_its_sender_says():
    """A pushed frame is as old as its sender says."""
    clock = FakeClock(100.0)
    source = PushSource(clock)
    assert source.push(jpeg(50), age_s=0.25, encoder=7)
    frame = source.read(0.0)
    assert frame is not None
    assert (frame.captured_s, frame.encoder, frame.image.shape) == (99.75, 7, (24, 32, 3))


def test_frames_that_are_old_repeated_or_overtaken_are_dropped():
    """Frames that are old repeated or overtaken are dropped."""
    clock = FakeClock(100.0)
    source = PushSource(clock)
    assert source.push(jpeg(1), device="a", sequence=40)
    assert not source.push(jpeg(1), device="a", sequence=40)
    assert not source.push(jpeg(1), device="a", sequence=39)
    assert not source.push(jpeg(2), age_s=0.5)
    assert not source.push(jpeg(3), age_s=1.5)
    assert source.dropped == 4
    assert source.push(jpeg(4), device="a", sequence=0)  # it was switched on anew
    assert source.push(jpeg(4), device="b", sequence=40)


@pytest.mark.parametrize("age_s", [-0.1, float("nan"), float("inf")])
def test_an_impossible_age_is_refused(age_s):
    """An impossible age is refused."""
    with pytest.raises(InputError, match="age"):
        PushSource(FakeClock()).push(jpeg(1), age_s=age_s)


def test_what_is_no_picture_is_refused_at_once():
    """What is no picture is refused at once."""
    with pytest.raises(ImageError):
        PushSource(FakeClock()).push(b"hello")
