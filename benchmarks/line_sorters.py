"""How long a command and its acknowledgement take with each kind of sorter, over loopback.

    python benchmarks/line_sorters.py
    python benchmarks/line_sorters.py --commands 300 mqtt modbus-server

The equipment has a process of its own. For MQTT a mosquitto is started, and TCP_NODELAY measured on
neither side, on one, and on both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import multiprocessing
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
from tests.line.sorters.plc_side import decode_slot, encode_answers

from binsight.line import mqtt_link
from binsight.line.clock import SystemClock
from binsight.line.config import LineConfig, parse_line_config
from binsight.line.records import Ack, Command
from binsight.line.sorters import open_sorter
from binsight.line.sorters.register_map import Answers, slot_address

BEAT_S = 0.1
PAUSE_S = 0.01  # between an answer and the next command


class Listener:
    """Notes when answers come."""

    def __init__(self) -> None:
        self.up = threading.Event()
        self.answered = threading.Event()
        self.at_s = 0.0

    def on_ack(self, _ack: Ack) -> None:
        """The answer that is waited for."""
        self.at_s = time.perf_counter()
        self.answered.set()

    def on_link(self, *, up: bool) -> None:
        """Commands can be sent."""
        if up:
            self.up.set()

    def on_confirm(self, _confirm: object) -> None:
        """Not measured."""

    on_encoder = on_trigger = on_control = on_confirm


def config(kind: str, url: str) -> LineConfig:
    """A line with one lane."""
    lanes = [{"number": 1, "categories": ["glass"], "distance_mm": 1000}]
    return parse_line_config(
        {"lanes": lanes, "sorter": {"kind": kind, "url": url, "heartbeat_s": 1.0, "home_assistant": False}}
    )


def measure(kind: str, url: str, commands: int) -> list[float]:
    """Milliseconds from `send` to the acknowledgement of each command."""
    clock, listener, found = SystemClock(), Listener(), []
    sorter = open_sorter(config(kind, url), clock=clock)
    sorter.start(listener)
    if not listener.up.wait(30):
        raise SystemExit(f"{kind}: no link within 30 s")
    for seq in range(1, commands + 1):
        now = clock.now()
        command = Command(f"{seq:026d}", seq, 1, 884_201, now + 1, now + 0.9, 40, "glass", 0.98)
        listener.answered.clear()
        started = time.perf_counter()
        if not sorter.send(command) or not listener.answered.wait(5):
            raise SystemExit(f"{kind}: no answer to command {seq}")
        found.append(1000 * (listener.at_s - started))
        time.sleep(PAUSE_S)
    sorter.close()
    return found[commands // 10 :]  # the first ones warm up


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


# The equipment, each in a process of its own.


def mqtt_equipment(port: int, ready: Event, nodelay: bool) -> None:
    """Acknowledge what comes to `cmd/sort`."""
    from paho.mqtt.client import Client, MQTTv5  # noqa: PLC0415 - in its own process
    from paho.mqtt.enums import CallbackAPIVersion  # noqa: PLC0415

    def answer(client: Any, _data: Any, message: Any) -> None:
        reply = json.dumps({"seq": json.loads(message.payload)["seq"], "result": "accepted"})
        client.publish(message.properties.ResponseTopic, reply, qos=1)

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    if nodelay:
        client.on_socket_open = mqtt_link._without_delay  # noqa: SLF001
    client.on_message = answer
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.subscribe("binsight/v1/plant/line1/cmd/sort", qos=1)
    client.loop_forever()


def modbus_client_equipment(port: int, ready: Event) -> None:
    """A PLC without scan time that reads the slot of the next command all the time."""
    from pymodbus.client import ModbusTcpClient  # noqa: PLC0415

    client = ModbusTcpClient("127.0.0.1", port=port)
    while not client.connect():
        time.sleep(0.05)
    ready.set()
    seq, beat, beaten_s = 1, 0, 0.0
    while True:
        if time.monotonic() - beaten_s > BEAT_S:
            beat, beaten_s = beat + 1, time.monotonic()
            client.write_registers(0, [beat % 65536], device_id=1)
        slot = decode_slot(client.read_input_registers(slot_address(seq), count=16, device_id=1).registers)
        if slot is not None and slot.seq == seq:
            client.write_registers(1, [seq, 1], device_id=1)
            seq += 1


def modbus_server_equipment(port: int, ready: Event) -> None:
    """A PLC without scan time that answers as soon as a slot is written."""
    from pymodbus.server import ModbusTcpServer  # noqa: PLC0415
    from pymodbus.simulator import DataType, SimData, SimDevice  # noqa: PLC0415

    answers = {"ack_seq": 0, "ack_result": 0}

    async def access(_function: int, _start: int, address: int, _count: int, registers: list[int], values: Any) -> None:
        if values is not None and 100 <= address < 228 and len(values) == 16:
            slot = decode_slot(values)
            if slot is not None:
                answers.update(ack_seq=slot.seq, ack_result=1)
        registers[:14] = encode_answers(Answers(heartbeat=int(time.monotonic() / BEAT_S) % 65536, **answers))

    async def serve() -> None:
        bit, block = (
            SimData(0, values=False, datatype=DataType.BITS),
            SimData(0, count=300, datatype=DataType.REGISTERS),
        )
        device = SimDevice(id=1, simdata=([bit], [bit], [block], [block]), action=access)
        server = ModbusTcpServer(device, address=("127.0.0.1", port))
        await server.serve_forever(background=True)
        ready.set()
        await asyncio.Event().wait()

    asyncio.run(serve())


def opcua_equipment(port: int, ready: Event) -> None:
    """A client that is told of every command and calls `Acknowledge`."""
    from asyncua import Client, ua  # noqa: PLC0415

    async def work() -> None:
        client = Client(f"opc.tcp://127.0.0.1:{port}")
        while True:
            try:
                await client.connect()
                break
            except OSError:
                await asyncio.sleep(0.05)
        own = await client.get_namespace_index("urn:binsight:line")
        machine, seen = client.get_node(f"ns={own};s=line1"), asyncio.Queue[int]()

        class Watcher:
            def datachange_notification(self, _node: Any, value: Any, _data: Any) -> None:
                if value:
                    seen.put_nowait(json.loads(value)["seq"])

            def status_change_notification(self, _status: Any) -> None:
                pass

        subscription = await client.create_subscription(1, Watcher())
        await subscription.subscribe_data_change(client.get_node(f"ns={own};s=Command/Message"), queuesize=10)
        ready.set()
        beat = client.get_node(f"ns={own};s=PeerHeartbeat")
        for number in range(1, 1_000_000):
            await beat.write_value(number, ua.VariantType.UInt32)
            until_s = time.monotonic() + BEAT_S
            while (left_s := until_s - time.monotonic()) > 0:
                try:
                    seq = await asyncio.wait_for(seen.get(), left_s)
                except TimeoutError:
                    break
                await machine.call_method(f"{own}:Acknowledge", ua.Variant(seq, ua.VariantType.UInt32), "accepted")

    asyncio.run(work())


def webhook_equipment(port: int, ready: Event) -> None:
    """A server that says 200."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    ready.set()
    server.serve_forever()


