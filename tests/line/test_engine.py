"""The engine: what it says of a piece that nobody saw pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.line.fakes import FakeClock, FakeLedger, FakeSorter
from tests.line.test_restart import learnt, scene

from binsight.line.config import parse_line_config
from binsight.line.engine import Engine
from binsight.line.ports import Ports
from binsight.line.records import EncoderReading, Frame
from binsight.predictor import Predictor

if TYPE_CHECKING:
    from pathlib import Path

    from binsight.line.simulate.scene import Scene

SPEED = 600.0
CONFIG = parse_line_config(
    {
        "belt": {"speed_mm_s": SPEED, "encoder": "mqtt", "counts_per_mm": 10},
        "sorter": {"kind": "mqtt", "url": "mqtt://nowhere"},
        "lanes": [{"number": 1, "distance_mm": 1200, "categories": ["red", "green", "blue"]}],
    }
)


class Watched:
    """A line whose belt runs, with a camera that can be taken away."""

    def __init__(self, bundle: Path) -> None:
        self.clock, self.sorter, self.ledger = FakeClock(), FakeSorter(), FakeLedger()
        self.scene: Scene = scene()  # one red card: at the trigger line when the belt has come to 5,000 mm
        self.travel_mm = 4500.0
        self.engine = Engine(
            Ports(
                CONFIG,
                Predictor.load(bundle, threads=1),
                classify=lambda views, then, *, urgent: False,
                clock=self.clock,
                sorter=self.sorter,
                ledger=self.ledger,
                post=lambda call: call(),
            ),
            seed=0,
            empty_belt=learnt(),
        )

    def run_to(self, travel_mm: float, *, seen: bool) -> None:
        """The belt runs on, in steps of 50 ms."""
        while self.travel_mm < travel_mm:
            self.travel_mm += SPEED * 0.05
            self.clock.seconds += 0.05
            self.engine.on_encoder(EncoderReading(round(10 * self.travel_mm), self.clock.now()))
            if seen:
                self.engine.on_frame(Frame(self.scene.render(self.travel_mm), self.clock.now(), 0))
            self.engine.tick()

    @property
    def ends(self) -> list[tuple[str, str | None]]:
        """Return how the pieces of the ledger ended."""
        return [(row.status, row.reason) for row in self.ledger.rows.values()]


@pytest.fixture
def watched(shared_bundle: Path) -> Watched:
    """Return one whose card is on its way to the trigger line."""
    line = Watched(shared_bundle)
    line.run_to(4900, seen=True)
    assert line.ends == []
    return line


def test_a_camera_that_stays_away_leaves_no_piece_without_an_end(watched: Watched) -> None:
    """The card has its end as soon as it must have left the field, and not before; told to those who listen."""
    watched.run_to(5200, seen=False)
    assert watched.ends == []
    watched.run_to(5900, seen=False)
    assert watched.ends == [("fail_safe", "passed_unseen")]
    assert watched.engine.pieces_seen == 1
    (row,) = watched.ledger.rows.values()
    assert abs((row.encoder or 0) / 10 - 5000) < 10
    assert [topic for topic, _, _ in watched.sorter.published].count("piece") == 1
    watched.run_to(6500, seen=True)
    watched.engine.stop()
    assert len(watched.ends) == 1
    assert watched.sorter.sent == []


@pytest.mark.parametrize(("until", "ends"), [(4950, []), (5100, [("fail_safe", "passed_unseen")])])
def test_a_line_that_ends_while_it_cannot_see(watched: Watched, until: float, ends: list[tuple[str, str]]) -> None:
    """What is beyond the line by then would never be counted; what is before it is counted by the next life."""
    watched.run_to(until, seen=False)
    watched.engine.stop()
    assert watched.ends == ends
