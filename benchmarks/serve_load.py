"""Clients for `benchmarks/serve.py`: closed loads, that wait for answers, and open ones, that do not."""

from __future__ import annotations

import itertools
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Load:
    """What came of some load: milliseconds of the answers with 200, counts of all statuses, answers a second."""

    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    refusal_ms: list[float] = field(default_factory=list)
    rate: float = 0.0

    def at(self, percent: float) -> float:
        """A percentile of the milliseconds."""
        return float(np.percentile(self.milliseconds, percent)) if self.milliseconds else float("nan")

    @property
    def errors(self) -> int:
        """Answers that were not 200."""
        return sum(count for status, count in self.statuses.items() if status != 200)


class Client:
    """One connection that is kept open as long as the server does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sock: socket.socket | None = None

    def ask(self, data: bytes) -> int:
        """Send a request, read the answer, give its status; 0 when the connection broke."""
        try:
            if self._sock is None:
                self._sock = socket.create_connection(("127.0.0.1", self._port), timeout=60)
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock.sendall(data)
            return self._read(self._sock)
        except OSError:
            self.close()
            return 0

    def close(self) -> None:
        """Close the connection."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _read(self, sock: socket.socket) -> int:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = sock.recv(65536)
            if not piece:
                raise ConnectionError
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        head = head.lower()
        found = re.search(rb"content-length: *(\d+)", head)
        missing = int(found[1]) - len(body) if found else 0
        while missing > 0:
            missing -= len(sock.recv(65536))
        if b"connection: close" in head:
            self.close()
        return int(head.split(None, 2)[1])


def closed_load(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> Load:
    """Each client asks again as soon as it has its answer."""
    load, lock, start = Load(), threading.Lock(), time.perf_counter()

    def run(number: int) -> None:
        client = Client(port)
        turns = itertools.count(number * 7)
        while time.perf_counter() - start < seconds:
            begun = time.perf_counter()
            status = client.ask(requests[next(turns) % len(requests)])
            _note(load, lock, status, begun)
        client.close()

    run_threads(run, clients)
    load.rate = load.statuses[200] / (time.perf_counter() - start)
    return load


def open_load(port: int, requests: Sequence[bytes], rate: float, seconds: float, senders: int = 400) -> Load:
    """Requests begin `rate` times a second, whether or not those before were answered."""
    load, lock, start, turns = Load(), threading.Lock(), time.perf_counter(), itertools.count()

    def run(_number: int) -> None:
        client = Client(port)
        while (due := start + (turn := next(turns)) / rate) < start + seconds:
            time.sleep(max(0.0, due - time.perf_counter()))
            _note(load, lock, client.ask(requests[turn % len(requests)]), due)
        client.close()

    run_threads(run, senders)
    load.rate = load.statuses[200] / (time.perf_counter() - start)
    return load


def _note(load: Load, lock: threading.Lock, status: int, begun: float) -> None:
    milliseconds = 1000 * (time.perf_counter() - begun)
    with lock:
        load.statuses[status] += 1
        (load.milliseconds if status == 200 else load.refusal_ms).append(milliseconds)


def run_threads(run: Callable[[int], None], count: int) -> None:
    """Call `run` with each number below `count` on a thread of its own, and wait for all."""
    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def form(photo: bytes, path: str = "/predict") -> bytes:
    """An upload as `curl -F file=@photo.jpg` sends it."""
    head = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return request(head + photo + b"\r\n--B--\r\n", "multipart/form-data; boundary=B", path)


def request(body: bytes, kind: str, path: str = "/predict") -> bytes:
    """A POST, whole."""
    fields = (f"POST {path} HTTP/1.1", "Host: bench", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "", "")
    return "\r\n".join(fields).encode() + body
