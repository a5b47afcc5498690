"""Reading and writing sockets within time limits, without ever holding more than was asked for."""

from __future__ import annotations

import select
import socket
import ssl
import time

__all__ = ["ChunkedReader", "SocketReader", "SocketTimeout", "SocketWriter", "wait_readable"]

_RECEIVE = 1 << 16
_MAX_LINE = 1 << 16
_WRITE_TIMEOUT_S = 30.0
_SEND = 1 << 16


class SocketTimeout:
    """A socket's timeout, changed only when it matters: each change is a system call.

    Args:
        sock: the socket.
        silence_s: the longest that the other side may do nothing at all.
    """

    def __init__(self, sock: socket.socket, silence_s: float) -> None:
        self._sock, self._silence_s = sock, silence_s
        self._current_s = 0.0

    def limit(self, left_s: float) -> None:
        """Let the next operation take `left_s` seconds, and no longer than the other side may be silent."""
        wanted_s = min(left_s, self._silence_s)
        if not wanted_s <= self._current_s <= 1.1 * wanted_s:
            self._sock.settimeout(wanted_s)
            self._current_s = wanted_s


class SocketReader:
    """Reads a socket up to a deadline that its owner sets anew for each phase of a request."""

    def __init__(self, sock: socket.socket, timeout: SocketTimeout) -> None:
        self._sock, self._timeout = sock, timeout
        self._buffer = bytearray()
        self.deadline = 0.0
        self.bytes_read = 0
        self.closed = False

    def has_data(self) -> bool:
        """Whether something was received and not read yet."""
        return bool(self._buffer) or (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0)

    def readline(self, size: int = _MAX_LINE) -> bytes:
        """Up to and with the next line feed, but at most `size` bytes."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched, size)) < 0 and len(self._buffer) < size:
            searched = len(self._buffer)
            if not self._receive():
                break
        return self._take(min(size, len(self._buffer)) if end < 0 else end + 1)

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer only when the client closed the connection."""
        parts = [self._take(min(size, len(self._buffer)))]
        missing = size - len(parts[0])
        while missing > 0:
            self._limit_time()
            data = self._sock.recv(min(missing, 1 << 20))
            if not data:
                break
            self.bytes_read += len(data)
            missing -= len(data)
            parts.append(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_some(self, size: int) -> bytes:
        """What is there, at least one byte and at most `size`; none only when the client closed the connection."""
        return self._take(min(size, len(self._buffer))) if self._buffer or self._receive() else b""

    def close(self) -> None:
        """Forget what was received."""
        self.closed = True
        self._buffer.clear()

    def _receive(self) -> bool:
        self._limit_time()
        data = self._sock.recv(_RECEIVE)
        self._buffer += data
        self.bytes_read += len(data)
        return bool(data)

    def _limit_time(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._timeout.limit(left)

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


class SocketWriter:
    """Collects an answer and sends it in one piece; sending has a time limit as a whole."""

    def __init__(self, sock: socket.socket, timeout: SocketTimeout) -> None:
        self._sock, self._timeout = sock, timeout
        self._buffer = bytearray()
        self.bytes_written = 0

    def write(self, data: bytes) -> None:
        """Keep it until `flush`, or until it is much."""
        self._buffer += data
        if len(self._buffer) > _SEND:
            self.flush()

    def flush(self) -> None:
        """Send all of it."""
        data, self._buffer = self._buffer, bytearray()
        if data:
            self._timeout.limit(_WRITE_TIMEOUT_S)
            self._sock.sendall(data)
            self.bytes_written += len(data)


class ChunkedReader:
    """A body in chunks, read as it is asked for, so that no chunk is held before it was granted memory.

    References:
        RFC 9112, section 7.1.
    """

    def __init__(self, source: SocketReader) -> None:
        self._source = source
        self._left = 0
        self.finished = False

    def read(self, size: int = _RECEIVE) -> bytes:
        """Up to `size` bytes; none at the end."""
        if self._left == 0 and not self.finished:
            self._next_chunk()
        if self.finished:
            return b""
        data = self._source.read_some(min(size, self._left))
        if not data:
            raise ConnectionError("the client went away")
        self._left -= len(data)
        if self._left == 0 and self._source.readline(4) != b"\r\n":
            raise ValueError("a chunk is longer than it says")
        return data

    def _next_chunk(self) -> None:
        digits = self._source.readline(256).split(b";", 1)[0].strip()
        if not 1 <= len(digits) <= 8 or digits.strip(b"0123456789abcdefABCDEF"):
            raise ValueError("a chunk has no length")
        self._left = int(digits, 16)
        if self._left == 0:
            while self._source.readline(_MAX_LINE) not in {b"\r\n", b"\n", b""}:
                pass
            self.finished = True


def wait_readable(sock: socket.socket, seconds: float) -> bool:
    """Whether there is something to read within `seconds`."""
    if not hasattr(select, "poll"):  # Windows, where `select` knows sockets of any number
        return bool(select.select([sock], [], [], seconds)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(1000 * seconds))
