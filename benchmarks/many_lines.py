"""Hundreds of lines, one PostgreSQL and one broker.

    python benchmarks/many_lines.py write                    # 200 lines, 5 pieces a second each, half a minute
    python benchmarks/many_lines.py write --lines 20 --workers 1
    python benchmarks/many_lines.py read                     # the dashboard's questions among 10 million pieces

`write`: each line is the true dispatcher, ledger writer and MQTT sorter; only camera and network are left out. Lines
share worker processes; one more process is the equipment, which acknowledges and confirms. PostgreSQL and mosquitto are
started for it, with every commit on disk. Then rows are compared with the pieces that were made.
"""

from __future__ import annotations

import argparse
import heapq
import json
import multiprocessing
import os
import queue
import resource
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from tests.line.services import mosquitto, postgres

from binsight.line.belt import Belt
from binsight.line.clock import SystemClock
from binsight.line.commands import Dispatcher
from binsight.line.config import LineConfig, parse_line_config
from binsight.line.film import Film
from binsight.line.ledger.database import open_database
from binsight.line.ledger.schema import pieces
from binsight.line.ledger.writer import LedgerWriter
from binsight.line.messages import piece_message
from binsight.line.mqtt_link import new_client
from binsight.line.records import Ack, Confirm, Piece, new_ulid
from binsight.line.sorters.mqtt import MqttSorter

CLASSES = ("metal_cans", "paper_waste", "plastic_bags", "glass_bottles", "food_waste", "cardboard", "other", "textiles")
DECIDE_S = 0.06  # from the trigger line to the decision
JPEG = bytes(4000)
SETTINGS = ("max_connections=400", "shared_buffers=512MB", "max_wal_size=4GB", "synchronous_commit=on")


class TimedWriter(LedgerWriter):
    """Notes how long a row takes that a command waits for."""

    def __init__(self, database: sa.Engine, waits_s: list[float]) -> None:
        super().__init__(database, keep_days=30)
        self._waits_s = waits_s

    def put(self, piece: Piece, *, after: Callable[[bool], None] | None = None) -> None:
        """As it is, with a stopwatch."""
        began = time.perf_counter()

        def done(written: bool) -> None:
            self._waits_s.append(time.perf_counter() - began)
            if after is not None:
                after(written)

        super().put(piece, after=None if after is None else done)


@dataclass
class Worker:
    """Some lines in one process; one thread is the engine of them all, as it is of one.

    `figures` are what it tells in the end.
    """

    number: int
    site: str
    url: str
    broker: int
    rate: float
    calls: queue.Queue[Callable[[], None]] = field(default_factory=queue.Queue)
    later: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    order: int = 0
    made: int = 0

    def at(self, when_s: float, call: Callable[[], None]) -> None:
        """Have something done at a time."""
        self.order += 1
        heapq.heappush(self.later, (when_s, self.order, call))

    def work(self, until_s: float) -> None:
        """Be the engine until then."""
        while (now := time.monotonic()) < until_s:
            while self.later and self.later[0][0] <= now:
                heapq.heappop(self.later)[2]()
            next_s = self.later[0][0] if self.later else until_s
            try:
                self.calls.get(timeout=max(0.0, min(next_s, until_s) - time.monotonic()))()
            except queue.Empty:
                continue


class SimulatedLine:
    """What is behind the network: pieces come, are decided, commanded, and answered."""

    def __init__(self, worker: Worker, number: int) -> None:
        self.worker, self.clock = worker, SystemClock()
        self.config = line_config(worker.site, f"line{number:03}", worker.broker)
        self.ledger = TimedWriter(open_database(worker.url, upgrade=False), worker.waits_s)
        self.seq = self.ledger.start(self.config.line.name, self.clock.utc())
        self.belt = Belt(self.config.belt, started_s=self.clock.now())
        self.sorter = MqttSorter(self.config, clock=self.clock)
        self.dispatcher = Dispatcher(
            self.config, clock=self.clock, belt=self.belt, sorter=self.sorter, ledger=self.ledger,
            post=worker.calls.put, on_change=self.tell,
        )  # fmt: skip
        self.sorter.start(self)

    def tell(self, piece: Piece) -> None:
        """As the engine does."""
        self.sorter.publish("piece", piece_message(piece))

    def feed(self, due_s: float) -> None:
        """One more piece is at the trigger line."""
        at = self.clock.utc()
        piece = Piece(
            id=new_ulid(at), line=self.config.line.name, seq=self.seq, seen_at=at, captured_at=at, shift="early",
            model_name="waste8", model_version="1.3.0",
        )  # fmt: skip
        self.seq += 1
        self.worker.made += 1
        self.ledger.put(piece)
        crossed_mm = self.belt.position_mm(self.clock.now())
        self.worker.at(due_s + DECIDE_S, lambda: self.decide(piece, crossed_mm))
        next_s = due_s + 1 / self.worker.rate
        self.worker.at(next_s, lambda: self.feed(next_s))

    def decide(self, piece: Piece, crossed_mm: float) -> None:
        """The network has spoken; one piece in fifty is drawn for the audit."""
        drawn = piece.seq % 50 == 0
        decided = replace(
            piece, status="decided", decided_at=self.clock.utc(), frames=4, category="metal_cans", confidence=0.97,
            scores=dict.fromkeys(CLASSES, 0.125), decision="accept",
            audit_probability=0.02 if drawn else None, thumbnail=piece.id if drawn else None,
        )  # fmt: skip
        self.ledger.put(decided)
        self.dispatcher.command(decided, self.config.lanes[0], crossed_mm=crossed_mm, captured_s=self.clock.now())
        if drawn:
            self.ledger.keep(decided, Film(JPEG))

    def on_ack(self, ack: Ack) -> None:
        """From the broker's thread."""
        self.worker.calls.put(lambda: self.dispatcher.on_ack(ack))

    def on_confirm(self, confirm: Confirm) -> None:
        """Likewise."""
        self.worker.calls.put(lambda: self.dispatcher.on_confirm(confirm))

    def on_link(self, *, up: bool) -> None:
        """Nothing depends on it."""

    on_encoder = on_trigger = on_control = on_link  # type: ignore[assignment]  # none of these comes

    def close(self) -> None:
        """As a line does that is stopped."""
        self.dispatcher.stop()
        self.sorter.close(wait_s=5)
        self.ledger.flush(60)
        self.ledger.close()


