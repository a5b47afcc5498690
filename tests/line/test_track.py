"""The tracker: every piece of a made-up belt is counted exactly once, whatever the belt and the detector do."""

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binsight.errors import SettingsError
from binsight.line.belt import Belt
from binsight.line.field import Field
from binsight.line.records import ENCODER_RANGE, Blob, Box, EncoderReading
from binsight.line.settings import BeltSettings
from binsight.line.track import Tracker

FIELD = Field.of((300, 600), field_mm=600)  # a pixel is a millimetre


@dataclass(frozen=True)
class Made:
    """A piece: its head on the belt at travel 0 (negative: not in yet), its length, and its strip of the belt."""

    head: float
    length: float
    strip: int


def blob_of(piece: Made, travel: float, jitter: float = 0.0) -> Blob | None:
    """What a detector sees of it; None while it is outside."""
    head = piece.head + travel + jitter
    left, right = max(0.0, head - piece.length), min(600.0, head)
    if right - left < 6:
        return None
    top = 10 + 100 * piece.strip
    return Blob(Box(left, top, right, top + 60), 60 * (right - left), cut_off=left < 4 or right > 596)


def run(tracker, pieces, travels, *, seed=0, drop=0.0, jitter=0.0, noise=0.0, interval_s=0.05, told=None):
    """Track; returns the numbers counted in order, with the piece under each by its place when it crossed."""
    chance = random.Random(seed)  # noqa: S311
    counted = []
    for frame, travel in enumerate(travels):
        blobs = []
        for piece in pieces:
            blob = blob_of(piece, travel, chance.uniform(-jitter, jitter))
            if blob is not None and chance.random() >= drop:
                blobs.append(blob)
        if chance.random() < noise:
            x, y = chance.uniform(50, 500), chance.uniform(10, 240)
            blobs.append(Blob(Box(x, y, x + 30, y + 30), 900.0))
        chance.shuffle(blobs)
        given_mm = travel if told is None else told[frame]
        tracking = tracker.update(blobs, FIELD, travel_mm=given_mm, at_s=frame * interval_s)
        for track in tracking.crossed:
            shift = travel - given_mm  # what the tracker does not know
            here = [
                number
                for number, piece in enumerate(pieces)
                if abs(piece.head - piece.length / 2 + travel - track.centre_mm) < max(25.0, piece.length / 2)
                and piece.strip == round((sum(track.across) / 2 - 40) / 100)
            ]
            counted.append((here, track, shift))
    return counted


def assert_each_once(counted, pieces):
    """Every piece was counted, and by one track."""
    assert sorted(number for here, _, _ in counted for number in here) == list(range(len(pieces)))
    assert all(len(here) == 1 for here, _, _ in counted)


@st.composite
def belts(draw):
    """Pieces on three strips, several abreast, at least 25 mm apart on each strip."""
    pieces = []
    for strip in range(3):
        head = 0.0
        for _ in range(draw(st.integers(0, 5))):
            head -= draw(st.floats(25, 400))
            length = draw(st.floats(40, 260))
            pieces.append(Made(head, length, strip))
            head -= length
    return pieces


@st.composite
def profiles(draw):
    """Travel of a belt that runs at 0 to 40 mm a frame, stops, and goes on, until all pieces are out."""
    steps = []
    for _ in range(draw(st.integers(1, 6))):
        steps += [draw(st.floats(3, 40))] * draw(st.integers(3, 30)) + [0.0] * draw(st.integers(0, 40))
    return steps


def travels_of(steps, pieces):
    """Repeated until the last piece has left."""
    end = 700 - min((piece.head - piece.length for piece in pieces), default=0.0)
    travels, travel, n = [0.0], 0.0, 0
    while travel < end:
        travel += steps[n % len(steps)]
        travels.append(travel)
        n += 1
    return travels


