"""A connection to an MQTT 5 broker that comes back by itself."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from binsight.line.ports import Clock

__all__ = ["OWN_NAMES", "MqttLink", "broker_address", "new_client"]

_log = logging.getLogger(__name__)

OWN_NAMES = "lines that share a broker need a [line] site or name of their own, or a [sorter] prefix"

_STUCK_S = 1.0  # a broker that confirms nothing for so long does not keep up
_KEEPALIVE_S = 5
_CONNECT_TIMEOUT_S = 3.0
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)  # between tries to connect, the last for ever
_TAKEN_OVER = 142  # MQTT 5: another client of the same name has connected; not all brokers say so
_BRIEF_S, _BRIEFLY = 10.0, 3  # a connection that is cut so soon, so many times in a row, tells the same
_TAKEN_OVER_S = 30.0  # until the next try then: two lines of one name must not chase each other from the broker
_TICK_S = 0.5  # between two looks whether the connection lives
_OUTBOX = 256  # messages handed over that the broker has not confirmed


class MqttLink:
    """Keeps a connection, from a thread of its own.

    For every connection there is a new client: one that lived through a broken connection would send again what waited
    in it, and an old command must never leave. Its name stays the same, so that the broker knows it again.

    Args:
        url: `mqtt://HOST[:PORT]`, or `mqtts://` for TLS.
        will: topic and message that the broker publishes, retained, when the connection breaks; and that is published
            by `close`.
        topics: to subscribe to.
        on_message: takes what comes on them.
        on_link: told when the link is up, with all topics subscribed, and when it is down.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        clock: Clock,
        will: tuple[str, bytes],
        topics: Sequence[str] = (),
        on_message: Callable[[MQTTMessage], None] = lambda _: None,
        on_link: Callable[[bool], None] = lambda _: None,
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        self._url, self._name, self._clock, self._will = url, name, clock, will
        self._topics, self._on_message, self._on_link = topics, on_message, on_link
        self._username, self._password = username, password
        self._retained: dict[str, bytes] = {}
        self._client: Client | None = None  # while it is connected
        self._unconfirmed: deque[tuple[MQTTMessageInfo, float]] = deque()
        self._counting = threading.Lock()  # engine and ledger publish, each on its thread
        self._down = threading.Event()
        self._bell: socket.socket | None = None  # wakes the thread
        self._briefly = 0  # how many times in a row
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_connected, name="mqtt", daemon=True)

    def start(self) -> None:
        """Connect, and keep connecting."""
        self._thread.start()

    def publish(
        self, topic: str, message: bytes, *, retain: bool = False, properties: Properties | None = None
    ) -> MQTTMessageInfo | None:
        """Hand a message over to the broker; what is retained is said again after every connect.

        Returns:
            Tells when the broker has confirmed it; None when there is no link or the broker does not keep up.
        """
        if retain:
            self._retained[topic] = message
        client, now = self._client, self._clock.now()
        with self._counting:
            while self._unconfirmed and self._unconfirmed[0][0].is_published():
                self._unconfirmed.popleft()
            stuck = self._unconfirmed and now - self._unconfirmed[0][1] > _STUCK_S
        if client is None or stuck or len(self._unconfirmed) >= _OUTBOX:
            return None
        # No lock of ours is held here: the library calls us back with its own locks held.
        sent = client.publish(topic, message, qos=1, retain=retain, properties=properties)
        if sent.rc:
            return None
        self._unconfirmed.append((sent, now))
        if client.want_write():  # else it has left, on the caller's thread
            self._ring()
        return sent

    def close(self, *, wait_s: float = 1.0) -> None:
        """Publish the will, and stop."""
        self.publish(*self._will, retain=True)
        for sent, _ in list(self._unconfirmed):
            with contextlib.suppress(RuntimeError, ValueError):
                sent.wait_for_publish(wait_s)
        self._closing.set()
        self._down.set()
        self._ring()
        if self._thread.is_alive():
            self._thread.join(timeout=wait_s + _CONNECT_TIMEOUT_S)

    def _ring(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # it rings already, or the thread has ended
            self._bell.send(b"!")  # type: ignore[union-attr]

    def _keep_connected(self) -> None:
        heard, self._bell = socket.socketpair()
        with heard, self._bell:
            heard.setblocking(False)
            self._bell.setblocking(False)
            self._connect_again(heard)

    def _connect_again(self, bell: socket.socket) -> None:
        failures = 0
        while not self._closing.is_set():
            self._down.clear()
            if self._closing.is_set():
                return  # it was set between the two lines above
            client = self._new_client()
            try:
                client.connect(*broker_address(self._url), keepalive=_KEEPALIVE_S)
                failures = 0 if self._serve(client, bell) else failures + 1
            except (OSError, ValueError) as error:
                failures += 1
                if failures == 1:
                    _log.warning("mqtt: no connection to %s (%s); trying again", self._url, error)
            finally:
                self._hang_up(client)
            pause_s = _PAUSES_S[min(failures, len(_PAUSES_S)) - 1] if failures else 0.05
            self._closing.wait(_TAKEN_OVER_S if self._is_chased() else pause_s)

    def _serve(self, client: Client, bell: socket.socket) -> bool:
        """Move bytes until the connection is down; whether it ever was up."""
        began_s, up_s = time.monotonic(), None
        while not self._down.is_set() and _move_bytes(client, bell):
            if up_s is None:
                up_s = None if self._client is None else time.monotonic()
                if up_s is None and time.monotonic() - began_s > _CONNECT_TIMEOUT_S:
                    return False
        is_brief = up_s is not None and time.monotonic() - up_s < _BRIEF_S
        if self._briefly < _BRIEFLY:  # else the broker has said so
            self._briefly = self._briefly + 1 if is_brief else 0
        return up_s is not None

    def _is_chased(self) -> bool:
        if self._briefly < _BRIEFLY or self._closing.is_set():
            return False
        self._briefly = 0
        _log.error("mqtt: another client called %s seems to connect to %s; %s", self._name, self._url, OWN_NAMES)
        return True

    def _hang_up(self, client: Client) -> None:
        was_up, self._client = self._client is not None, None
        client.disconnect()
        with self._counting:
            self._unconfirmed.clear()
        if was_up:
            self._on_link(False)

    def _new_client(self) -> Client:
        client = new_client(self._url, self._name, self._username, self._password, reconnects=False)
        client.will_set(*self._will, qos=1, retain=True)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_message = lambda _client, _data, message: self._on_message(message)
        return client

    def _connected(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("mqtt: %s refuses the connection: %s", self._url, reason)
            self._down.set()
        elif self._topics:
            # What we say ourselves does not come back, nor what was meant for an earlier moment.
            options = SubscribeOptions(qos=1, noLocal=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            client.subscribe([(topic, options) for topic in self._topics])
        else:
            self._subscribed(client)

    def _disconnected(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.value == _TAKEN_OVER:
            self._briefly = _BRIEFLY
        self._down.set()

    def _subscribed(self, client: Client, *_: Any) -> None:
        """The link is up from here on: an answer to a command cannot be missed any more."""
        self._client = client
        for topic, message in list(self._retained.items()):
            self.publish(topic, message, retain=True)
        self._on_link(True)


class _Client(Client):
    """Is written to by whoever publishes, without a change of threads, and by the thread that listens."""

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self._writing = threading.Lock()

    def loop_write(self) -> MQTTErrorCode:
        """One at a time: half a message must not be cut by another one."""
        with self._writing:
            return super().loop_write()


def _move_bytes(client: Client, bell: socket.socket) -> bool:
    """Wait a moment for bytes, or the bell, and let the client have them; False where it has no connection."""
    connection = client.socket()
    if connection is None:
        return False
    waits = bool(getattr(connection, "pending", int)())  # of TLS, read from the socket already
    try:
        readable, writable, _ = select.select(
            [connection, bell], [connection] * client.want_write(), [], 0.0 if waits else _TICK_S
        )
    except (OSError, ValueError):  # closed by another thread
        readable, writable = [], []
    if bell in readable:
        bell.recv(4096)
    if connection in readable or waits:
        client.loop_read()
    if connection in writable:
        client.loop_write()
    client.loop_misc()
    return True


def broker_address(url: str) -> tuple[str, int]:
    """Host and port of a broker."""
    address = urlsplit(url)
    return address.hostname or "127.0.0.1", address.port or (8883 if address.scheme == "mqtts" else 1883)


def new_client(url: str, name: str, username: str | None, password: str | None, *, reconnects: bool) -> Client:
    """A client for a broker that is not connected yet.

    Args:
        url: of the broker.
        name: by which the broker knows it again; empty: it is given one.
        username: None: it comes without a name.
        password: where there is a name.
        reconnects: by itself, and as the same object.
    """
    client = _Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5, reconnect_on_failure=reconnects)
    client.connect_timeout = _CONNECT_TIMEOUT_S
    if username is not None:
        client.username_pw_set(username, password)
    if url.startswith("mqtts://"):
        client.tls_set_context(ssl.create_default_context())
    client.on_socket_open = _without_delay
    return client


def _without_delay(_client: Client, _data: Any, connection: Any) -> None:
    # Otherwise a command waits up to 40 ms for the acknowledgement of the packet before it.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
