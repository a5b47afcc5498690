"""A camera that is strange to the model as a whole raises an alarm until its pieces are familiar again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.line.fakes import FakeClock, FakeLedger, FakeSorter
from tests.line.watched import watched_config
from tests.tiny_bundle import tiny_bundle, tiny_manifest

from binsight.line.alarms import Alarm
from binsight.line.engine import Engine
from binsight.line.inspection import _Candidate
from binsight.line.ports import Ports
from binsight.line.records import Box, View
from binsight.line.settings import LineSettings
from binsight.line.track import Track
from binsight.predictor import Predictor
from binsight.probability import ReviewThresholds

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = tiny_manifest(
    review=ReviewThresholds(confidence=(0.0,) * 3, unfamiliarity=1.2), training={"unfamiliarity_median": 0.2}
)


USUAL = (170, 0, 0)  # of the unfamiliarity 0.44, where 0.7 begins to look strange


class Belt:
    """A line whose pieces come when the test says so."""

    def __init__(self, bundle: Path, *, is_new: bool = False, **line: str) -> None:
        self.sorter, self.ledger = FakeSorter(), FakeLedger()
        self.told: list[Alarm] = []
        self.kept: list[bool] = []
        self.predictor = Predictor.load(bundle, threads=1)
        self.engine = Engine(
            Ports(
                watched_config().model_copy(update={"line": LineSettings(name="line1", **line)}),
                self.predictor,
                classify=lambda views, then: False,
                clock=FakeClock(),
                sorter=self.sorter,
                ledger=self.ledger,
                post=lambda call: call(),
            ),
            on_alarm=lambda alarm: self.told.append(alarm) if alarm.code.startswith("camera_") else None,
            is_new=is_new,
            keep_familiar=self.kept.append,
        )
        self._number = 0

    def bring(self, colour: tuple[int, int, int], pieces: int) -> None:
        """Let pieces of one colour be decided, each by two views."""
        crop = np.full((16, 16, 3), colour, np.uint8)
        view = View(1, 100.0, Box(0, 0, 8, 8), crop, prediction=self.predictor.predict_prepared(crop[None])[0])
        for _ in range(pieces):
            self._number += 1
            inspection = self.engine._inspection
            inspection._candidates[self._number] = _Candidate(judged=[view, replace(view, frame=2)])
            inspection.cross(Track(self._number, (0.0, 1.0), (0.0, 1.0), 100.0), 0.0, captured_s=100.0)


@pytest.fixture(scope="module")
def strange_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle to which full colours are strange, though it accepts them."""
    return tiny_bundle(tmp_path_factory.mktemp("strange") / "tiny", manifest=MANIFEST)


def test_a_strange_camera_is_told_once(strange_bundle: Path) -> None:
    """To the ledger, the sorter's network and whoever looks; with the way out; and again when it is over."""
    belt = Belt(strange_bundle)
    belt.bring((255, 0, 0), 60)
    (alarm,) = belt.told
    assert alarm.active
    assert alarm.detail.startswith("this camera is strange to tiny: 20 of 20")  # one of a piece's two views counts
    assert "binsight adapt tiny" in alarm.detail
    assert belt.ledger.events == [("camera_strange", True)]
    assert ("fault", {"code": "camera_strange", "active": True}) in [
        (topic, body) for topic, body, _ in belt.sorter.published
    ]
    assert len(belt.sorter.sent) == 19  # from then on all pieces are left to a person
    assert Counter(piece.reason for piece in belt.ledger.rows.values())["strange_camera"] == 41
    belt.bring((51, 51, 51), 100)
    assert [alarm.active for alarm in belt.told] == [True, False]
    belt.bring((255, 0, 0), 1)
    assert len(belt.sorter.sent) == 20  # accepted again


def test_a_line_may_only_warn(strange_bundle: Path) -> None:
    """It goes on sorting."""
    belt = Belt(strange_bundle, strange="warn")
    belt.bring((255, 0, 0), 60)
    assert [alarm.active for alarm in belt.told] == [True]
    assert len(belt.sorter.sent) == 60


def test_a_familiar_camera_is_not(strange_bundle: Path) -> None:
    """Nor is one of whose pieces a few are strange."""
    belt = Belt(strange_bundle)
    for _ in range(20):
        belt.bring((51, 51, 51), 10)
        belt.bring((0, 255, 0), 5)
    assert belt.told == []


def test_a_new_camera_is_on_trial_until_it_is_familiar(strange_bundle: Path) -> None:
    """Of the first pieces nothing is sorted, an alarm says why, and what was found is given to be remembered."""
    belt = Belt(strange_bundle, is_new=True)
    belt.bring(USUAL, 8)
    assert belt.sorter.sent == []
    assert {piece.reason for piece in belt.ledger.rows.values()} == {"new_camera"}
    assert [(alarm.code, alarm.active) for alarm in belt.told] == [("camera_new", True)]
    assert "left to a person until" in belt.told[0].detail
    belt.bring(USUAL, 4)
    assert len(belt.sorter.sent) == 4
    assert belt.ledger.events == [("camera_new", True), ("camera_new", False)]
    assert belt.kept == [True]


def test_a_new_camera_that_is_strange_sorts_nothing(strange_bundle: Path) -> None:
    """From the first piece on; familiar again, it is on trial again."""
    belt = Belt(strange_bundle, is_new=True)
    belt.bring((255, 0, 0), 60)
    assert belt.sorter.sent == []
    assert [(alarm.code, alarm.active) for alarm in belt.told] == [
        ("camera_new", True), ("camera_strange", True), ("camera_new", False),
    ]  # fmt: skip
    assert belt.kept == []
    belt.bring(USUAL, 90)
    assert belt.told[-1].code == "camera_new"
    assert belt.sorter.sent == []
    belt.bring(USUAL, 10)
    assert len(belt.sorter.sent) == 2
    assert belt.kept == [True]
    belt.bring((255, 0, 0), 200)
    assert belt.kept == [True, False]


def test_a_new_camera_of_a_line_that_only_warns(strange_bundle: Path) -> None:
    """Sorts from the first piece on."""
    belt = Belt(strange_bundle, is_new=True, strange="warn")
    belt.bring(USUAL, 3)
    assert len(belt.sorter.sent) == 3
    assert belt.told == []
