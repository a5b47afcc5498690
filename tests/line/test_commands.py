"""From a decided piece to its end."""

from __future__ import annotations

import pytest
from tests.line.fakes import FakeClock, FakeLedger, FakeSorter

from binsight.line.belt import Belt
from binsight.line.commands import Dispatcher
from binsight.line.config import LineConfig, parse_line_config
from binsight.line.records import Ack, Confirm, EncoderReading, Piece

CONFIG = parse_line_config(
    {
        "belt": {"speed_mm_s": 400},
        "lanes": [{"number": 3, "categories": ["metal_cans"], "distance_mm": 400, "lead_ms": 20, "dwell_ms": 60}],
        "sorter": {"kind": "mqtt", "url": "mqtt://localhost", "scan_ms": 10, "link_p99_ms": 20, "ack_timeout_ms": 200},
    }
)
ENCODER = parse_line_config(CONFIG.model_dump() | {"belt": {"speed_mm_s": 400, "encoder": "mqtt", "counts_per_mm": 10}})


class Bench:
    """A dispatcher among fakes."""

    def __init__(self, config: LineConfig = CONFIG, *, confirms: bool = True, immediate: bool = True) -> None:
        self.clock, self.sorter = FakeClock(), FakeSorter(confirms=confirms)
        self.ledger = FakeLedger(immediate=immediate)
        self.belt = Belt(config.belt)
        self.config = config
        self.dispatcher = Dispatcher(
            config,
            clock=self.clock,
            belt=self.belt,
            sorter=self.sorter,
            ledger=self.ledger,
            post=lambda call: call(),
        )

    def piece(self, seq: int = 1, encoder: int | None = None) -> Piece:
        return Piece(
            id=f"{seq:026}", line="line1", seq=seq, seen_at=self.clock.utc(), status="decided",
            category="metal_cans", confidence=0.98, decision="accept", encoder=encoder,
        )  # fmt: skip

    def command(self, seq: int = 1, *, after_s: float = 0.1, encoder: int | None = None) -> None:
        captured_s = self.clock.seconds
        crossed_mm = self.belt.position_mm(captured_s)
        self.clock.seconds += after_s
        piece, lane = self.piece(seq, encoder), self.config.lanes[0]
        self.dispatcher.command(piece, lane, crossed_mm=crossed_mm, captured_s=captured_s)

    def row(self, seq: int = 1) -> Piece:
        return self.ledger.rows[f"{seq:026}"]


def test_a_command_states_when_to_fire_and_until_when_it_may_leave() -> None:
    """400 mm at 400 mm/s less 20 ms lead are 0.98 s from the crossing; the deadline is 30 ms earlier."""
    bench = Bench()
    bench.command(after_s=0.1)
    (command,) = bench.sorter.sent
    assert command.fire_at_s == pytest.approx(100.98)
    assert command.deadline_s == pytest.approx(100.95)
    assert (command.lane, command.seq, command.target, command.dwell_ms) == (3, 1, None, 60)
    assert bench.row().status == "commanded"


def test_it_is_written_before_it_leaves() -> None:
    """What a killed line may have commanded can be read in its ledger."""
    bench = Bench(immediate=False)
    bench.command()
    assert bench.row().status == "commanded"
    assert not bench.sorter.sent
    bench.ledger.flush()
    assert len(bench.sorter.sent) == 1


def test_the_whole_life() -> None:
    """Commanded, acknowledged, confirmed: an end, once."""
    bench = Bench()
    bench.command()
    bench.dispatcher.on_ack(Ack(1, "accepted", bench.clock.seconds + 0.0006))
    assert bench.row().status == "acknowledged"
    assert bench.dispatcher.ack_rtt_ms == pytest.approx(0.6)
    assert bench.row().latency_ms == pytest.approx(100)
    bench.dispatcher.on_confirm(Confirm(1, "ejected", 101.0))
    bench.dispatcher.on_confirm(Confirm(1, "ejected", 101.1))
    assert (bench.row().status, bench.row().confirm_result, bench.row().lane) == ("confirmed", "ejected", 3)
    assert bench.dispatcher.ends == {"confirmed": 1}
    assert [piece.status for piece in bench.ledger.history] == ["commanded", "acknowledged", "confirmed"]


@pytest.mark.parametrize("result", ["missed", "double"])
def test_a_confirmation_that_is_bad_news_is_the_reason(result: str) -> None:
    """The piece went where it was not meant to go, and the row says so."""
    bench = Bench()
    bench.command()
    bench.dispatcher.on_confirm(Confirm(1, result, 101.0))  # type: ignore[arg-type]
    assert (bench.row().status, bench.row().reason) == ("confirmed", result)


@pytest.mark.parametrize("result", ["late", "blocked", "unknown_lane", "full"])
def test_a_no_is_refused_and_stays_on_the_belt(result: str) -> None:
    """Each word of the sorter is kept as the reason."""
    bench = Bench()
    bench.command()
    bench.dispatcher.on_ack(Ack(1, result, 100.2))  # type: ignore[arg-type]
    assert (bench.row().status, bench.row().reason, bench.row().lane) == ("refused", result, 0)


