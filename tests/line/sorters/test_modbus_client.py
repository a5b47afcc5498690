"""A PLC that is a Modbus server: a real one, over loopback."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from tests.line.fakes import COMMAND, FakeClock, Heard
from tests.line.services import free_port
from tests.line.sorters.plc_side import Slot, decode_slot, encode_answers
from tests.patience import PATIENCE_S

from binsight.line.config import LineConfig, parse_line_config
from binsight.line.records import Ack, Confirm, EncoderReading
from binsight.line.sorters.modbus_client import ModbusClientSorter
from binsight.line.sorters.register_map import Answers, slot_address

if TYPE_CHECKING:
    from collections.abc import Iterator


def config(port: int) -> LineConfig:
    """Return a line with one lane and a PLC on this port."""
    return parse_line_config(
        {
            "belt": {"encoder": "modbus", "counts_per_mm": 10},
            "lanes": [{"number": 3, "categories": ["metal_cans"], "distance_mm": 1200}],
            "sorter": {"kind": "modbus-client", "url": f"tcp://127.0.0.1:{port}", "heartbeat_s": 0.2},
        }
    )


class Plc:
    """Somebody else's PLC: a Modbus server whose program answers what it finds in the ring."""

    def __init__(self, port: int) -> None:
        self.answers = Answers(heartbeat=1)
        self.registers = [0] * 300
        self.written = threading.Condition()
        self.refuses = False
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(port, ready)), daemon=True)
        self._thread.start()
        assert ready.wait(PATIENCE_S)

    def slot(self, seq: int) -> Slot | None:
        """Wait until something is written into a slot."""
        at = slot_address(seq)
        with self.written:
            self.written.wait_for(lambda: any(self.registers[at : at + 16]), timeout=PATIENCE_S)
            return decode_slot(self.registers[at : at + 16])

    def wait_for(self, address: int, *values: int) -> None:
        with self.written:
            assert self.written.wait_for(
                lambda: tuple(self.registers[address : address + len(values)]) == values, timeout=PATIENCE_S
            )

    def say(self, **values: int) -> None:
        self.answers = replace(self.answers, **values)

    def close(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=PATIENCE_S)

    async def _serve(self, port: int, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        bit = SimData(0, values=False, datatype=DataType.BITS)
        block = [SimData(0, count=300, datatype=DataType.REGISTERS)]
        device = SimDevice(id=1, simdata=([bit], [bit], block, block), action=self._access)
        server = ModbusTcpServer(device, address=("127.0.0.1", port))
        await server.serve_forever(background=True)
        ready.set()
        await self._stop.wait()
        await server.shutdown()

    async def _access(
        self, _function: int, _start: int, address: int, count: int, registers: list[int], values: Any
    ) -> None:
        registers[:14] = encode_answers(self.answers)
        if values is not None:
            with self.written:
                self.registers[address : address + count] = values
                self.written.notify_all()


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands at 100 s."""
    return FakeClock()


@pytest.fixture
def sorter(clock: FakeClock) -> Iterator[tuple[ModbusClientSorter, Heard, Plc]]:
    """Return a line, what it hands back, and a PLC whose heart has beaten."""
    port = free_port()
    plc, heard = Plc(port), Heard()
    # An old answer, an old stop and an old piece at the trigger line stand in it.
    plc.say(ack_seq=4711, ack_result=1, control=3, request=1, trigger=1)
    line = ModbusClientSorter(config(port), clock=clock)
    line.start(heard)
    plc.wait_for(240, 1)
    plc.say(heartbeat=2)
    assert heard.link.get(timeout=PATIENCE_S)
    yield line, heard, plc
    line.close()
    plc.close()


def test_a_command_is_written_into_its_slot(sorter: tuple[ModbusClientSorter, Heard, Plc]) -> None:
    """The same registers as the server's, in the PLC."""
    line, _, plc = sorter
    assert line.send(COMMAND)
    assert plc.slot(4711) == Slot(4711, 4711, 3, 884201, 412, 40, 1, 0.98, 0)


def test_answers_are_heard_once(sorter: tuple[ModbusClientSorter, Heard, Plc]) -> None:
    """What stood there before is none; what stands there for many reads is one."""
    line, heard, plc = sorter
    assert line.send(replace(COMMAND, seq=70_000))
    plc.slot(70_000)
    plc.say(ack_seq=70_000 % 65536, ack_result=1)
    assert heard.events.get(timeout=PATIENCE_S) == EncoderReading(0, 100.0)
    before = iter(lambda: heard.events.get(timeout=PATIENCE_S), Ack(70_000, "accepted", 100.0))
    assert set(before) <= {EncoderReading(0, 100.0)}  # of every read, by a PLC that tells no time
    plc.say(encoder=2**32 - 1, plc_ms=50)
    assert EncoderReading(2**32 - 1, 100.0) in iter(lambda: heard.events.get(timeout=PATIENCE_S), None)
    plc.say(control=4, request=2)
    assert heard.events.get(timeout=PATIENCE_S) == ("control", 4)
    plc.say(trigger=2, trigger_encoder=7)
    assert heard.events.get(timeout=PATIENCE_S) == ("trigger", EncoderReading(7, 100.0))
    plc.say(confirm_seq=70_000 % 65536, confirm_result=2)
    assert heard.events.get(timeout=PATIENCE_S) == Confirm(70_000, "missed", 100.0)
    assert line.malformed == 0


def test_the_state_is_written(sorter: tuple[ModbusClientSorter, Heard, Plc]) -> None:
    """State at 240, lanes at their places."""
    line, _, plc = sorter
    line.publish("state", {"online": True, "state": 6, "mode": 1, "frame_age_ms": 38}, retain=True)
    plc.wait_for(240, 1, 1, 6, 1, 0, 0, 0, 0, 0, 38)
    line.publish("purity/3", {"purity": 0.983, "low": 0.962, "high": 0.995, "audited": 260})
    plc.wait_for(44, 0, 0, 9830, 9620, 9950, 0, 260)


def test_a_plc_that_was_away_finds_an_empty_ring(clock: FakeClock) -> None:
    """Nothing is sent without a link; after it there is a new client, and no old command."""
    port = free_port()
    heard = Heard()
    line = ModbusClientSorter(config(port), clock=clock)
    line.start(heard)
    for life in (1, 2):
        plc = Plc(port)
        plc.registers[slot_address(4711) : slot_address(4711) + 16] = [9] * 16
        assert not line.send(COMMAND)
        plc.wait_for(240, 1)
        assert plc.registers[100:228] == [0] * 128
        plc.say(heartbeat=10 + life)
        assert heard.link.get(timeout=PATIENCE_S) is True
        assert line.send(replace(COMMAND, seq=life))
        slot = plc.slot(life)
        assert slot is not None
        assert slot.seq == life
        plc.close()
        assert heard.link.get(timeout=PATIENCE_S) is False
    line.close()


def test_a_plc_whose_program_stands_is_away(sorter: tuple[ModbusClientSorter, Heard, Plc], clock: FakeClock) -> None:
    """It still answers reads, but its heartbeat does not change."""
    line, heard, plc = sorter
    clock.seconds += 1
    assert heard.link.get(timeout=PATIENCE_S) is False
    assert not line.send(COMMAND)
    with plc.written:
        plc.registers[240] = 0
    plc.wait_for(240, 1)
    plc.say(heartbeat=3)
    assert heard.link.get(timeout=PATIENCE_S) is True


def test_a_command_that_is_late_in_the_outbox_never_leaves(
    sorter: tuple[ModbusClientSorter, Heard, Plc], clock: FakeClock
) -> None:
    """It was handed over in time, and its deadline passed before it could be written."""
    line, _, plc = sorter
    assert line.send(replace(COMMAND, seq=1, deadline_s=99.0))
    assert line.send(replace(COMMAND, seq=2))
    assert plc.slot(2) is not None
    assert plc.registers[slot_address(1)] == 0
    assert line.dropped == 1
