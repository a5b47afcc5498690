"""A camera that gives nothing raises one alarm, whatever is tried meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.line.fakes import FakeClock, FakeLedger, FakeSorter
from tests.line.watched import watched_config

from binsight.line.engine import Engine
from binsight.line.ports import Ports
from binsight.line.records import Frame
from binsight.predictor import Predictor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def told() -> list[tuple[str, bool]]:
    """Return what was told of alarms of the camera."""
    return []


@pytest.fixture
def engine(shared_bundle: Path, told: list[tuple[str, bool]]) -> Engine:
    """Return the engine of a line whose camera gave nothing yet."""
    return Engine(
        Ports(
            watched_config(),
            Predictor.load(shared_bundle, threads=1),
            classify=lambda views, then: False,
            clock=FakeClock(),
            sorter=FakeSorter(),
            ledger=FakeLedger(),
            post=lambda call: call(),
        ),
        on_alarm=lambda alarm: told.append((alarm.code, alarm.active)) if "camera" in alarm.code else None,
    )


def test_a_camera_that_never_came(engine: Engine, told: list[tuple[str, bool]]) -> None:
    """Absent once, however often it is tried."""
    engine._clock.seconds += 5  # type: ignore[attr-defined]
    for _ in range(3):
        engine.tick()
        engine.on_camera("starting")
    assert told == [("camera_absent", True)]


def test_a_camera_that_is_gone(engine: Engine, told: list[tuple[str, bool]]) -> None:
    """Stalled, then absent, and over with the first picture."""
    clock = engine._clock
    image = np.random.default_rng(0).integers(60, 200, (120, 160, 3), np.uint8)
    engine.on_frame(Frame(image, clock.now(), 1))
    clock.seconds += 5  # type: ignore[attr-defined]
    engine.picture = engine.picture or object()  # type: ignore[assignment]  # something was seen
    for _ in range(3):
        engine.tick()
        engine.on_camera("absent")
        engine.on_camera("starting")
    engine.on_frame(Frame(image[::-1].copy(), clock.now(), 2))
    assert told == [
        ("camera_stalled", True), ("camera_absent", True), ("camera_stalled", False), ("camera_absent", False),
    ]  # fmt: skip
