"""A PLC that is a Modbus client of the line: a real one, over loopback."""

from __future__ import annotations

import queue
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pymodbus.client import ModbusTcpClient
from tests.line.fakes import COMMAND, FakeClock, Heard
from tests.line.services import free_port
from tests.line.sorters.plc_side import Slot, decode_slot, encode_answers
from tests.patience import PATIENCE_S

from binsight.line.config import LineConfig, parse_line_config
from binsight.line.records import Ack, Confirm, EncoderReading
from binsight.line.sorters.modbus_server import ModbusServerSorter
from binsight.line.sorters.register_map import HOLDING_SIZE, Answers, slot_address

if TYPE_CHECKING:
    from collections.abc import Iterator


def config(port: int, **sorter: Any) -> LineConfig:
    """Return a line with one lane whose server listens on this port."""
    settings = {"kind": "modbus-server", "url": f"tcp://127.0.0.1:{port}", "heartbeat_s": 0.2, **sorter}
    return parse_line_config(
        {
            "belt": {"encoder": "modbus", "counts_per_mm": 10},
            "lanes": [{"number": 3, "categories": ["glass", "metal_cans"], "distance_mm": 1200}],
            "sorter": settings,
        }
    )


class Plc:
    """Somebody else's PLC: a Modbus client that knows only the register map."""

    def __init__(self, port: int) -> None:
        self.client = ModbusTcpClient("127.0.0.1", port=port, timeout=2, retries=0)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.01)
        assert self.client.connect()
        self.beats = 0

    def beat(self) -> None:
        self.beats += 1
        self.write(0, self.beats)

    def write(self, address: int, *values: int) -> None:
        assert not self.client.write_registers(address, list(values), device_id=1).isError()

    def read(self, address: int, count: int) -> list[int]:
        return self.client.read_input_registers(address, count=count, device_id=1).registers

    def slot(self, seq: int) -> Slot | None:
        return decode_slot(self.read(slot_address(seq), 16))


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands at 100 s."""
    return FakeClock()


@pytest.fixture
def sorter(clock: FakeClock) -> Iterator[tuple[ModbusServerSorter, Heard, Plc]]:
    """Return a line, what it hands back, and a PLC whose heart has beaten once."""
    port = free_port()
    server, heard = ModbusServerSorter(config(port), clock=clock), Heard()
    server.start(heard)
    plc = Plc(port)
    plc.beat()
    assert heard.link.get(timeout=PATIENCE_S)
    yield server, heard, plc
    plc.client.close()
    server.close()


def test_a_command_is_read_from_its_slot(sorter: tuple[ModbusServerSorter, Heard, Plc], clock: FakeClock) -> None:
    """As it is true at the moment of reading; after its deadline the slot is empty."""
    server, _, plc = sorter
    assert server.send(COMMAND)
    expected = Slot(4711, 4711, 3, 884201, 412, 40, 2, 0.98, 0)
    assert plc.slot(4711) == expected
    clock.seconds += 0.3
    assert plc.slot(4711) == replace(expected, fire_in_ms=112)
    clock.seconds += 0.11
    assert plc.slot(4711) is None


def test_answers_are_heard_once(sorter: tuple[ModbusServerSorter, Heard, Plc]) -> None:
    """The same answer written again is not another one; short numbers are whole again."""
    server, heard, plc = sorter
    command = replace(COMMAND, seq=70_000)
    assert server.send(command)
    for _ in range(2):
        plc.write(1, 70_000 % 65536, 1)
    plc.write(9, 70_000 % 65536, 1)
    plc.write(1, (70_000 - 3) % 65536, 3)
    assert [heard.events.get(timeout=PATIENCE_S) for _ in range(3)] == [
        Ack(70_000, "accepted", 100.0),
        Confirm(70_000, "ejected", 100.0),
        Ack(69_997, "blocked", 100.0),
    ]
    assert heard.events.empty()


def test_encoder_control_and_trigger(sorter: tuple[ModbusServerSorter, Heard, Plc]) -> None:
    """Counts with the PLC's time, a command when its request changes, a trigger with its counts."""
    _, heard, plc = sorter
    plc.write(3, 13, 30166, 0, 50)
    assert heard.events.get(timeout=PATIENCE_S) == EncoderReading(882134, 100.0)
    plc.write(7, 4)
    plc.write(8, 1)
    assert heard.events.get(timeout=PATIENCE_S) == ("control", 4)
    plc.write(11, 1, 13, 30000)
    assert heard.events.get(timeout=PATIENCE_S) == ("trigger", EncoderReading(881968, 100.0))
    assert heard.events.empty()


