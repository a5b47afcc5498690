"""Clients that trickle, for `benchmarks/serve.py`: how good ones fare beside them, and whether probes are answered."""

from __future__ import annotations

import itertools
import multiprocessing
import resource
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from serve_load import Load, closed_load

PROBES = ("/health/live", "/health/ready", "/metrics")
_PROBE_EVERY_S = 0.1
_GIVEN_UP_S = 10.0


@dataclass
class SlowRun:
    """What good clients got without and with slow ones beside them, and the probes' milliseconds meanwhile.

    A probe that was not answered counts as 10 seconds.
    """

    before: Load
    during: Load
    probes_ms: list[float] = field(default_factory=list)
    held: int = 0
    cpu_ms: tuple[float, float] = (0.0, 0.0)  # of the server for an answer, before and during

    @property
    def kept(self) -> float:
        """The part of their throughput that good clients keep."""
        return self.during.rate / self.before.rate

    def probe(self, percent: int) -> float:
        """A percentile of all probes' milliseconds; 100 is the slowest."""
        return float(np.percentile(self.probes_ms, percent))


class SlowClients:
    """Connections of which each sends a byte every few seconds: of its headers, or of the body that they announce.

    Connections that the server closes are opened anew.

    Args:
        port: of the server, on this machine.
        count: connections; odd ones trickle headers, even ones bodies.
        every_s: between two bytes of a connection.
        announced: the body's length, in bytes.
    """

    def __init__(self, port: int, *, count: int, every_s: float = 4.0, announced: int = 1_000_000) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * count)), hard))
        self._port, self._count, self._every_s = port, count, every_s
        self._head = (
            f"POST /predict HTTP/1.1\r\nHost: slow\r\nContent-Type: image/jpeg\r\nContent-Length: {announced}\r\n\r\n"
        ).encode()
        self._socks: list[socket.socket | None] = [None] * count
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._trickle)

    def __enter__(self) -> Self:
        for number in range(self._count):
            self._open(number)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for sock in filter(None, self._socks):
            sock.close()

    @property
    def open(self) -> int:
        """Connections that are open."""
        return sum(sock is not None for sock in self._socks)

    def _open(self, number: int) -> None:
        self._socks[number] = None
        with suppress(OSError):
            sock = socket.create_connection(("127.0.0.1", self._port), timeout=5)
            sock.setblocking(False)
            sock.sendall(self._head[:40] if number % 2 else self._head)
            self._socks[number] = sock

    def _trickle(self) -> None:
        for number in itertools.cycle(range(self._count)):
            if self._stop.wait(self._every_s / self._count):
                return
            sock = self._socks[number]
            if sock is None or not _send_byte(sock):
                if sock is not None:
                    sock.close()
                self._open(number)


def _send_byte(sock: socket.socket) -> bool:
    """Whether the connection still takes one; what the server says is an end, too."""
    try:
        sock.send(b"x")
        sock.recv(1)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def measure_slow(
    port: int, requests: Sequence[bytes], *, count: int, clients: int, seconds: float, cpu_s: Callable[[], float]
) -> SlowRun:
    """Good clients for a time, then for the same time beside `count` slow ones, with probes from another process.

    Args:
        port: of the server, on this machine.
        requests: what good clients send.
        count: slow clients.
        clients: good ones.
        seconds: of each of the two times.
        cpu_s: the processor time that the server has used so far.
    """
    run = SlowRun(Load(), Load())
    with multiprocessing.get_context("spawn").Pool(1) as prober:
        start = cpu_s()
        run.before = closed_load(port, requests, clients, seconds)
        alone_s = cpu_s() - start
        with SlowClients(port, count=count) as slow:
            probes = prober.apply_async(_probe, (port, seconds))
            start = cpu_s()
            run.during = closed_load(port, requests, clients, seconds)
            beside_s = cpu_s() - start
            run.held, run.probes_ms = slow.open, probes.get()
    run.cpu_ms = (1000 * alone_s / max(1, run.before.statuses[200]), 1000 * beside_s / max(1, run.during.statuses[200]))
    return run


def _probe(port: int, seconds: float) -> list[float]:
    """Milliseconds of each probe, one after another, all kinds in turn."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    for path in itertools.cycle(PROBES):
        time.sleep(_PROBE_EVERY_S)
        if time.perf_counter() > end:
            return times
        begun = time.perf_counter()
        answered = _ask(port, path)
        times.append(1000 * (time.perf_counter() - begun if answered else _GIVEN_UP_S))
    raise AssertionError


def _ask(port: int, path: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_GIVEN_UP_S) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n".encode())
            return sock.recv(15).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