def _until_goodbye(target: Callable[..., None], port: int, ready: Event, *arguments: Any) -> None:
    logging.disable()  # the libraries tell at length of connections that the line closes at the end
    try:
        target(port, ready, *arguments)
    except Exception:
        if not ready.is_set():
            raise  # else the line has hung up, as it does at the end


@contextmanager
def equipment(target: Callable[..., None], *arguments: Any, wait: bool = True) -> Iterator[None]:
    """Run it in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_until_goodbye, args=(target, arguments[0], ready, *arguments[1:]), daemon=True)
    process.start()
    try:
        if wait and not ready.wait(30):
            raise SystemExit(f"{target.__name__} does not start")
        yield
    finally:
        process.terminate()
        process.join(10)


@contextmanager
def broker(nodelay: bool) -> Iterator[int]:
    """A mosquitto of its own."""
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise SystemExit("mosquitto is not installed; leave mqtt out, or install it")
    with tempfile.TemporaryDirectory() as folder:
        port, settings = free_port(), Path(folder, "mosquitto.conf")
        settings.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay {str(nodelay).lower()}\n"
        )
        process = subprocess.Popen([program, "-c", str(settings)], stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def measure_mqtt(commands: int) -> Iterator[tuple[str, list[float]]]:
    """With the setting on neither side, on one, on both."""
    ours = mqtt_link._without_delay  # noqa: SLF001 - the line itself always sets it
    for of_broker, of_clients in ((False, False), (False, True), (True, False), (True, True)):
        mqtt_link._without_delay = ours if of_clients else lambda *_: None  # noqa: SLF001
        names = [name for name, is_set in (("broker", of_broker), ("clients", of_clients)) if is_set]
        with broker(of_broker) as port, equipment(mqtt_equipment, port, of_clients):
            words = f"mqtt, TCP_NODELAY: {' and '.join(names) or 'none'}"
            yield words, measure("mqtt", f"mqtt://127.0.0.1:{port}", commands)
    mqtt_link._without_delay = ours  # noqa: SLF001


def measure_kind(kind: str, commands: int) -> Iterator[tuple[str, list[float]]]:
    """One of the kinds."""
    port = free_port()
    if kind == "mqtt":
        yield from measure_mqtt(commands)
    elif kind == "csv":
        with tempfile.TemporaryDirectory() as folder:
            yield kind, measure(kind, str(Path(folder, "line.csv")), commands)
    elif kind == "webhook":
        with equipment(webhook_equipment, port):
            yield kind, measure(kind, f"http://127.0.0.1:{port}/", commands)
    elif kind == "modbus-client":
        with equipment(modbus_server_equipment, port):
            yield kind, measure(kind, f"tcp://127.0.0.1:{port}", commands)
    else:  # the line is the server: the equipment waits for it
        target, scheme = {"modbus-server": (modbus_client_equipment, "tcp"), "opcua": (opcua_equipment, "opc.tcp")}[
            kind
        ]
        with equipment(target, port, wait=False):
            yield kind, measure(kind, f"{scheme}://127.0.0.1:{port}", commands)


def main() -> None:
    """Print a table."""
    kinds = ["mqtt", "modbus-server", "modbus-client", "opcua", "webhook", "csv"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(kinds)}; default: all")
    parser.add_argument("--commands", type=int, default=300)
    options = parser.parse_args()
    if unknown := set(options.kinds) - set(kinds):
        parser.error(f"there is no kind {min(unknown)!r}; there is {', '.join(kinds)}")
    print("| sorter | median, ms | p99, ms |\n|---|---|---|", flush=True)
    for kind in options.kinds or kinds:
        for words, found in measure_kind(kind, options.commands):
            median, p99 = np.percentile(found, [50, 99])
            print(f"| {words} | {median:.2f} | {p99:.1f} |", flush=True)


if __name__ == "__main__":
    main()
