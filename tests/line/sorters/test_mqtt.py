"""A sorter behind a real broker."""

from __future__ import annotations

import json
import queue
import threading
import time
from typing import TYPE_CHECKING

import pytest
from paho.mqtt import publish, subscribe
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from tests.line.fakes import COMMAND, Heard, StandingClock
from tests.line.services import free_port, mosquitto
from tests.patience import PATIENCE_S

from binsight.line.config import LineConfig, parse_line_config
from binsight.line.mqtt_link import MqttLink
from binsight.line.records import Ack, Confirm, EncoderReading
from binsight.line.settings import LineSettings
from binsight.line.sorters.home_assistant import device_id
from binsight.line.sorters.mqtt import MqttSorter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREFIX = "binsight/v1/plant/line1"


class Equipment:
    """Somebody else's sorter: an MQTT client of its own that knows only the topics."""

    def __init__(self, port: int, *topics: str) -> None:
        self.messages: queue.Queue[MQTTMessage] = queue.Queue()
        ready = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self.client.on_message = lambda _c, _d, message: self.messages.put(message)
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.subscribe([(topic, 1) for topic in topics])
        self.client.loop_start()
        assert ready.wait(PATIENCE_S)

    def next(self) -> MQTTMessage:
        return self.messages.get(timeout=PATIENCE_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def config(port: int) -> LineConfig:
    """Return a line with one lane and this broker."""
    return parse_line_config(
        {
            "lanes": [{"number": 3, "name": "Metal", "categories": ["metal_cans"], "distance_mm": 1200}],
            "sorter": {"kind": "mqtt", "url": f"mqtt://127.0.0.1:{port}"},
        }
    )


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """Return the port of a broker of the test's own."""
    with mosquitto(tmp_path) as port:
        yield port


@pytest.fixture
def line(broker: int) -> Iterator[tuple[MqttSorter, Heard]]:
    """Return a connected sorter and what it hands back."""
    sorter, heard = MqttSorter(config(broker), clock=StandingClock()), Heard()  # type: ignore[arg-type]
    sorter.start(heard)
    assert heard.link.get(timeout=PATIENCE_S)
    yield sorter, heard
    sorter.close()


def tell(broker: int, topic: str, payload: str, *, retain: bool = False) -> None:
    """Publish as anybody may."""
    publish.single(f"{PREFIX}/{topic}", payload, qos=1, retain=retain, hostname="127.0.0.1", port=broker)


def test_a_command_is_that_of_the_contract_byte_for_byte(broker: int, line: tuple[MqttSorter, Heard]) -> None:
    """Payload, quality of service, expiry, where to answer and with what; never retained."""
    equipment = Equipment(broker, f"{PREFIX}/cmd/sort")
    assert line[0].send(COMMAND)
    message = equipment.next()
    assert message.payload == (
        b'{"id":"01JABCDEFGHJKMNPQRSTVWXYZ0","seq":4711,"lane":3,"target":884201,"fire_in_ms":412,"dwell_ms":40}'
    )
    assert (message.qos, message.retain) == (1, False)
    assert message.properties.ResponseTopic == f"{PREFIX}/ack/binsight-plant-line1"  # type: ignore[union-attr]
    assert message.properties.CorrelationData == b"4711"  # type: ignore[union-attr]
    assert message.properties.MessageExpiryInterval == 1  # type: ignore[union-attr]
    equipment.close()


def test_answers_come_back_as_events(broker: int, line: tuple[MqttSorter, Heard]) -> None:
    """Acknowledgement, confirmation, encoder, trigger, control."""
    tell(broker, "ack/binsight-plant-line1", '{"seq":4711,"result":"accepted","encoder":882140}')
    assert line[1].events.get(timeout=PATIENCE_S) == Ack(4711, "accepted", 100.0, 882140)
    tell(broker, "confirm", '{"seq":4711,"result":"ejected"}')
    assert line[1].events.get(timeout=PATIENCE_S) == Confirm(4711, "ejected", 100.0)
    tell(broker, "encoder", '{"counts":882134,"t_ms":123456}')
    assert line[1].events.get(timeout=PATIENCE_S) == EncoderReading(882134, 100.0)
    tell(broker, "trigger", '{"encoder":882134}')
    assert line[1].events.get(timeout=PATIENCE_S) == ("trigger", EncoderReading(882134, 100.0))
    tell(broker, "control", '{"CntrlCmd":3}')
    assert line[1].events.get(timeout=PATIENCE_S) == ("control", 3)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("control", "stop"), ("control", '{"CntrlCmd":"3"}'), ("control", "[3]"), ("control", '{"CntrlCmd":true}'),
        ("confirm", '{"seq":1,"result":"burnt"}'), ("confirm", '{"result":"ejected"}'),
        ("encoder", '{"counts":4294967296}'), ("encoder", '{"counts":-1}'), ("encoder", "\x00\xff"),
    ],
)  # fmt: skip
def test_nonsense_is_counted_and_changes_nothing(
    broker: int, line: tuple[MqttSorter, Heard], topic: str, payload: str
) -> None:
    """The next message is understood as if nothing had been."""
    tell(broker, topic, payload)
    tell(broker, "control", '{"CntrlCmd":4}')
    assert line[1].events.get(timeout=PATIENCE_S) == ("control", 4)
    assert line[0].malformed == 1


