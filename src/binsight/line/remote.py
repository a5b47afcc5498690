"""A line that runs in another program, heard over its broker: whether it lives, how it is, and its alarms at once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any

from paho.mqtt.client import Client, MQTTMessage
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from binsight.line.config import LineConfig
from binsight.line.mqtt_link import broker_address, new_client
from binsight.line.ports import Clock
from binsight.line.sorters.mqtt import read_password
from binsight.line.sorters.register_map import FAULT_BITS

__all__ = ["RemoteLine"]

_log = logging.getLogger("binsight.line")
_KEEPALIVE_S = 10
_PAUSES_S = 1, 30  # between tries to connect: at first, at most
_SILENT_S = 5.0  # without a word for so long, and for three heartbeats, a line is not there


class _Message(BaseModel):
    """Messages of a broker to which others may write, too."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _State(_Message):
    online: bool
    state: Annotated[int, Field(ge=1, le=17)] | None = None
    mode: Annotated[int, Field(ge=1, le=3)] | None = None
    camera: Annotated[str, Field(max_length=32)] = ""
    frame_age_ms: int | None = None
    ack_rtt_ms: float | None = None
    model: Annotated[str, Field(max_length=200)] = ""


class _Fault(_Message):
    # Those that a line raises, and no others: who else writes to the broker must not make their number grow.
    code: Annotated[str, Field(pattern=rf"^({'|'.join(FAULT_BITS)}|purity_lane_\d{{1,3}})$")]
    active: bool


class RemoteLine:
    """Listens to `state` and `fault`, and keeps coming back when the broker is gone. Sends nothing.

    Args:
        config: of the line, with a sorter of kind `mqtt`.
        clock: steady.
        tell_fault: told of every `fault`: its code, and whether it is on; on a thread of its own.

    Raises:
        InputError: the password file cannot be read.
    """

    def __init__(self, config: LineConfig, clock: Clock, *, tell_fault: Callable[[str, bool], None]) -> None:
        self._config, self._clock, self._tell_fault = config, clock, tell_fault
        self._silent_s = max(_SILENT_S, 3 * config.sorter.heartbeat_s)
        self._is_connected = False
        self._last: _State | None = None
        self._heard_s = 0.0
        # A name of its own for every one who listens is given by the broker.
        self._client = new_client(config.sorter.url, "", config.sorter.username, read_password(config), reconnects=True)
        self._client.reconnect_delay_set(*_PAUSES_S)
        self._client.on_connect = self._connected
        self._client.on_disconnect = lambda *_: self._set_connected(up=False)
        self._client.on_message = self._received

    def start(self) -> None:
        """Connect, and keep connecting."""
        self._client.connect_async(*broker_address(self._config.sorter.url), keepalive=_KEEPALIVE_S)
        self._client.loop_start()

    def close(self) -> None:
        """Stop."""
        self._client.disconnect()
        self._client.loop_stop()

    def presence(self) -> dict[str, Any]:
        """`broker`: whether it is there; `online`: whether the line is, None: not heard yet; `silent_s`: since when."""
        last, silent_s = self._last, self._clock.now() - self._heard_s
        if last is None:
            return {"broker": self._is_connected, "online": None, "silent_s": None}
        is_whole = last.state is not None and last.mode is not None
        is_online = last.online and is_whole and silent_s <= self._silent_s
        return {"broker": self._is_connected, "online": is_online, "silent_s": round(silent_s, 1)}

    def state(self) -> dict[str, Any] | None:
        """The last `state` message of a line that is there; else None."""
        last = self._last
        return last.model_dump() if last is not None and self.presence()["online"] else None

    def _connected(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("%s: the broker refuses to be listened to: %s", self._config.line.name, reason)
            return
        self._set_connected(up=True)
        client.subscribe([(f"{self._config.prefix}/{word}", 1) for word in ("state", "fault")])

    def _set_connected(self, *, up: bool) -> None:
        self._is_connected = up

    def _received(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        try:
            if message.topic.endswith("/state"):
                self._last, self._heard_s = _State.model_validate_json(message.payload), self._clock.now()
            else:
                fault = _Fault.model_validate_json(message.payload)
                self._tell_fault(fault.code, fault.active)
        except ValidationError:
            _log.warning("%s: cannot make sense of %s: %.200r", self._config.line.name, message.topic, message.payload)