@settings(max_examples=30, deadline=None)
@given(pieces=belts(), steps=profiles(), seed=st.integers(0, 999), drop=st.sampled_from([0.0, 0.15, 0.3]))
def test_every_piece_once_at_varying_and_stopping_speed(pieces, steps, seed, drop):
    """Gaps in detection, boxes that jitter, false blobs in single frames, several pieces abreast."""
    travels = travels_of([min(step, 25.0) for step in steps], pieces)
    counted = run(Tracker(), pieces, travels, seed=seed, drop=drop, jitter=2.0, noise=0.1)
    assert_each_once(counted, pieces)


@settings(max_examples=20, deadline=None)
@given(pieces=belts(), steps=profiles(), start=st.integers(ENCODER_RANGE - 20_000, ENCODER_RANGE + 20_000))
def test_every_piece_once_over_the_encoders_wrap(pieces, steps, start):
    """10 counts a millimetre, wrapped at 2**32 in the middle of the run."""
    travels = travels_of(steps, pieces)
    belt = Belt(BeltSettings(encoder="mqtt", counts_per_mm=10))
    told = []
    for frame, travel in enumerate(travels):
        belt.on_reading(EncoderReading((start + round(10 * travel)) % ENCODER_RANGE, 0.05 * frame))
        told.append(belt.position_mm(0.05 * frame))
    counted = run(Tracker(), pieces, travels, told=told)
    assert_each_once(counted, pieces)


@settings(max_examples=30)
@given(pieces=belts(), steps=profiles(), seed=st.integers(0, 999))
def test_every_piece_once_on_a_belt_without_encoder_that_stops(pieces, steps, seed):
    """The tracker is told 20 mm a frame, always; the belt runs at 0 to 40, and the boxes jitter."""
    travels = travels_of(steps, pieces)
    told = [20.0 * frame for frame in range(len(travels))]
    counted = run(Tracker(slip=1.0), pieces, travels, told=told, seed=seed, jitter=2.0)
    assert_each_once(counted, pieces)


def test_the_crossing_is_dated_back_to_the_line():
    """Centre 50 mm behind the head; line at 300 mm: it is there at travel 350, between two frames."""
    counted = run(Tracker(), [Made(0.0, 100.0, 1)], [40.0 * n for n in range(20)])
    assert [track.crossed_mm for _, track, _ in counted] == pytest.approx([350.0])


def test_those_that_cross_in_one_frame_come_in_order():
    """Those that cross in one frame come in order."""
    pieces = [Made(-10.0, 60.0, 0), Made(0.0, 60.0, 2), Made(-20.0, 60.0, 1)]
    counted = run(Tracker(), pieces, [45.0 * n for n in range(20)])
    assert [here for here, _, _ in counted] == [[1], [0], [2]]


def test_flicker_at_the_line_counts_nothing():
    """A reflection that comes and goes on a running belt moves nowhere."""
    tracker = Tracker()
    for frame in range(200):
        blobs = [Blob(Box(290 + frame % 3, 100, 330, 140), 1600.0)] if frame % 5 < 3 else []
        assert not tracker.update(blobs, FIELD, travel_mm=10.0 * frame, at_s=0.05 * frame).crossed


def test_a_piece_that_stops_on_the_line_is_counted_once():
    """It trembles by 2 mm around the line for a minute, with gaps."""
    piece = Made(0.0, 80.0, 1)
    travels = [20.0 * n for n in range(17)] + [340.0] * 1200 + [340.0 + 20.0 * n for n in range(40)]
    assert_each_once(run(Tracker(), [piece], travels, jitter=2.0, drop=0.5), [piece])


def test_a_predicted_place_triggers_nothing_and_a_sight_beyond_the_line_does():
    """A predicted place triggers nothing and a sight beyond the line does."""
    tracker, piece = Tracker(), Made(0.0, 60.0, 1)
    crossed = []
    for frame in range(40):
        travel = 15.0 * frame
        blob = blob_of(piece, travel)
        hidden = 200 <= travel <= 480  # the line is passed at 330
        tracking = tracker.update([blob] if blob and not hidden else [], FIELD, travel_mm=travel, at_s=frame * 0.05)
        crossed += [(travel, track.crossed_mm) for track in tracking.crossed]
        assert not (hidden and tracking.crossed)
    assert crossed == [(495.0, 330.0)]


