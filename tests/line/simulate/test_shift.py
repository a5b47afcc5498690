"""Small shifts in virtual time: whatever fails, every piece has one end, and ledger and sorter agree."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.line.services import postgres

from binsight.line.simulate.photos import PiecePhoto
from binsight.line.simulate.plan import Fault
from binsight.line.simulate.shift import Shift, read_rows, simulate
from binsight.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from binsight.line.simulate.result import SimulationResult

COLOURS = {"red": (220, 40, 30), "green": (30, 210, 40), "blue": (40, 50, 230)}
SMALL = Shift(24, 8.0, seed=3, frame=(240, 320))


def photos() -> list[PiecePhoto]:
    """Return a card of each colour, with some grain."""
    rng = np.random.default_rng(0)
    cards = []
    for name, colour in COLOURS.items():
        grain = rng.integers(-25, 25, (60, 60, 1)) + np.array(colour)
        cards.append(PiecePhoto(np.clip(grain, 0, 255).astype(np.uint8), name))
    return cards


@pytest.fixture(scope="module")
def predictor(shared_bundle: Path) -> Predictor:
    """Return the tiny model."""
    return Predictor.load(shared_bundle, threads=1)


class Simulating:
    """Runs shifts, each with a ledger of its own."""

    def __init__(self, predictor: Predictor, folder: Path) -> None:
        self.predictor, self.folder, self.url, self.runs = predictor, folder, "", 0

    def __call__(
        self,
        *faults: Fault,
        shift: Shift = SMALL,
        url: str | None = None,
        speed: Callable[[float], float] | None = None,
    ) -> SimulationResult:
        self.runs += 1
        self.url = url or f"sqlite:///{self.folder}/{self.runs}.sqlite"
        return simulate(
            replace(shift, faults=faults),
            predictor=self.predictor,
            photos=photos(),
            ledger_url=self.url,
            speed=speed or (lambda _: 1.0),
        )


@pytest.fixture
def simulating(predictor: Predictor, tmp_path: Path) -> Simulating:
    """Return what runs small shifts."""
    return Simulating(predictor, tmp_path)


def assert_all_seen(result: SimulationResult) -> None:
    """Every piece once, nothing else."""
    assert (result.counted_once, result.seen, result.phantoms, result.unseen) == (result.pieces, result.pieces, 0, 0)


def test_without_faults_every_piece_goes_where_it_belongs(simulating: Simulating) -> None:
    """Red to recycling, green to compost, and blue, which no lane takes, stays on the belt."""
    result = simulating()
    assert result.faults == []
    assert_all_seen(result)
    assert result.ends == {"confirmed": 16, "fail_safe": 8}
    assert result.reasons == {"no_lane": 8}
    assert [(lane.name, lane.pieces, lane.purity) for lane in result.lanes] == [
        ("recycling", 8, 1.0),
        ("compost", 8, 1.0),
    ]
    assert result.accepted == result.accepted_right == 24
    assert 0 < result.latency_ms["p99"] < 150


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        (Fault(1.0, "broker_loss", 1.0), "dropped"),
        (Fault(1.0, "sorter_restart", 0.2), "unknown"),
        (Fault(0.5, "nack", 2.0, 1.0), "refused"),
        (Fault(0.5, "late_ack", 2.0, 0.5), "unknown"),
        (Fault(0.5, "no_ack", 2.0), "unknown"),
        (Fault(1.0, "disk_full", 1.0), "dropped"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else value,
)
def test_what_fails_behind_the_camera_loses_no_piece(simulating: Simulating, fault: Fault, end: str) -> None:
    """All pieces are seen; some end as this fault makes them end, and the accounts agree."""
    result = simulating(fault)
    assert result.faults == []
    assert_all_seen(result)
    assert result.ends[end] > 0


@pytest.mark.parametrize("kind", ["camera_stall", "camera_freeze", "camera_dark", "light_jump", "kill"])
def test_what_nobody_looked_at_is_not_seen_and_not_invented(simulating: Simulating, kind: str) -> None:
    """Pieces that pass a blind line are missing from the ledger; all the others are there once."""
    result = simulating(Fault(1.0, kind, 1.0, 1.6))  # type: ignore[arg-type]  # one of the kinds
    assert result.faults == []
    assert result.unseen_blind > 0
    assert (result.unseen, result.phantoms, result.counted_twice) == (0, 0, 0)
    assert result.counted_once + result.unseen_blind == result.pieces


@pytest.mark.parametrize("kind", ["camera_stall", "camera_dark", "camera_freeze"])
def test_a_piece_that_was_followed_and_passed_unseen_is_accounted_for(simulating: Simulating, kind: str) -> None:
    """It has a row with what its views said, and stays on the belt; the sorter hears nothing of it."""
    result = simulating(Fault(1.0, kind, 0.4))  # type: ignore[arg-type]  # one of the kinds
    assert result.faults == []
    assert result.counted_once + result.unseen_blind == result.pieces
    assert result.reasons["passed_unseen"] > 0
    assert result.seen == result.counted_once == sum(result.ends.values())
    rows = [row for row in read_rows(simulating.url) if row.reason == "passed_unseen"]
    assert {(row.status, row.lane, row.commanded_at, row.latency_ms) for row in rows} == {("fail_safe", 0, None, None)}
    assert any(row.category is not None and row.scores for row in rows)
    assert all(row.encoder is not None for row in rows)


@pytest.mark.parametrize(
    "fault", [Fault(1.0, "belt_stop", 1.5), Fault(1.0, "belt_slip", 1.0, 0.9), Fault(1.0, "clock_jump", 1.0, 3600.0)],
    ids=lambda fault: fault.kind,
)  # fmt: skip
def test_a_belt_or_a_clock_that_misbehaves_makes_no_second_piece(simulating: Simulating, fault: Fault) -> None:
    """A stop, a slipping encoder and a jump of the wall's clock: each piece once."""
    result = simulating(fault)
    assert result.faults == []
    assert_all_seen(result)