def line_config(site: str, name: str, broker: int) -> LineConfig:
    """A line with one lane, a second behind the camera."""
    lane = {"number": 1, "categories": ["metal_cans"], "distance_mm": 600}
    sorter = {"kind": "mqtt", "url": f"mqtt://127.0.0.1:{broker}", "ack_timeout_ms": 5000, "confirm_timeout_ms": 10000}
    return parse_line_config({"line": {"site": site, "name": name}, "lanes": [lane], "sorter": sorter})


def run_worker(worker: Worker, lines: range, seconds: float, go: Event, told: multiprocessing.Queue[Any]) -> None:
    """Run lines for a time, and tell what it took."""
    mine = [SimulatedLine(worker, number) for number in lines]
    while not all(line.sorter._link.is_up for line in mine):  # noqa: SLF001 - the sorter's own `start` tells late
        time.sleep(0.05)
    told.put("ready")
    go.wait()
    began, cpu_s = time.monotonic(), own_cpu_s()
    for position, line in enumerate(mine):
        first_s = began + position / len(mine) / worker.rate
        worker.at(first_s, lambda line=line, first_s=first_s: line.feed(first_s))  # type: ignore[misc]
    worker.work(began + seconds)
    lag_s = max(0.0, time.monotonic() - min((entry[0] for entry in worker.later), default=began + seconds))
    worker.later = [entry for entry in worker.later if "feed" not in entry[2].__code__.co_names]
    while any(line.dispatcher.outstanding for line in mine) or worker.later:
        worker.work(time.monotonic() + 0.1)
        for line in mine:
            line.dispatcher.tick()
    cpu_s = own_cpu_s() - cpu_s
    ends = sum((line.dispatcher.ends for line in mine), Counter[Any]())
    for line in mine:
        line.close()
    told.put({"made": worker.made, "waits_s": worker.waits_s, "cpu_s": cpu_s, "lag_s": lag_s, "ends": dict(ends)})


def run_equipment(broker: int, stop: Event, told: multiprocessing.Queue[Any]) -> None:
    """Acknowledge each command at once and confirm it when it is due; tell how many came, and how many twice."""
    due: list[tuple[float, str, bytes]] = []
    seen: Counter[tuple[str, int]] = Counter()
    changed = threading.Condition()
    client = new_client(f"mqtt://127.0.0.1:{broker}", "equipment", None, None, reconnects=False)
    up = threading.Event()

    def take(_client: Any, _data: Any, message: Any) -> None:
        command = json.loads(message.payload)
        prefix = message.topic.removesuffix("/cmd/sort")
        seen[prefix, command["seq"]] += 1
        client.publish(message.properties.ResponseTopic, f'{{"seq":{command["seq"]},"result":"accepted"}}', qos=1)
        confirm = f'{{"seq":{command["seq"]},"result":"ejected"}}'.encode()
        with changed:
            heapq.heappush(due, (time.monotonic() + command["fire_in_ms"] / 1000, f"{prefix}/confirm", confirm))
            changed.notify()

    client.max_inflight_messages_set(1000)
    client.on_connect = lambda *_: client.subscribe("binsight/v1/+/+/cmd/sort", qos=1)
    client.on_subscribe = lambda *_: up.set()
    client.on_message = take
    client.connect("127.0.0.1", broker)
    client.loop_start()
    up.wait()
    told.put("ready")
    while not stop.is_set():
        with changed:
            pause_s = 0.1 if not due else min(0.1, max(0.0, due[0][0] - time.monotonic()))
            changed.wait(pause_s)
            now = [heapq.heappop(due) for _ in range(len(due)) if due[0][0] <= time.monotonic()]
        for _, topic, message in now:
            client.publish(topic, message, qos=1)
    told.put({"commands": len(seen), "twice": sum(count > 1 for count in seen.values()), "cpu_s": own_cpu_s()})
    client.disconnect()
    client.loop_stop()


