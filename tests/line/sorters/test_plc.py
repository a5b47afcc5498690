"""What the line makes of a PLC's registers, whoever connects to whom."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.line.fakes import COMMAND, FakeClock, Heard
from tests.line.sorters.plc_side import encode_answers
from tests.patience import PATIENCE_S

from binsight.line.config import parse_line_config
from binsight.line.records import ACK_RESULTS, Ack, EncoderReading
from binsight.line.sorters.plc import PlcSorter
from binsight.line.sorters.register_map import SEQ_RANGE, Answers

CONFIG = parse_line_config(
    {
        "belt": {"encoder": "modbus", "counts_per_mm": 10},
        "lanes": [{"number": 3, "categories": ["metal_cans"], "distance_mm": 1200}],
        "sorter": {"kind": "modbus-client", "url": "tcp://127.0.0.1"},
    }
)


class Line(PlcSorter):
    """The half without a network; the PLC is a record of registers that is read when the test says so."""

    def __init__(self, plc: Answers | None = None) -> None:
        self.clock, self.heard, self.plc = FakeClock(), Heard(), plc or Answers()
        super().__init__(
            "test",
            CONFIG,
            clock=self.clock,
        )
        self._events, self._answers = self.heard, self.plc
        self.read(heartbeat=self.plc.heartbeat + 1)

    async def _serve(self) -> None:
        raise NotImplementedError

    def read(self, **changes: int) -> list[object]:
        self.plc = replace(self.plc, **changes)
        self._hear(encode_answers(self.plc))
        found = []
        while not self.heard.events.empty():
            found.append(self.heard.events.get())
        return [event for event in found if not isinstance(event, EncoderReading)]


@given(
    first=st.integers(1, 2**33),
    acks=st.lists(st.tuples(st.integers(0, 7), st.integers(1, len(ACK_RESULTS)), st.integers(1, 3)), max_size=40),
)
def test_each_answer_is_heard_once_with_its_whole_number(first: int, acks: list[tuple[int, int, int]]) -> None:
    """Also for older commands, over the wrap of registers and ring, and read any number of times."""
    line, seq = Line(), first - 1
    last = 0
    for age, result, reads in acks:
        seq += 1
        assert line.send(replace(COMMAND, seq=seq))
        line.clock.seconds += 1  # nobody waits any longer: the ring is free
        line._heard_s = line.clock.now()
        answered = max(first, seq - age)
        events = [line.read(ack_seq=answered % SEQ_RANGE, ack_result=result) for _ in range(reads)]
        expected = [Ack(answered, ACK_RESULTS[result - 1], line.clock.now())] if answered != last else []
        assert events == [expected, *[[]] * (reads - 1)]
        last = answered
    assert line.malformed == 0


@given(old=st.integers(0, SEQ_RANGE - 1), result=st.integers(0, 5), first=st.integers(1, 70_000))
def test_a_line_that_starts_anew_takes_no_answer_of_the_one_before(old: int, result: int, first: int) -> None:
    """What stands in the PLC when the line connects is old, whatever number comes next; a cleared result is awaited."""
    line = Line(
        Answers(ack_seq=old, ack_result=result, confirm_seq=old, confirm_result=result % 4, request=1, control=3)
    )
    assert line.send(replace(COMMAND, seq=first))
    assert line.read() == []
    assert line.read(ack_result=0) == []
    assert line.read(ack_seq=first % SEQ_RANGE, ack_result=1) == [Ack(first, "accepted", 100.0)]


def test_an_answer_before_any_command_is_none() -> None:
    """Of a sequence number that this line never gave."""
    line = Line()
    assert line.read(ack_seq=5, ack_result=1) == []
    assert line.malformed == 1


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 1000), min_size=1, max_size=20))
def test_the_plc_s_clock_may_wrap(start_ms: int, steps: list[int]) -> None:
    """Readings are as far apart on our clock as they were on the PLC's, if the network is even."""
    line, at_ms = Line(), start_ms
    for step in steps:
        at_ms += step
        line.clock.seconds += step / 1000
        line.plc = replace(line.plc, plc_ms=at_ms % 2**32 or 1, encoder=at_ms % 2**32)
        line._hear(encode_answers(line.plc))
        reading = line.heard.events.get(timeout=PATIENCE_S)
        assert reading.counts == at_ms % 2**32
        assert abs(reading.at_s - line.clock.seconds) < 0.002
