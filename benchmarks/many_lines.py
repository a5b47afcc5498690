"""Hundreds of lines, one PostgreSQL and one broker.

    python benchmarks/many_lines.py write                    # 200 lines, 5 pieces a second each, half a minute
    python benchmarks/many_lines.py write --lines 60 --workers 6
    python benchmarks/many_lines.py read                     # the dashboard's questions among 10 million pieces

`write`: each line is the true dispatcher, ledger writer and MQTT sorter; only camera and network are left out. Lines
share worker processes; one more process is the equipment, which acknowledges and confirms. PostgreSQL and mosquitto are
started for it, with every commit on disk. Then rows are compared with the pieces that were made.
"""

from __future__ import annotations

import argparse
import datetime as dt
import heapq
import json
import multiprocessing
import os
import queue
import random
import resource
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from tests.line.services import mosquitto, postgres

from binsight.line.account import LineAccount
from binsight.line.belt import Belt
from binsight.line.clock import SystemClock
from binsight.line.commands import Dispatcher
from binsight.line.config import LineConfig, parse_line_config
from binsight.line.film import Film
from binsight.line.following import LedgerFollower
from binsight.line.ledger.database import open_database
from binsight.line.ledger.hours import FinishedHours
from binsight.line.ledger.schema import lines, pieces
from binsight.line.ledger.writer import LedgerWriter
from binsight.line.messages import piece_message
from binsight.line.monitor import LineMonitor
from binsight.line.mqtt_link import new_client
from binsight.line.records import Ack, Confirm, Piece, new_ulid
from binsight.line.shifts import last_periods
from binsight.line.sorters.mqtt import MqttSorter
from binsight.taxonomy import builtin_taxonomy

CLASSES = ("metal_cans", "paper_waste", "plastic_bags", "glass_bottles", "food_waste", "cardboard", "other", "textiles")
DECIDE_S = 0.06  # from the trigger line to the decision
JPEG = bytes(4000)
SETTINGS = ("max_connections=700", "shared_buffers=512MB", "max_wal_size=4GB", "synchronous_commit=on")


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
        self.worker, self.clock, self.up = worker, SystemClock(), threading.Event()
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
        if piece.status != "commanded":
            self.sorter.publish("piece", piece_message(piece))

    def feed(self, due_s: float, *, again: bool = True) -> None:
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
        if again:
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
        """The broker is there."""
        if up:
            self.up.set()

    def on_encoder(self, reading: Any) -> None:
        """None of these comes."""

    on_trigger = on_control = on_encoder

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
    for line in mine:
        line.up.wait()
        line.feed(time.monotonic(), again=False)  # what is compiled and planned once in a life is ready when it begins
    finish(worker, mine)
    warmed, worker.made = worker.made, 0
    worker.waits_s.clear()
    told.put("ready")
    go.wait()
    began, cpu_s = time.monotonic(), own_cpu_s()
    for position, line in enumerate(mine):
        first_s = began + position / len(mine) / worker.rate
        worker.at(first_s, lambda line=line, first_s=first_s: line.feed(first_s))  # type: ignore[misc]
    worker.work(began + seconds)
    lag_s = max(0.0, time.monotonic() - min((entry[0] for entry in worker.later), default=began + seconds))
    worker.later = [entry for entry in worker.later if "feed" not in entry[2].__code__.co_names]
    finish(worker, mine)
    cpu_s = own_cpu_s() - cpu_s
    ends = sum((line.dispatcher.ends for line in mine), Counter[Any]())
    for line in mine:
        line.close()
    told.put(
        {
            "made": worker.made,
            "warmed": warmed,
            "waits_s": worker.waits_s,
            "cpu_s": cpu_s,
            "lag_s": lag_s,
            "ends": dict(ends),
        }
    )


def finish(worker: Worker, lines: Sequence[SimulatedLine]) -> None:
    """Work until every piece has its end."""
    while any(line.dispatcher.outstanding for line in lines) or worker.later:
        worker.work(time.monotonic() + 0.1)
        for line in lines:
            line.dispatcher.tick()