def test_what_was_retained_for_an_earlier_moment_is_not_obeyed(broker: int) -> None:
    """A stop that somebody retained last week does not stop the line today."""
    tell(broker, "control", '{"CntrlCmd":3}', retain=True)
    sorter, heard = MqttSorter(config(broker), clock=StandingClock()), Heard()  # type: ignore[arg-type]
    sorter.start(heard)
    assert heard.link.get(timeout=PATIENCE_S)
    tell(broker, "confirm", '{"seq":1,"result":"ejected"}')
    assert heard.events.get(timeout=PATIENCE_S) == Confirm(1, "ejected", 100.0)
    sorter.close()


def test_the_state_is_retained_and_turns_offline_at_the_end(broker: int, line: tuple[MqttSorter, Heard]) -> None:
    """Who comes later sees it; after a goodbye it says offline."""
    line[0].publish("state", {"online": True, "state": 6}, retain=True)
    equipment = Equipment(broker, f"{PREFIX}/state")
    assert json.loads(equipment.next().payload) == {"online": True, "state": 6}
    line[0].close()
    assert equipment.next().payload == b'{"online":false}'
    equipment.close()


def test_an_outage_sends_no_old_command_and_the_birth_message_again(tmp_path: Path) -> None:
    """While the broker is away nothing is kept for later; when it is back, the line tells its state by itself."""
    port = free_port()
    sorter, heard = MqttSorter(config(port), clock=StandingClock()), Heard()  # type: ignore[arg-type]
    sorter.start(heard)
    with mosquitto(tmp_path, port=port):
        assert heard.link.get(timeout=PATIENCE_S) is True
        sorter.publish("state", {"online": True}, retain=True)
    assert heard.link.get(timeout=PATIENCE_S) is False
    assert not sorter.send(COMMAND)
    assert sorter.dropped >= 1
    with mosquitto(tmp_path, port=port):
        assert heard.link.get(timeout=PATIENCE_S) is True
        found = subscribe.simple(f"{PREFIX}/#", msg_count=1, hostname="127.0.0.1", port=port)
        assert (found.topic, found.payload) == (f"{PREFIX}/state", b'{"online":true}')
        equipment = Equipment(port, f"{PREFIX}/cmd/sort")
        assert sorter.send(COMMAND)
        assert json.loads(equipment.next().payload)["seq"] == 4711
        assert equipment.messages.empty()
        equipment.close()
        sorter.close()