def test_double_feed_is_never_taken_apart_into_more_pieces(simulating: Simulating) -> None:
    """Two that lie on each other are one piece, or two that touch; none is invented."""
    result = simulating(Fault(1.0, "double_feed", 1.0))
    assert result.faults == []
    assert result.phantoms == 0
    assert result.unseen == 0


def test_a_belt_of_varying_speed_loses_no_piece(simulating: Simulating) -> None:
    """Between a third of its speed and all of it, and standing now and then."""
    result = simulating(speed=lambda s: 0.0 if s % 3 > 2.7 else 0.67 + 0.33 * np.sin(2 * s))
    assert result.faults == []
    assert_all_seen(result)
    assert result.missed == 0


def test_a_killed_line_knows_the_empty_belt_and_repeats_no_number(simulating: Simulating) -> None:
    """What was commanded and not answered is unknown; numbers go on; nothing reaches the sorter twice."""
    result = simulating(Fault(1.2, "kill", 0.3))
    rows = read_rows(simulating.url)
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert result.faults == []
    assert result.reasons.get("restart", 0) > 0
    # What was in view or came within the 0.3 s, and not what would pass while the belt is learnt anew.
    assert 0 < result.unseen_blind <= 8
    assert result.counted_once + result.unseen_blind == result.pieces


def test_the_same_seed_gives_the_same_ledger_in_both_databases(simulating: Simulating) -> None:
    """SQLite and PostgreSQL hold the same rows, to the last digit."""
    faults = (Fault(0.8, "broker_loss", 0.5), Fault(1.6, "kill", 0.3), Fault(2.2, "sorter_restart", 0.3))
    first = simulating(*faults)
    rows = read_rows(simulating.url)
    with postgres() as url:
        second = simulating(*faults, url=url)
        assert read_rows(url) == rows
    assert first == second


@example(
    faults=[
        Fault(0.73, "kill", 0.48, 0.5),
        Fault(2.01, "broker_loss", 0.33, 0.5),
        Fault(1.63, "late_ack", 1.07, 0.5),
        Fault(0.75, "sorter_restart", 0.61, 0.5),
    ]
)  # a line that begins before its encoder is heard
@settings(max_examples=8)
@given(
    st.lists(
        st.builds(
            Fault,
            at_s=st.floats(0, 2.5),
            kind=st.sampled_from(
                ["broker_loss", "sorter_restart", "nack", "late_ack", "no_ack", "kill", "camera_freeze", "camera_stall"]
            ),
            for_s=st.floats(0.05, 1.5),
            value=st.just(0.5),
        ),
        max_size=4,
        unique_by=lambda fault: fault.kind,
    )
)
def test_the_accounts_agree_whatever_fails_when(shared_simulating: Simulating, faults: list[Fault]) -> None:
    """Faults of all kinds at any time, also at once."""
    result = shared_simulating(*faults, shift=replace(SMALL, pieces=12))
    assert result.faults == []
    assert sum(result.ends.values()) == result.seen


@pytest.fixture(scope="module")
def shared_simulating(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Simulating:
    """Return one for all examples."""
    return Simulating(predictor, tmp_path_factory.mktemp("ledgers"))