def own_cpu_s() -> float:
    """Of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cpu_of(name: str) -> float:
    """Seconds of processor time of a child of this process with that name, and of what it has started."""
    everyone = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = place.read_text().rpartition(")")
        except OSError:
            continue
        pid, _, called = head.partition(" (")
        words = rest.split()
        everyone[int(pid)] = called, int(words[1]), sum(map(int, words[11:15]))
    tops = {pid for pid, (called, parent, _) in everyone.items() if called.startswith(name) and parent == os.getpid()}
    ticks = sum(used for pid, (_, parent, used) in everyone.items() if pid in tops or parent in tops)
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def services() -> Iterator[tuple[str, int]]:
    """A PostgreSQL with empty tables, and a broker with the settings of `deploy/line`."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(mosquitto(folder))
        url = stack.enter_context(postgres(*SETTINGS))
        open_database(url).dispose()
        yield url, broker


def write(options: argparse.Namespace) -> None:
    """Run the lines, then count."""
    with services() as (url, broker):
        context = multiprocessing.get_context("spawn")
        go, stop, told, equipment = context.Event(), context.Event(), context.Queue(), context.Queue()
        plc = context.Process(target=run_equipment, args=(broker, stop, equipment))
        plc.start()
        equipment.get()
        share = -(-options.lines // options.workers)
        workers = []
        for number in range(options.workers):
            lines = range(number * share, min(options.lines, (number + 1) * share))
            worker = (number, "plant", url, broker, options.rate)
            workers.append(context.Process(target=start_worker, args=(worker, lines, options.seconds, go, told)))
            workers[-1].start()
        for _ in workers:
            told.get()
        counter = sa.create_engine(url)
        before = commits(counter), cpu_of("postgres"), cpu_of("mosquitto"), time.perf_counter()
        go.set()
        results = [told.get() for _ in workers]
        seconds = time.perf_counter() - before[3]
        stop.set()
        plc_result = equipment.get()
        for process in (*workers, plc):
            process.join()
        time.sleep(1.5)  # PostgreSQL notes a session's commits a second later
        after = commits(counter), cpu_of("postgres"), cpu_of("mosquitto")
        report(options, results, plc_result, seconds, [b - a for a, b in zip(before, after, strict=False)], counter)


def start_worker(worker: tuple[Any, ...], *rest: Any) -> None:
    """In the new process, whose queues cannot be sent there."""
    run_worker(Worker(*worker), *rest)


def commits(engine: sa.Engine) -> int:
    """Of the whole database so far."""
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT pg_stat_clear_snapshot()"))
        query = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        return int(connection.execute(sa.text(query)).scalar_one())


def report(
    options: argparse.Namespace, results: list[Any], plc: Any, seconds: float, used: list[float], engine: sa.Engine
) -> None:
    """Print what was made, written, lost and doubled, and what it took."""
    made = sum(result["made"] for result in results)
    with engine.connect() as connection:
        number = sa.func.count()
        distinct = sa.func.count(sa.distinct(sa.tuple_(pieces.c.line, pieces.c.seq)))
        rows, kinds = connection.execute(sa.select(number, distinct)).one()
        ends = dict(map(tuple, connection.execute(sa.select(pieces.c.status, number).group_by(pieces.c.status))))
    engine.dispose()
    waits = np.concatenate([result["waits_s"] for result in results]) * 1000
    client_s = sum(result["cpu_s"] for result in results)
    cores = os.cpu_count() or 1
    print(f"{options.lines} lines, {options.rate:g} pieces a second each, {options.seconds:g} s, {cores} cores")
    print(f"pieces: {made:,} made, {rows:,} rows, {made - kinds:,} lost, {rows - kinds:,} doubled; {ends}")
    print(f"commands: {plc['commands']:,} at the equipment, {plc['twice']} of them twice")
    print(f"rate: {made / options.seconds:,.0f} pieces/s; the last came {max(r['lag_s'] for r in results):.1f} s late")
    p50, p99 = np.percentile(waits, [50, 99])
    print(f"write that a command waits for: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    print(f"commits: {used[0] / made:.2f} a piece, {used[0] / seconds:,.0f}/s")
    each = {"lines": client_s, "PostgreSQL": used[1], "mosquitto": used[2], "equipment": plc["cpu_s"]}
    told = ", ".join(f"{name} {1000 * value / made:.2f} ms" for name, value in each.items())
    print(f"processor a piece: {told}; of {cores * seconds:.0f} s {sum(each.values()):.0f} s were used")


def main() -> None:
    """Do what was asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    writing = commands.add_parser("write")
    writing.add_argument("--lines", type=int, default=200)
    writing.add_argument("--rate", type=float, default=5)
    writing.add_argument("--seconds", type=float, default=30)
    writing.add_argument("--workers", type=int, default=2)
    writing.set_defaults(call=write)
    options = parser.parse_args()
    options.call(options)


if __name__ == "__main__":
    main()
