"""A sorter behind an MQTT 5 broker. Topics and payloads: docs/line.md."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from binsight.line.config import LineConfig
from binsight.line.messages import command_message
from binsight.line.ports import Clock, SorterEvents
from binsight.line.records import ACK_RESULTS, CONFIRM_RESULTS, ENCODER_RANGE, Ack, Command, Confirm, EncoderReading
from binsight.line.sorters.home_assistant import discovery_message
from binsight.line.sorters.time_offset import TimeOffset
from binsight.text_files import read_text

__all__ = ["MqttSorter", "broker_address", "new_client", "read_password"]

_log = logging.getLogger(__name__)

_EXPIRY_S = 1  # the broker forgets a command that nobody took for so long
_KEEPALIVE_S = 5
_CONNECT_TIMEOUT_S = 3.0
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)  # between tries to connect, the last for ever
_OUTBOX = 256  # messages handed over that the broker has not confirmed
_HOME_ASSISTANT_STATUS = "homeassistant/status"


class MqttSorter:
    """Commands go to `cmd/sort` and are answered on `ack/{client}`; see `ports.Sorter`.

    For every connection there is a new client: one that lived through a broken connection would send again what waited
    in it, and an old command must never leave. Its name stays the same, so that the broker knows it again.

    Args:
        config: of the line, with a sorter of kind `mqtt`.
        clock: the line's.

    Raises:
        InputError: the password file cannot be read.
    """

    def __init__(self, config: LineConfig, *, clock: Clock) -> None:
        self._config, self._clock = config, clock
        self._prefix = config.prefix
        self._name = f"binsight-{config.line.site}-{config.line.name}"
        self._ack_topic = f"{self._prefix}/ack/{self._name}"
        self._password = read_password(config)
        self._retained: dict[str, bytes] = {}
        self._client: Client | None = None  # while it is connected
        self._unconfirmed: deque[tuple[MQTTMessageInfo, float]] = deque()
        self._down = threading.Event()
        self._closing = threading.Event()
        self._events: SorterEvents | None = None
        self._offset = TimeOffset()
        self.dropped = 0
        self.malformed = 0
        self._thread = threading.Thread(target=self._keep_connected, name="mqtt", daemon=True)

    @property
    def confirms(self) -> bool:
        """Whether the equipment reports what became of a command."""
        return self._config.sorter.confirms

    def start(self, events: SorterEvents) -> None:
        """Connect, and keep connecting."""
        self._events = events
        self._thread.start()

    def send(self, command: Command) -> bool:
        """Publish a command; False when there is no link or the broker does not keep up."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic = self._ack_topic
        properties.CorrelationData = str(command.seq).encode()
        properties.MessageExpiryInterval = _EXPIRY_S
        message = _encode(command_message(command, self._clock.now()))
        return self._publish(f"{self._prefix}/cmd/sort", message, properties=properties)

    def publish(self, topic: str, payload: dict[str, object], *, retain: bool = False) -> None:
        """Tell whoever listens; what is retained is said again after every connect."""
        message = _encode(payload)
        if retain:
            self._retained[topic] = message
        self._publish(f"{self._prefix}/{topic}", message, retain=retain)

    def close(self, *, wait_s: float = 1.0) -> None:
        """Say that the line is offline, and stop."""
        self._publish(f"{self._prefix}/state", _encode({"online": False}), retain=True)
        self._wait_until_confirmed(wait_s)
        self._closing.set()
        self._down.set()
        if self._thread.is_alive():
            self._thread.join(timeout=wait_s + _CONNECT_TIMEOUT_S)

    def _publish(
        self, topic: str, message: bytes, *, retain: bool = False, properties: Properties | None = None
    ) -> bool:
        client, now = self._client, self._clock.now()
        while self._unconfirmed and self._unconfirmed[0][0].is_published():
            self._unconfirmed.popleft()
        stuck = self._unconfirmed and now - self._unconfirmed[0][1] > _EXPIRY_S
        if client is None or stuck or len(self._unconfirmed) >= _OUTBOX:
            self.dropped += 1
            return False
        # No lock of ours is held here: the library calls us back with its own locks held.
        sent = client.publish(topic, message, qos=1, retain=retain, properties=properties)
        if sent.rc:
            self.dropped += 1
            return False
        self._unconfirmed.append((sent, now))
        return True

    def _wait_until_confirmed(self, wait_s: float) -> None:
        for sent, _ in list(self._unconfirmed):
            with contextlib.suppress(RuntimeError, ValueError):
                sent.wait_for_publish(wait_s)

    def _keep_connected(self) -> None:
        failures = 0
        while not self._closing.is_set():
            self._down.clear()
            if self._closing.is_set():
                return  # it was set between the two lines above
            client = self._new_client()
            try:
                client.connect(*broker_address(self._config), keepalive=_KEEPALIVE_S)
                client.loop_start()
                failures = failures + 1 if not self._serve() else 0
            except (OSError, ValueError) as error:
                failures += 1
                if failures == 1:
                    _log.warning("mqtt: no connection to %s (%s); trying again", self._config.sorter.url, error)
            finally:
                self._hang_up(client)
            self._closing.wait(_PAUSES_S[min(failures, len(_PAUSES_S)) - 1] if failures else 0.05)

    def _serve(self) -> bool:
        """Wait until the connection is down; whether it ever was up."""
        if not self._down.wait(_CONNECT_TIMEOUT_S) and self._client is None:
            return False
        was_up = self._client is not None
        self._down.wait()
        return was_up

    def _hang_up(self, client: Client) -> None:
        was_up, self._client = self._client is not None, None
        client.disconnect()
        client.loop_stop()
        self._unconfirmed.clear()
        if was_up and self._events is not None:
            self._events.on_link(up=False)

    def _new_client(self) -> Client:
        client = new_client(self._config, self._name, self._password, reconnects=False)
        client.will_set(f"{self._prefix}/state", _encode({"online": False}), qos=1, retain=True)
        client.on_connect = self._connected
        client.on_disconnect = lambda *_: self._down.set()
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        return client

    def _connected(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("mqtt: %s refuses the connection: %s", self._config.sorter.url, reason)
            self._down.set()
            return
        topics = [self._ack_topic, *(f"{self._prefix}/{word}" for word in ("confirm", "encoder", "trigger", "control"))]
        topics += [_HOME_ASSISTANT_STATUS] if self._config.sorter.home_assistant else []
        client.subscribe([(topic, 1) for topic in topics])

    def _subscribed(self, client: Client, *_: Any) -> None:
        """The link is up from here on: an answer to a command cannot be missed any more."""
        self._client = client
        for topic, message in list(self._retained.items()):
            self._publish(f"{self._prefix}/{topic}", message, retain=True)
        self._announce()
        if self._events is not None:
            self._events.on_link(up=True)

    def _announce(self) -> None:
        if self._config.sorter.home_assistant:
            topic = f"homeassistant/device/binsight_{self._config.line.name}/config"
            self._publish(topic, _encode(discovery_message(self._config)), retain=True)

    def _received(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        if message.topic == _HOME_ASSISTANT_STATUS:
            if message.payload == b"online":
                self._announce()
            return
        if message.retain or self._events is None:
            return  # what was meant for an earlier moment is never obeyed
        word = message.topic.removeprefix(f"{self._prefix}/").partition("/")[0]
        take: Callable[[dict[str, Any], float], None] = getattr(self, f"_take_{word}")
        try:
            values = json.loads(message.payload)
            take(values if isinstance(values, dict) else {}, self._clock.now())
        except (ValueError, KeyError, TypeError):
            self.malformed += 1
            _log.warning("mqtt: cannot make sense of %s: %.200r", message.topic, message.payload)

    def _take_ack(self, values: dict[str, Any], now: float) -> None:
        encoder = None if values.get("encoder") is None else _whole(values["encoder"], ENCODER_RANGE)
        self._heard().on_ack(Ack(_whole(values["seq"]), _one_of(ACK_RESULTS, values["result"]), now, encoder))

    def _take_confirm(self, values: dict[str, Any], now: float) -> None:
        self._heard().on_confirm(Confirm(_whole(values["seq"]), _one_of(CONFIRM_RESULTS, values["result"]), now))

    def _take_encoder(self, values: dict[str, Any], now: float) -> None:
        at_s = self._offset.to_ours(float(values["t_ms"]), now) if "t_ms" in values else now
        self._heard().on_encoder(EncoderReading(_whole(values["counts"], ENCODER_RANGE), at_s))

    def _take_trigger(self, values: dict[str, Any], now: float) -> None:
        counts = values.get("encoder")
        self._heard().on_trigger(None if counts is None else EncoderReading(_whole(counts, ENCODER_RANGE), now))

    def _take_control(self, values: dict[str, Any], _now: float) -> None:
        self._heard().on_control(_whole(values["CntrlCmd"]))

    def _heard(self) -> SorterEvents:
        assert self._events is not None  # noqa: S101 - nothing is subscribed before `start`
        return self._events


def broker_address(config: LineConfig) -> tuple[str, int]:
    """Host and port of the line's broker."""
    address = urlsplit(config.sorter.url)
    return address.hostname or "127.0.0.1", address.port or (8883 if address.scheme == "mqtts" else 1883)


def new_client(config: LineConfig, name: str, password: str | None, *, reconnects: bool) -> Client:
    """A client for the line's broker that is not connected yet.

    Args:
        config: of the line.
        name: by which the broker knows it again; empty: it is given one.
        password: where the configuration has a name.
        reconnects: by itself, and as the same object.
    """
    client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5, reconnect_on_failure=reconnects)
    client.connect_timeout = _CONNECT_TIMEOUT_S
    if config.sorter.username is not None:
        client.username_pw_set(config.sorter.username, password)
    if config.sorter.url.startswith("mqtts://"):
        client.tls_set_context(ssl.create_default_context())
    client.on_socket_open = _without_delay
    return client


def _without_delay(_client: Client, _data: Any, connection: Any) -> None:
    # Otherwise a command waits up to 40 ms for the acknowledgement of the packet before it.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _encode(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _whole(value: Any, limit: int = 2**63) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < limit:
        raise ValueError(value)
    return value


def _one_of(words: tuple[Any, ...], value: Any) -> Any:
    if value not in words:
        raise ValueError(value)
    return value


def read_password(config: LineConfig) -> str | None:
    """What the password file holds; None where there is none.

    Raises:
        InputError: it cannot be read.
    """
    path = config.sorter.password_file
    return None if path is None else read_text(path).rstrip("\r\n")