def show(tracker, pieces, travel, at_s, *, dark=False):
    """One frame of what lies where on the belt."""
    blobs = [] if dark else [blob for piece in pieces if (blob := blob_of(piece, travel)) is not None]
    return tracker.update(blobs, FIELD, travel_mm=travel, at_s=at_s)


def test_a_piece_that_passes_unseen_is_missed_once():
    """It was followed, and the camera is gone until it has left; what was never confirmed is no piece."""
    tracker, pieces = Tracker(line=0.5), [Made(0.0, 60.0, 0), Made(-180.0, 60.0, 1)]
    for frame in range(14):  # to 195 mm: the second has come in by 15 mm
        assert not show(tracker, pieces, 15.0 * frame, 0.05 * frame).missed
    after = show(tracker, pieces, 900.0, 3.0)
    assert [(track.number, track.crossed_mm) for track in after.missed] == [(1, 330.0)]
    assert [track.number for track in after.gone] == [1, 2]
    assert not show(tracker, pieces, 915.0, 3.05).missed


@pytest.mark.parametrize("external", [False, True])
def test_what_went_back_out_or_waited_for_a_trigger_was_not_missed(external):
    """A belt that runs backwards carries nothing past the line; where something outside counts, that alone counts."""
    tracker, piece = Tracker(line=0.5, external=external), Made(0.0, 60.0, 0)
    for frame in range(14):
        show(tracker, [piece], 15.0 * frame, 0.05 * frame)
    after = show(tracker, [piece], 900.0 if external else -200.0, 3.0)
    assert [track.number for track in after.gone] == [1]
    assert not after.missed


def test_without_frames_pieces_leave_by_the_belts_travel():
    """What has left the field is missed; at the end also what is beyond the line, and not what is before it."""
    tracker, pieces = Tracker(line=0.5), [Made(0.0, 60.0, 0), Made(-80.0, 60.0, 1)]
    for frame in range(16):
        show(tracker, pieces, 15.0 * frame, 0.05 * frame)  # to 225 mm: centres at 195 and 115
    assert not tracker.leave(500.0).missed
    assert [track.number for track in tracker.leave(680.0).missed] == [1]
    assert not tracker.leave(680.0, at_end=False).missed
    assert [track.number for track in tracker.leave(681.0, at_end=True).missed] == [2]
    assert not tracker.leave(2000.0, at_end=True).gone


def test_a_belt_that_stood_while_the_camera_was_away_loses_nothing():
    """Without an encoder it is told to have run two fields' lengths; each is where it was, and is counted once."""
    tracker, pieces = Tracker(line=0.5, slip=1.0), [Made(0.0, 60.0, 0), Made(-80.0, 70.0, 1)]
    for frame in range(14):
        show(tracker, pieces, 15.0 * frame, 0.05 * frame)
    crossed, gap = [], 1200.0
    for frame in range(14, 50):
        blobs = [blob for piece in pieces if (blob := blob_of(piece, 15.0 * frame)) is not None]
        tracking = tracker.update(blobs, FIELD, travel_mm=15.0 * frame + gap, at_s=3 + 0.05 * frame)
        assert not tracking.missed
        crossed += [track.number for track in tracking.crossed]
    assert crossed == [1, 2]


