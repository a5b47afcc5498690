"""Equipment that is a client of the line's OPC UA server: a real one, over loopback."""

from __future__ import annotations

import asyncio
import json
import queue
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.line.fakes import COMMAND, FakeClock, Heard
from tests.line.services import free_port
from tests.patience import PATIENCE_S

from binsight.line.config import LineConfig, parse_line_config
from binsight.line.packml import Mode, State
from binsight.line.records import Ack, Confirm

pytest.importorskip("asyncua")
from asyncua import Client, ua

from binsight.line.sorters.opcua import OpcuaSorter
from binsight.line.sorters.opcua_tree import ITEM_STATES, MODES, VISION_STATES

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator


def config(port: int) -> LineConfig:
    """Return a line with one lane whose server listens on this port."""
    return parse_line_config(
        {
            "lanes": [{"number": 3, "categories": ["metal_cans"], "distance_mm": 1200}],
            "sorter": {"kind": "opcua", "url": f"opc.tcp://127.0.0.1:{port}", "heartbeat_s": 0.2},
        }
    )


class Equipment:
    """Somebody else's client, in an event loop of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.beats = 0
        self._watched: list[Any] = []
        self.seen: queue.Queue[Any] = queue.Queue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.do(self._connect())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=PATIENCE_S)

    def node(self, path: str) -> Any:
        return self.client.get_node(f"ns={self.own};s={path}")

    def beat(self) -> None:
        self.beats += 1
        self.do(self.node("PeerHeartbeat").write_value(self.beats, ua.VariantType.UInt32))

    def read(self, path: str) -> Any:
        return self.do(self.node(path).read_value())

    def call(self, method: str, *arguments: Any) -> Any:
        return self.do(self.node("line1").call_method(f"{self.own}:{method}", *arguments))

    def watch(self, *paths: str) -> None:
        self.do(self._watch([self.node(path) for path in paths]))

    def watch_events(self, node: Any) -> None:
        self.do(self._watch_events(node))

    def forget(self) -> None:
        self.do(self._forget())
        while not self.seen.empty():
            self.seen.get()

    def datachange_notification(self, _node: Any, value: Any, _data: Any) -> None:
        self.seen.put(value)

    def event_notification(self, event: Any) -> None:
        self.seen.put(event)

    def close(self) -> None:
        try:
            self.do(self.client.disconnect())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=PATIENCE_S)
            self._loop.close()

    async def _connect(self) -> None:
        while True:
            self.client = Client(f"opc.tcp://127.0.0.1:{self.port}", timeout=PATIENCE_S)
            try:
                await self.client.connect()
                break
            except OSError:
                await asyncio.sleep(0.05)
        self.own = await self.client.get_namespace_index("urn:binsight:line")
        self._subscription = await self.client.create_subscription(5, self)

    async def _watch(self, nodes: list[Any]) -> None:
        self._watched.append(await self._subscription.subscribe_data_change(nodes, queuesize=100))

    async def _watch_events(self, node: Any) -> None:
        space = await self.client.get_namespace_index("http://opcfoundation.org/UA/MachineVision")
        events = self.client.get_node(ua.ObjectIds.BaseEventType)
        result_ready = await events.get_child(f"{space}:ResultReadyEventType")
        self._watched.append(await self._subscription.subscribe_events(node, result_ready))

    async def _forget(self) -> None:
        for watched in self._watched:
            await self._subscription.unsubscribe(watched)
        self._watched.clear()


@pytest.fixture(scope="module")
def line() -> Iterator[tuple[OpcuaSorter, Heard, Equipment, FakeClock]]:
    """Return a line, what it hands back, connected equipment and the clock; starting a server takes seconds."""
    port, clock = free_port(), FakeClock()
    sorter, heard = OpcuaSorter(config(port), clock=clock), Heard()
    sorter.start(heard)
    equipment = Equipment(port)
    yield sorter, heard, equipment, clock
    equipment.close()
    sorter.close(wait_s=5)


@pytest.fixture
def linked(line: tuple[OpcuaSorter, Heard, Equipment, FakeClock]) -> Iterator[Any]:
    """Return the line with a fresh heartbeat of the equipment."""
    _, heard, equipment, clock = line
    clock.seconds = 100.0
    equipment.beat()
    assert heard.link.get(timeout=PATIENCE_S) is True
    yield line
    clock.seconds += 10
    assert heard.link.get(timeout=PATIENCE_S) is False
    while not heard.events.empty():
        heard.events.get()
    equipment.forget()


Linked = tuple[OpcuaSorter, Heard, Equipment, FakeClock]


def test_a_command_is_one_value_and_its_parts(linked: Linked) -> None:
    """The message of MQTT as one value; the sequence number is the last of its parts."""
    sorter, _, equipment, _ = linked
    equipment.watch("Command/Message")
    equipment.seen.get(timeout=PATIENCE_S)
    assert sorter.send(COMMAND)
    assert json.loads(equipment.seen.get(timeout=PATIENCE_S)) == {
        "id": COMMAND.id, "seq": 4711, "lane": 3, "target": 884201, "fire_in_ms": 412, "dwell_ms": 40,
    }  # fmt: skip
    equipment.watch("Command/Seq")
    while equipment.seen.get(timeout=PATIENCE_S) != 4711:
        pass
    names = ("Id", "Lane", "Target", "FireInMs", "DwellMs", "Category", "Confidence")
    values = [equipment.read(f"Command/{name}") for name in names]
    assert values == [COMMAND.id, 3, 884201, 412, 40, "metal_cans", 0.98]


def test_answers_and_control_come_back_as_events(linked: Linked) -> None:
    """By methods."""
    sorter, heard, equipment, _ = linked
    assert sorter.send(COMMAND)
    equipment.call("Acknowledge", ua.Variant(4711, ua.VariantType.UInt32), "accepted")
    equipment.call("Confirm", ua.Variant(4711, ua.VariantType.UInt32), "ejected")
    equipment.call("Control", ua.Variant(3, ua.VariantType.Int32))
    events = [heard.events.get(timeout=PATIENCE_S) for _ in range(3)]
    assert events == [Ack(4711, "accepted", 100.0), Confirm(4711, "ejected", 100.0), ("control", 3)]


@pytest.mark.parametrize(
    ("method", "arguments", "code"),
    [
        ("Acknowledge", (1, "burnt"), "BadInvalidArgument"),
        ("Acknowledge", ("1", "accepted"), "BadInvalidArgument"),
        ("Acknowledge", (True, "accepted"), "BadInvalidArgument"),
        ("Acknowledge", (1, 2.5), "BadInvalidArgument"),
        ("Acknowledge", (1, ["accepted"]), "BadInvalidArgument"),
        ("Confirm", (0, "ejected"), "BadOutOfRange"),
        ("Confirm", (999_999, "ejected"), "BadOutOfRange"),
        ("Confirm", (1,), "BadArgumentsMissing"),
        ("Confirm", (1, "ejected", 3), "BadTooManyArguments"),
        ("Control", (10,), "BadInvalidArgument"),
        ("Control", (), "BadInvalidArgument"),
    ],
)
def test_nonsense_is_refused_by_name(linked: Linked, method: str, arguments: tuple[Any, ...], code: str) -> None:
    """With the status that says what is wrong; nothing comes of it."""
    sorter, heard, equipment, _ = linked
    assert sorter.send(COMMAND)
    before = sorter.malformed
    with pytest.raises(ua.UaStatusCodeError) as refused:
        equipment.call(method, *arguments)
    assert type(refused.value).__name__ == code
    assert sorter.malformed == before + 1
    assert heard.events.empty()


def test_only_the_heartbeat_can_be_written(linked: Linked) -> None:
    """A client cannot make up a purity or a command."""
    _, _, equipment, _ = linked
    for path in ("Lanes/3/Purity", "Command/Message", "Heartbeat", "MachineryItemState.CurrentState"):
        with pytest.raises(ua.UaStatusCodeError):
            equipment.do(equipment.node(path).write_value(ua.Variant(1.0)))


def test_the_tree_is_that_of_the_companion_specifications(linked: Linked) -> None:
    """Found by browse names, as any client would."""
    sorter, _, equipment, _ = linked
    sorter.publish("state", {"online": True, "state": 5, "mode": 1, "frame_age_ms": 38}, retain=True)
    sorter.publish("state", {"online": True, "state": 6, "mode": 1, "frame_age_ms": 38}, retain=True)
    equipment.watch("PackMLState")
    while equipment.seen.get(timeout=PATIENCE_S) != 6:
        pass

    async def browse() -> list[Any]:
        spaces = [
            await equipment.client.get_namespace_index(f"http://opcfoundation.org/UA/{name}")
            for name in ("DI/", "Machinery/", "MachineVision")
        ]
        di, machinery, vision = spaces
        objects, own = equipment.client.nodes.objects, equipment.own
        machine = await objects.get_child([f"{machinery}:Machines", f"{own}:line1"])
        system = await objects.get_child([f"{own}:line1Vision"])
        places = [
            (machine, [f"{di}:Identification", f"{di}:ProductInstanceUri"]),
            (machine, [f"{machinery}:MachineryItemState", "0:CurrentState"]),
            (machine, [f"{machinery}:MachineryItemState", "0:CurrentState", "0:Number"]),
            (machine, [f"{machinery}:MachineryOperationMode", "0:CurrentState"]),
            (system, [f"{vision}:VisionStateMachine", "0:CurrentState"]),
        ]
        await system.get_child([f"{vision}:ResultManagement"])
        return [await (await node.get_child(path)).read_value() for node, path in places]

    # The states follow the number that was waited for, in the same turn.
    for _ in range(100):
        uri, item, number, mode, vision = equipment.do(browse())
        if (item.Text, mode.Text, vision.Text) == ("Executing", "Processing", "Operational"):
            break
    assert (uri, item.Text, number) == ("urn:binsight:plant:line1", "Executing", 3)
    assert (mode.Text, vision.Text) == ("Processing", "Operational")
    assert equipment.read("Heartbeat") == 2


def test_lanes_and_faults(linked: Linked) -> None:
    """Pieces, purity with its interval, alarms that are on."""
    sorter, _, equipment, _ = linked
    sorter.publish("piece", {"id": "01A", "seq": 1, "t": "2026-01-01T00:00:00.000Z", "status": "confirmed", "lane": 3,
                             "reason": None, "category": "glass", "decision": "accept", "confidence": 0.9})  # fmt: skip
    sorter.publish("fault", {"code": "late", "active": True})
    sorter.publish("purity/3", {"purity": 0.983, "low": 0.962, "high": 0.995, "audited": 260})
    equipment.watch("Lanes/3/Audited")
    while equipment.seen.get(timeout=PATIENCE_S) != 260:
        pass
    values = [equipment.read(f"Lanes/3/{name}") for name in ("Pieces", "Purity", "Low", "High")]
    assert values == [1, 0.983, 0.962, 0.995]
    assert equipment.read("Faults") == "late"


def test_a_result_is_announced_once(linked: Linked) -> None:
    """At the vision system and at the server; its later messages are no new result."""
    sorter, _, equipment, _ = linked
    equipment.watch_events(equipment.node("line1Vision"))
    equipment.watch_events(equipment.client.nodes.server)
    for seq, status in ((51, "acknowledged"), (51, "confirmed"), (52, "fail_safe")):
        sorter.publish("piece", {"id": f"01B{seq}", "seq": seq, "t": "2026-01-02T03:04:05.678Z", "status": status,
                                 "lane": 0, "reason": None, "category": "glass", "decision": "accept",
                                 "confidence": 0.9})  # fmt: skip
    events = [equipment.seen.get(timeout=PATIENCE_S) for _ in range(4)]
    assert sorted(event.PartId for event in events) == ["01B51", "01B51", "01B52", "01B52"]
    assert {(event.ResultId, event.IsSimulated) for event in events} == {("line1/51", False), ("line1/52", False)}
    assert events[0].CreationTime.isoformat().startswith("2026-01-02T03:04:05.678")
    assert equipment.read("ResultManagement/Latest/PartId") == "01B52"


def test_late_in_the_outbox_or_without_a_link_nothing_leaves(line: Linked) -> None:
    """A heart that stands is a link that is down."""
    sorter, heard, equipment, clock = line
    clock.seconds = 100.0
    before = sorter.dropped
    assert not sorter.send(COMMAND)
    equipment.beat()
    assert heard.link.get(timeout=PATIENCE_S) is True
    equipment.watch("Command/Seq")
    equipment.seen.get(timeout=PATIENCE_S)
    assert sorter.send(replace(COMMAND, seq=5000, deadline_s=99.0))
    assert sorter.send(replace(COMMAND, seq=5001))
    assert equipment.seen.get(timeout=PATIENCE_S) == 5001
    assert sorter.dropped == before + 2
    clock.seconds += 10
    assert heard.link.get(timeout=PATIENCE_S) is False
    equipment.forget()


def test_a_port_that_is_taken_is_tried_again() -> None:
    """With a new server, as soon as it is free."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        sorter, heard = OpcuaSorter(config(port), clock=FakeClock()), Heard()
        failed = threading.Event()
        pause, sorter._pause = sorter._pause, None  # type: ignore[assignment, method-assign]

        async def note_and_pause(pause_s: float) -> None:
            failed.set()
            await pause(pause_s)

        sorter._pause = note_and_pause  # type: ignore[method-assign]
        sorter.start(heard)
        assert failed.wait(PATIENCE_S)
    equipment = Equipment(port)
    equipment.beat()
    assert heard.link.get(timeout=PATIENCE_S) is True
    equipment.close()
    sorter.close(wait_s=5)


def test_every_state_has_a_word() -> None:
    """Of PackML, in all three state machines; also before the first."""
    assert set(ITEM_STATES) == set(VISION_STATES) == {0, *State}
    assert set(MODES) == {0, *Mode}
