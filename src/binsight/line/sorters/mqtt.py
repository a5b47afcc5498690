"""A sorter behind an MQTT 5 broker. Topics and payloads: docs/line.md."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import MQTTMessage, MQTTMessageInfo
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from binsight.line.config import LineConfig
from binsight.line.messages import command_message
from binsight.line.mqtt_link import OWN_NAMES, MqttLink
from binsight.line.ports import Clock, SorterEvents
from binsight.line.records import ACK_RESULTS, CONFIRM_RESULTS, ENCODER_RANGE, Ack, Command, Confirm, EncoderReading
from binsight.line.sorters.base import BaseSorter
from binsight.line.sorters.home_assistant import device_id, discovery_message
from binsight.line.sorters.time_offset import TimeOffset
from binsight.text_files import read_text

__all__ = ["MqttSorter", "read_password"]

_log = logging.getLogger(__name__)

_EXPIRY_S = 1  # the broker forgets a command that nobody took for so long
_HOME_ASSISTANT_STATUS = "homeassistant/status"


class MqttSorter(BaseSorter):
    """Commands go to `cmd/sort` and are answered on `ack/{client}`; see `ports.Sorter`.

    Raises:
        InputError: the password file cannot be read.
    """

    def __init__(self, config: LineConfig, *, clock: Clock) -> None:
        super().__init__(config, clock=clock)
        self._prefix = config.prefix
        self._ack_topic = f"{self._prefix}/ack/{config.client}"
        heard = ("confirm", "encoder", "trigger", "control", "state")
        topics = [self._ack_topic, *(f"{self._prefix}/{word}" for word in heard)]
        self._heard_another = False
        self._link = MqttLink(
            config.sorter.url,
            name=config.client,
            clock=clock,
            will=(f"{self._prefix}/state", _encode({"online": False})),
            topics=topics + [_HOME_ASSISTANT_STATUS] * config.sorter.home_assistant,
            on_message=self._received,
            on_link=self._link_changed,
            username=config.sorter.username,
            password=read_password(config),
        )
        self._offset = TimeOffset()

    def start(self, events: SorterEvents) -> None:
        """Connect, and keep connecting."""
        self._events = events
        self._link.start()

    def send(self, command: Command) -> bool:
        """Publish a command; False when there is no link or the broker does not keep up."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic = self._ack_topic
        properties.CorrelationData = str(command.seq).encode()
        properties.MessageExpiryInterval = _EXPIRY_S
        message = _encode(command_message(command, self._clock.now()))
        return self._counted(self._link.publish(f"{self._prefix}/cmd/sort", message, properties=properties))

    def publish(self, topic: str, payload: dict[str, object], *, retain: bool = False) -> None:
        """Tell whoever listens; what is retained is said again after every connect."""
        self._counted(self._link.publish(f"{self._prefix}/{topic}", _encode(payload), retain=retain))

    def _counted(self, sent: MQTTMessageInfo | None) -> bool:
        self.dropped += sent is None
        return sent is not None

    def close(self, *, wait_s: float = 1.0) -> None:
        """Say that the line is offline, and stop."""
        self._link.close(wait_s=wait_s)

    def _link_changed(self, up: bool) -> None:
        self._heard_another = False
        if up:
            self._announce()
        self._set_link(up=up)

    def _announce(self) -> None:
        if self._config.sorter.home_assistant:
            topic = f"homeassistant/device/{device_id(self._config)}/config"
            self._link.publish(topic, _encode(discovery_message(self._config)), retain=True)

    def _received(self, message: MQTTMessage) -> None:
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

    def _take_state(self, values: dict[str, Any], _now: float) -> None:
        # Our own does not come back to us.
        if values.get("online") and not self._heard_another:
            self._heard_another = True
            _log.error("mqtt: another line speaks under %s; %s", self._prefix, OWN_NAMES)

    def _heard(self) -> SorterEvents:
        assert self._events is not None  # noqa: S101 - nothing is subscribed before `start`
        return self._events


_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _encode(payload: dict[str, Any]) -> bytes:
    return _JSON.encode(payload).encode()


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