@settings(max_examples=40, deadline=None)
@given(pieces=belts(), steps=profiles(), data=st.data())
def test_what_was_confirmed_is_counted_or_missed_and_never_both(pieces, steps, data):
    """Dark frames, and stretches without any frame, at any time; whatever was a piece has exactly one account."""
    travels = travels_of(steps, pieces)
    blind = [data.draw(st.sampled_from(["seen", "seen", "dark", "away"])) for _ in range(1 + len(travels) // 8)]
    tracker, confirmed, accounts = Tracker(), set(), []
    for frame, travel in enumerate(travels):
        kind = blind[frame // 8]
        if kind == "away":
            tracking = tracker.leave(travel)
        else:
            tracking = show(tracker, pieces, travel, 0.05 * frame, dark=kind == "dark")
        confirmed |= {track.number for track in tracking.tracks if track.confirmed and not track.beyond}
        merged = {track.number for track in tracking.gone if not track.confirmed}  # it was a part of another
        confirmed -= merged
        accounts += [track.number for track in (*tracking.crossed, *tracking.missed)]
    accounts += [track.number for track in tracker.leave(travels[-1] + 700.0, at_end=True).missed]
    assert sorted(accounts) == sorted(confirmed)


def test_a_piece_longer_than_the_field_is_counted_when_its_head_is_through():
    """A piece longer than the field is counted when its head is through."""
    piece = Made(0.0, 900.0, 1)
    counted = run(Tracker(), [piece], [30.0 * n for n in range(60)])
    assert len(counted) == 1


def test_two_ends_of_one_piece_that_come_in_apart_become_one():
    """A bent piece: two prongs, joined further back."""
    tracker, counted, gone = Tracker(), [], []
    for frame in range(60):
        head = 15.0 * frame
        tail = max(0.0, head - 150)
        if head < 60:
            boxes = [Box(tail, 50, head, 80), Box(tail, 120, head, 150)] if head > 6 else []
        else:
            boxes = [Box(tail, 50, min(600, head), 150)]
        blobs = [Blob(box, 1000.0) for box in boxes if box.width > 6]
        tracking = tracker.update(blobs, FIELD, travel_mm=head, at_s=frame * 0.05)
        counted += tracking.crossed
        gone += tracking.gone
    assert len(counted) == 1
    assert [track.confirmed for track in gone if not track.counted] == [False]


def test_pieces_seen_apart_stay_two_when_the_picture_joins_them():
    """For six frames around the line one blob shows both; views of that do not count."""
    pieces = [Made(0.0, 80.0, 0), Made(-5.0, 80.0, 1)]
    tracker, counted = Tracker(), []
    for frame in range(50):
        travel = 15.0 * frame
        blobs = [blob for piece in pieces if (blob := blob_of(piece, travel))]
        joined = 270 < travel < 360 and len(blobs) == 2
        if joined:
            a, b = (blob.box for blob in blobs)
            blobs = [Blob(Box(min(a.left, b.left), a.top, max(a.right, b.right), b.bottom), 9000.0, several=True)]
        tracking = tracker.update(blobs, FIELD, travel_mm=travel, at_s=frame * 0.05)
        assert not joined or all(track.blob is None for track in tracking.tracks)
        counted += tracking.crossed
    assert len(counted) == 2
    assert not any(track.several for track in counted)


def test_a_piece_that_looks_like_several_says_so():
    """A piece that looks like several says so."""
    tracker, counted = Tracker(), []
    for frame in range(50):
        blob = blob_of(Made(0.0, 80.0, 1), 15.0 * frame)
        blobs = [Blob(blob.box, blob.area, blob.cut_off, several=frame % 3 > 0)] if blob else []
        counted += tracker.update(blobs, FIELD, travel_mm=15.0 * frame, at_s=frame * 0.05).crossed
    assert [track.several for track in counted] == [True]


def test_an_external_trigger_takes_the_piece_at_the_line_once():
    """An external trigger takes the piece at the line once."""
    tracker, pieces = Tracker(external=True), [Made(0.0, 60.0, 0), Made(-150.0, 60.0, 0)]
    crossed = run(tracker, pieces, [15.0 * n for n in range(22)])  # the first is at 315 - 30 = 285
    assert crossed == []
    track = tracker.nearest(330.0)  # 15 mm later, between two frames
    assert track is not None
    assert (track.number, track.counted, track.crossed_mm) == (1, True, 330.0)
    assert tracker.nearest(330.0) is None  # the other is 150 mm away


def test_a_line_outside_of_the_field_is_refused():
    """A line outside of the field is refused."""
    with pytest.raises(SettingsError, match="between 0 and 1, got 1"):
        Tracker(line=1.0)