def test_a_late_piece_is_not_commanded() -> None:
    """Past its deadline it goes to the fail-safe."""
    bench = Bench()
    bench.command(after_s=0.96)
    assert not bench.sorter.sent
    assert (bench.row().status, bench.row().lane, bench.row().commanded_at) == ("late", 0, None)


def test_a_slow_ledger_makes_a_late_command_stay() -> None:
    """Between the decision and the write the deadline passed: it never leaves."""
    bench = Bench(immediate=False)
    bench.command()
    bench.clock.seconds = 100.96
    bench.ledger.flush()
    assert not bench.sorter.sent
    assert (bench.row().status, bench.row().commanded_at) == ("late", None)


def test_without_a_ledger_nothing_is_commanded() -> None:
    """A command that nobody could account for does not leave."""
    bench = Bench()
    bench.ledger.writable = False
    bench.command()
    assert not bench.sorter.sent
    assert (bench.row().status, bench.row().reason) == ("dropped", "ledger")


def test_without_a_link_it_is_dropped() -> None:
    """And it is not kept for later."""
    bench = Bench()
    bench.sorter.up = False
    bench.command()
    assert (bench.row().status, bench.row().reason, bench.row().lane) == ("dropped", "no_link", 0)
    bench.sorter.up = True
    bench.dispatcher.tick()
    assert not bench.sorter.sent


def test_no_answer_is_unknown_and_a_late_one_is_only_noted() -> None:
    """The end stays; the row also has what came too late."""
    bench = Bench()
    bench.command()
    bench.clock.seconds += 0.19
    bench.dispatcher.tick()
    assert bench.row().status == "commanded"
    bench.clock.seconds += 0.02
    bench.dispatcher.tick()
    assert (bench.row().status, bench.row().reason, bench.row().lane) == ("unknown", "no_answer", 3)
    bench.dispatcher.on_ack(Ack(1, "accepted", bench.clock.seconds))
    assert (bench.row().status, bench.row().ack_result) == ("unknown", "accepted")
    assert bench.dispatcher.ends == {"unknown": 1}


def test_no_confirmation_is_unknown() -> None:
    """Two seconds after the moment of firing."""
    bench = Bench()
    bench.command()
    bench.dispatcher.on_ack(Ack(1, "accepted", 100.2))
    bench.clock.seconds = 102.97
    bench.dispatcher.tick()
    assert bench.row().status == "acknowledged"
    bench.clock.seconds = 102.99
    bench.dispatcher.tick()
    assert (bench.row().status, bench.row().reason) == ("unknown", "no_confirmation")


def test_equipment_that_never_confirms_ends_at_its_yes() -> None:
    """Nothing waits for a word that cannot come."""
    bench = Bench(confirms=False)
    bench.command()
    bench.dispatcher.on_ack(Ack(1, "accepted", 100.2))
    assert bench.dispatcher.ends == {"acknowledged": 1}
    assert bench.dispatcher.outstanding == 0


def test_answers_to_nothing_are_counted() -> None:
    """A confused sorter changes no row."""
    bench = Bench()
    bench.dispatcher.on_ack(Ack(77, "accepted", 100.2))
    bench.dispatcher.on_confirm(Confirm(77, "ejected", 100.2))
    assert bench.dispatcher.stray_answers == 2
    assert not bench.ledger.history


def test_an_encoder_gives_the_target_also_across_its_wrap() -> None:
    """(400 mm - 20 ms x 400 mm/s) x 10 counts/mm = 3,920 counts beyond the crossing, modulo 2^32."""
    bench = Bench(ENCODER)
    for step in range(6):
        bench.belt.on_reading(EncoderReading((2**32 - 2000 + 400 * step) % 2**32, 99.5 + 0.1 * step))
    bench.command(encoder=2**32 - 100)
    (command,) = bench.sorter.sent
    assert command.target == 3820


def test_a_belt_that_stands_does_not_let_the_confirmation_time_out() -> None:
    """The piece has not come to its ejector yet: there is nothing to confirm."""
    bench = Bench(ENCODER)
    for step in range(6):
        bench.belt.on_reading(EncoderReading(400 * step, 99.5 + 0.1 * step))
    bench.command(encoder=2000)
    bench.dispatcher.on_ack(Ack(1, "accepted", 100.2))
    for second in range(101, 200):
        bench.belt.on_reading(EncoderReading(3000, float(second)))
        bench.clock.seconds = float(second)
        bench.dispatcher.tick()
    assert bench.row().status == "acknowledged"
    bench.belt.on_reading(EncoderReading(7000, 200.0))
    bench.clock.seconds = 200.0
    bench.dispatcher.tick()
    bench.clock.seconds = 202.1
    bench.dispatcher.tick()
    assert (bench.row().status, bench.row().reason) == ("unknown", "no_confirmation")