def test_home_assistant_is_told_again_when_it_comes_online(broker: int, line: tuple[MqttSorter, Heard]) -> None:
    """One device message, with the names of 2026."""
    topic = "homeassistant/device/binsight_line1/config"
    equipment = Equipment(broker, topic)
    first = equipment.next()
    message = json.loads(first.payload)
    assert message["components"]["purity_3"]["default_entity_id"] == "sensor.binsight_line1_purity_3"
    assert "object_id" not in first.payload.decode()
    assert message["components"]["purity_3"]["state_topic"] == f"{PREFIX}/purity/3"
    publish.single("homeassistant/status", "online", hostname="127.0.0.1", port=broker)
    assert equipment.next().payload == first.payload
    equipment.close()


def wait_for_words(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Wait until the log says so."""
    end = time.monotonic() + PATIENCE_S
    while words not in caplog.text:
        assert time.monotonic() < end, caplog.text
        time.sleep(0.005)


def test_a_second_line_of_one_name_is_told_and_they_do_not_chase_each_other(
    broker: int, line: tuple[MqttSorter, Heard], caplog: pytest.LogCaptureFixture
) -> None:
    """Each cuts off the other; after a few times one of them says so and leaves the other alone for half a minute."""
    second, heard = MqttSorter(config(broker), clock=StandingClock()), Heard()  # type: ignore[arg-type]
    second.start(heard)
    assert line[1].link.get(timeout=PATIENCE_S) is False
    wait_for_words(caplog, "another client called binsight-plant-line1 seems to connect")
    end = time.monotonic() + PATIENCE_S
    while not (line[0].send(COMMAND) or second.send(COMMAND)):
        assert time.monotonic() < end
        time.sleep(0.01)
    second.close()


def test_another_line_under_the_same_prefix_is_told(
    broker: int, line: tuple[MqttSorter, Heard], caplog: pytest.LogCaptureFixture
) -> None:
    """Once, by both; what a line says itself is no other line."""
    line[0].publish("state", {"online": True, "state": 6}, retain=True)
    tell(broker, "confirm", '{"seq":1,"result":"ejected"}')
    assert line[1].events.get(timeout=PATIENCE_S) == Confirm(1, "ejected", 100.0)
    assert "another line" not in caplog.text
    other = config(broker).model_copy(update={"line": LineSettings(name="line2")})
    other = other.model_copy(update={"sorter": other.sorter.model_copy(update={"prefix": PREFIX})})
    second, heard = MqttSorter(other, clock=StandingClock()), Heard()  # type: ignore[arg-type]
    second.start(heard)
    assert heard.link.get(timeout=PATIENCE_S) is True
    second.publish("state", {"online": True, "state": 6}, retain=True)
    wait_for_words(caplog, f"another line speaks under {PREFIX}")
    second.close()


def test_no_two_lines_share_what_a_broker_or_home_assistant_knows_them_by() -> None:
    """Whatever dashes and underscores their names have; the usual names stay as they are."""
    names = ["a", "b", "a-b", "b-c", "a-", "a_b", "b_c", "plant", "line1"]
    configs = [parse_line_config({"line": {"site": site, "name": name}}) for site in names for name in names]
    assert len({config.client for config in configs}) == len({device_id(config) for config in configs}) == 81
    usual = parse_line_config({"line": {"name": "line1"}})
    assert (usual.client, device_id(usual)) == ("binsight-plant-line1", "binsight_line1")


def test_engine_and_ledger_may_publish_at_once() -> None:
    """Each on its thread: what the broker has confirmed is crossed off once."""
    link = MqttLink("mqtt://127.0.0.1", name="line1", clock=StandingClock(), will=("state", b""))

    class Confirmed:
        def is_published(self) -> bool:
            other = threading.Thread(target=link.publish, args=("piece", b"{}"), daemon=True)
            if not others:
                others.append(other)
                other.start()
                other.join(0.2)  # it does what it can
            return True

    others: list[threading.Thread] = []
    link._unconfirmed.append((Confirmed(), 0.0))  # type: ignore[arg-type]
    assert link.publish("piece", b"{}") is None  # there is no broker
    others[0].join(PATIENCE_S)
    assert not link._unconfirmed