def run_equipment(broker: int, stop: Event, told: multiprocessing.Queue[Any]) -> None:
    """Acknowledge each command at once and confirm it when it is due; tell how many came, and how many twice."""
    with suppress(PermissionError):
        os.nice(-10)  # controllers share no processor with those that command them
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

    def listen(*_: Any) -> None:
        client.subscribe("binsight/v1/+/+/cmd/sort", qos=1)

    client.on_connect = listen
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
    made, warmed = (sum(result[name] for result in results) for name in ("made", "warmed"))
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
    lost = made + warmed - kinds
    print(f"pieces: {made:,} and {warmed} before, {rows:,} rows, {lost:,} lost, {rows - kinds:,} doubled; {ends}")
    print(f"commands: {plc['commands']:,} at the equipment, {plc['twice']} of them twice")
    print(f"rate: {made / options.seconds:,.0f} pieces/s; the last came {max(r['lag_s'] for r in results):.1f} s late")
    p50, p99 = np.percentile(waits, [50, 99])
    print(f"write that a command waits for: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    print(f"commits: {used[0] / made:.2f} a piece, {used[0] / seconds:,.0f}/s")
    each = {"lines": client_s, "PostgreSQL": used[1], "mosquitto": used[2], "equipment": plc["cpu_s"]}
    told = ", ".join(f"{name} {1000 * value / made:.2f} ms" for name, value in each.items())
    print(f"processor a piece: {told}; of {cores * seconds:.0f} s {sum(each.values()):.0f} s were used")


# What dashboards ask.

FILL = """
INSERT INTO {part} (id, line, seq, seen_at, captured_at, decided_at, status, frames, category, confidence, scores,
    decision, reason, lane, commanded_at, latency_ms, model_name, model_version, thumbnail, audit_probability,
    true_category, audited_at, audited_by)
SELECT id, line, seq, at, at, at, status, 4, category, 0.97, '{scores}',
    CASE WHEN luck < 0.17 THEN 'review' ELSE 'accept' END,
    CASE WHEN luck < 0.17 THEN 'low_confidence' END, CASE WHEN luck < 0.17 THEN 0 ELSE 1 + (seq %% 4) END,
    CASE WHEN luck >= 0.17 THEN at END, 30 + 20 * random(), 'waste8', '1.3.0', CASE WHEN drawn THEN id END,
    CASE WHEN drawn THEN 0.02 END, CASE WHEN drawn AND seq %% 2 = 0 THEN category END,
    CASE WHEN drawn AND seq %% 2 = 0 THEN at END, CASE WHEN drawn AND seq %% 2 = 0 THEN 'eve' END
FROM (
    SELECT line, seq, at, luck, random() < CASE WHEN luck < 0.17 THEN 0.2 ELSE 0.02 END AS drawn,
        ('{classes}'::text[])[1 + seq %% 8] AS category,
        CASE WHEN luck < 0.17 THEN 'fail_safe' WHEN luck < 0.18 THEN 'unknown' WHEN luck < 0.19 THEN 'late'
            WHEN luck < 0.195 THEN 'refused' WHEN luck < 0.2 THEN 'dropped' ELSE 'confirmed' END AS status,
        upper(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || substr(md5(line || seq), 1, 14)) AS id
    FROM (
        SELECT 'line' || lpad(number::text, 3, '0') AS line, {day} * each + turn AS seq, random() AS luck,
            timestamptz '{date} 00:00+00' + interval '1 day' * (turn - random()) / each AS at
        FROM (SELECT number, CASE WHEN number = 0 THEN {busy} ELSE {usual} END AS each
              FROM generate_series(0, {lines} - 1) AS number) AS lines, generate_series(1, each) AS turn
    ) AS made
) AS whole
"""
PICTURES = """
INSERT INTO thumbnails_{name} (key, at, jpeg) SELECT id, seen_at, '\\x{jpeg}' FROM pieces_{name} WHERE thumbnail = id
"""
READING = ("shared_buffers=2GB", "work_mem=32MB", "max_parallel_workers_per_gather=0")
LOADING = (
    "max_wal_size=16GB",
    "maintenance_work_mem=512MB",
    "autovacuum=off",
    "fsync=off",
    "wal_level=minimal",
    "max_wal_senders=0",
)


def fill_days(engine: sa.Engine, options: argparse.Namespace) -> None:
    """Make pieces inside the database, a day at a time, until today; one line has a tenth of them."""
    today = dt.datetime.now(dt.UTC).date()
    busy = options.pieces // 10 // options.days
    usual = options.pieces * 9 // 10 // options.days // (options.lines - 1)
    scores = json.dumps(dict.fromkeys(CLASSES, 0.125))
    with engine.connect() as connection:
        for day in range(options.days):
            date = today - dt.timedelta(days=options.days - 1 - day)
            name, bounds = f"{date:%Y%m%d}", f"FROM ('{date} 00:00+00') TO ('{date + dt.timedelta(days=1)} 00:00+00')"
            values = {"day": day, "date": date, "busy": busy, "usual": usual, "lines": options.lines, "scores": scores}
            statements = [
                f"CREATE TABLE {table}_{name} (LIKE {table} INCLUDING DEFAULTS)" for table in ("pieces", "thumbnails")
            ]
            statements += [FILL.format(part=f"pieces_{name}", classes="{" + ",".join(CLASSES) + "}", **values)]
            statements += [PICTURES.format(name=name, jpeg="ff" * 400)]
            for table in ("pieces", "thumbnails"):
                statements += [f"ALTER TABLE {table} ATTACH PARTITION {table}_{name} FOR VALUES {bounds}"]
            for statement in statements:
                connection.exec_driver_sql(statement)
            connection.commit()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("INSERT INTO lines (name, since) SELECT DISTINCT line, now() FROM pieces")
        connection.exec_driver_sql("VACUUM ANALYZE")
    count_hours(engine, today)


def count_hours(engine: sa.Engine, today: dt.date) -> None:
    """As each line does when it has time; at the end of the day two hours are left to be counted."""
    now = end_of(today) - dt.timedelta(hours=1)
    with engine.connect() as connection:
        names = connection.execute(sa.select(lines.c.name).where(lines.c.counted_until.is_(None))).scalars().all()
    finished = FinishedHours()
    for name in names:
        finished.begin(name, None)
    began, number = time.perf_counter(), sum(finished.count(engine.begin, now))
    print(f"{number:,} hours with pieces counted in {time.perf_counter() - began:.0f} s")


def end_of(day: dt.date) -> dt.datetime:
    """The last minute of a day: nothing of it is over."""
    return dt.datetime.combine(day, dt.time(23, 59), dt.UTC)


class LateClock(SystemClock):
    """It is the end of the last day, whose pieces are all there."""

    def utc(self) -> dt.datetime:
        """That."""
        return end_of(super().utc().date())


def questions(engine: sa.Engine, name: str, chance: random.Random) -> dict[str, Callable[[], Any]]:
    """What a dashboard and its programs ask of a line."""
    config, clock = line_config("plant", name, 1883), LateClock()
    account = LineAccount(config, engine, builtin_taxonomy())
    newest = account.pieces(limit=500)["pieces"]
    old = newest[chance.randrange(len(newest))]["id"]
    today = last_periods(config.shifts, clock.utc(), 1)[0]
    follower = LedgerFollower(
        engine, name, has_ended=lambda _: True, tell_piece=lambda _: None, tell_alarm=lambda _: None
    )
    return {
        "a dashboard is opened": lambda: LineMonitor(account, clock).anew(),
        "what is new (twice a second)": follower.poll,
        "newest 50 pieces": lambda: account.pieces(limit=50),
        "next 50 pieces": lambda: account.pieces(limit=50, before=old),
        "newest 50 of a lane": lambda: account.pieces(limit=50, lane=chance.randrange(5)),
        "newest 50 that were late": lambda: account.pieces(limit=50, statuses=["late"]),
        "newest 50 still under way": lambda: account.pieces(limit=50, statuses=["commanded"]),
        "one piece, with its picture": lambda: account.piece(old),
        "nine days": lambda: account.shifts(9, clock.utc()),
        "purity of the day": lambda: account.purities(today),
        "alarms": lambda: account.events(100),
        "next piece of the audit": lambda: account.next_to_audit("eve"),
    }


class Stopwatch:
    """Milliseconds in the database since it was set, with the slowest statement."""

    def __init__(self, engine: sa.Engine) -> None:
        self.ms, self.slowest = 0.0, (0.0, "", None)
        self._began = 0.0
        sa.event.listen(engine, "before_cursor_execute", self._start)
        sa.event.listen(engine, "after_cursor_execute", self._stop)

    def _start(self, *_: Any) -> None:
        self._began = time.perf_counter()

    def _stop(self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        took = 1000 * (time.perf_counter() - self._began)
        self.ms += took
        self.slowest = max(self.slowest, (took, statement, parameters), key=lambda found: found[0])


def ask(engine: sa.Engine, names: Sequence[str], watch: Stopwatch) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds for each question: in the database, and as a whole."""
    chance, took = random.Random(0), defaultdict(list)  # noqa: S311 - no secret
    for name in names:
        for question, call in questions(engine, name, chance).items():
            watch.ms, began = 0.0, time.perf_counter()
            call()
            took[question].append((watch.ms, 1000 * (time.perf_counter() - began)))
    return took


def explain(engine: sa.Engine, watch: Stopwatch) -> None:
    """Print the plan of the slowest statement."""
    took, statement, parameters = watch.slowest
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", parameters).scalars().all()
    print(f"the slowest statement took {took:.0f} ms: {statement}", *plan[:30], sep="\n")


def read(options: argparse.Namespace) -> None:
    """Fill, ask, and print a table."""
    with ExitStack() as stack:
        url = options.url or stack.enter_context(postgres(*READING, *LOADING))
        engine = open_database(url)
        if not options.url:
            fill_days(engine, options)
        else:
            count_hours(engine, dt.datetime.now(dt.UTC).date())
        with engine.connect() as connection:
            size = "SELECT count(*), pg_size_pretty(pg_database_size(current_database())) FROM pieces"
            print("{:,} pieces, {}".format(*connection.exec_driver_sql(size).one()))
        chance = random.Random(1)  # noqa: S311 - no secret
        usual = [f"line{chance.randrange(1, options.lines):03}" for _ in range(options.asked)]
        groups = {"a line like most": usual, "the busiest": ["line000"] * (options.asked // 3)}
        watch = Stopwatch(engine)
        table = {title: ask(engine, names, watch) for title, names in groups.items()}
        print(
            f"{'ms, p50 and p95, in the database':38}"
            + "".join(f"{title:>21}" for title in groups)
            + "   p95, all of it"
        )
        for question in table["the busiest"]:
            found = [np.percentile(table[title][question], [50, 95], axis=0) for title in groups]
            inside = "".join(f"{p50[0]:12.1f} {p95[0]:8.1f}" for p50, p95 in found)
            print(f"{question:38}{inside}" + "".join(f"{p95[1]:9.1f}" for _, p95 in found))
        for title, took in table.items():
            inside, whole = np.percentile(np.concatenate(list(took.values())), 95, axis=0)
            print(
                f"all questions, {title}: p95 {inside:.0f} ms in the database, {whole:.0f} ms with all that is computed"
            )
        explain(engine, watch)
        engine.dispose()


def main() -> None:
    """Do what was asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    writing = commands.add_parser("write")
    writing.add_argument("--lines", type=int, default=200)
    writing.add_argument("--rate", type=float, default=5)
    writing.add_argument("--seconds", type=float, default=30)
    writing.add_argument("--workers", type=int, default=20, help="processes; lines of one wait for its interpreter")
    writing.set_defaults(call=write)
    reading = commands.add_parser("read")
    reading.add_argument("--pieces", type=int, default=10_000_000)
    reading.add_argument("--lines", type=int, default=200)
    reading.add_argument("--days", type=int, default=25)
    reading.add_argument("--url", help="of a ledger that an earlier run has filled")
    reading.add_argument("--asked", type=int, default=60, help="lines that are asked, each every question")
    reading.set_defaults(call=read)
    options = parser.parse_args()
    options.call(options)


if __name__ == "__main__":
    main()
