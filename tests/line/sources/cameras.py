"""Cameras with the quirks of real ones, on loopback: each connection is answered by a function."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np
from PIL import Image
from tests.patience import PATIENCE_S

__all__ = ["Answer", "jpeg", "serve", "wait_until"]

# Is given the connection and how many came before it; the connection closes when it returns.
Answer = Callable[[socket.socket, int], None]


def jpeg(shade: int) -> bytes:
    """A small picture of one shade."""
    data = io.BytesIO()
    Image.fromarray(np.full((24, 32, 3), shade, dtype=np.uint8)).save(data, "JPEG")
    return data.getvalue()


@contextmanager
def serve(answer: Answer) -> Iterator[int]:
    """A TCP server on a free port, which is given."""
    listener = socket.create_server(("127.0.0.1", 0))
    open_sockets: list[socket.socket] = []

    def handle(connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError):
            answer(connection, number)

    def accept() -> None:
        number = 0
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            open_sockets.append(connection)
            threading.Thread(target=handle, args=(connection, number), daemon=True).start()
            number += 1

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        for connection in open_sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def wait_until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Until it holds; fails when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