def test_every_function_that_writes_is_heard(sorter: tuple[ModbusServerSorter, Heard, Plc]) -> None:
    """One register, several, by a mask, and together with reading."""
    _, heard, plc = sorter
    plc.write(7, 4)
    plc.client.write_register(8, 1, device_id=1)
    plc.client.mask_write_register(address=8, and_mask=0, or_mask=2, device_id=1)
    read = plc.client.readwrite_registers(
        read_address=7, read_count=2, write_address=7, values=[5, 3], device_id=1
    ).registers
    assert [heard.events.get(timeout=PATIENCE_S) for _ in range(3)] == [("control", 4), ("control", 4), ("control", 5)]
    assert read == [5, 3]


def test_what_a_plc_writes_first_is_of_an_earlier_moment(clock: FakeClock) -> None:
    """A PLC that writes all its registers at once repeats an old stop and an old answer: neither is obeyed."""
    port = free_port()
    server, heard = ModbusServerSorter(config(port), clock=clock), Heard()
    server.start(heard)
    plc = Plc(port)
    plc.write(0, *encode_answers(Answers(heartbeat=9, ack_seq=5, ack_result=1, control=3, request=1)))
    assert heard.link.get(timeout=PATIENCE_S)
    plc.write(0, *encode_answers(Answers(heartbeat=10, ack_seq=5, ack_result=1, control=4, request=2)))
    assert heard.events.get(timeout=PATIENCE_S) == EncoderReading(0, 100.0)  # written, by a PLC that tells no time
    assert heard.events.get(timeout=PATIENCE_S) == ("control", 4)
    assert heard.events.empty()
    plc.client.close()
    server.close()


def test_nonsense_is_counted(sorter: tuple[ModbusServerSorter, Heard, Plc]) -> None:
    """An answer to a command that never was, a code that means nothing, registers that are not there."""
    server, heard, plc = sorter
    plc.write(1, 17, 1)
    assert server.send(COMMAND)
    plc.write(1, 4711, 6)
    plc.write(9, 4711, 99)
    assert server.malformed == 3
    assert plc.client.write_registers(HOLDING_SIZE, [1], device_id=1).isError()
    assert plc.client.read_input_registers(200, count=100, device_id=1).isError()
    assert plc.client.read_input_registers(0, count=1, device_id=7).isError()
    assert plc.read(0, 1) == [1]
    assert heard.events.empty()


def test_a_silent_plc_is_away(sorter: tuple[ModbusServerSorter, Heard, Plc], clock: FakeClock) -> None:
    """Without a heartbeat nothing is sent, and what it has not read is gone; the next heartbeat brings it back."""
    server, heard, plc = sorter
    assert server.send(replace(COMMAND, deadline_s=1e9))
    clock.seconds += 1
    assert heard.link.get(timeout=PATIENCE_S) is False
    assert plc.slot(4711) is None
    assert not server.send(COMMAND)
    plc.beat()
    assert heard.link.get(timeout=PATIENCE_S) is True
    plc.client.close()
    assert heard.link.get(timeout=PATIENCE_S) is False


def test_a_command_is_never_overwritten_while_its_answer_is_awaited(
    sorter: tuple[ModbusServerSorter, Heard, Plc], clock: FakeClock
) -> None:
    """The ninth waits for nobody: it is refused until the first is answered, or is not awaited any more."""
    server, _, plc = sorter
    commands = [replace(COMMAND, seq=seq, deadline_s=1e9) for seq in range(1, 11)]
    assert [server.send(command) for command in commands[:9]] == [True] * 8 + [False]
    plc.write(1, 1, 1)
    assert server.send(commands[8])
    assert not server.send(commands[9])
    clock.seconds += 0.25
    assert server.send(commands[9])
    assert server.dropped == 2


def test_the_state_is_read(sorter: tuple[ModbusServerSorter, Heard, Plc]) -> None:
    """What was published stands in the registers; the heartbeat goes on with every state."""
    server, _, plc = sorter
    state: dict[str, object] = {"online": True, "state": 6, "mode": 1, "frame_age_ms": 38}
    server.publish("state", state, retain=True)
    server.publish("state", state, retain=True)
    server.publish("piece", {"status": "confirmed", "lane": 3, "reason": None})
    assert plc.read(0, 10) == [1, 2, 6, 1, 0, 0, 1, 0, 0, 38]
    assert plc.read(44, 2) == [0, 1]


def test_a_port_that_is_taken_is_tried_again(clock: FakeClock) -> None:
    """The line goes on without a link, and listens as soon as it can."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        server, heard = ModbusServerSorter(config(port), clock=clock), Heard()
        server.start(heard)
        with pytest.raises(queue.Empty):
            heard.link.get(timeout=0.3)
    plc = Plc(port)
    plc.beat()
    assert heard.link.get(timeout=PATIENCE_S)
    plc.client.close()
    server.close()
    assert heard.link.get(timeout=PATIENCE_S) is False
