"""What Home Assistant needs to show a line as one device, without anybody configuring it."""

from __future__ import annotations

from typing import Any

from binsight import __version__
from binsight.line.config import LineConfig

__all__ = ["device_id", "discovery_message"]


def device_id(config: LineConfig) -> str:
    """`binsight_{line}`; with the site before the line where one is set, for line1 is in every plant.

    An underscore within a name is doubled then, and one stands before, so that no two lines share one.
    """
    line = config.line
    if line.site == type(line).model_fields["site"].default:
        return f"binsight_{line.name}"
    site, name = (word.replace("_", "__") for word in (line.site, line.name))
    return f"binsight__{site}_{name}"


def discovery_message(config: LineConfig) -> dict[str, Any]:
    """The device discovery message for `homeassistant/device/binsight_{line}/config`.

    References:
        Home Assistant, MQTT integration: device discovery payload; `default_entity_id` takes the place of `object_id`.
    """
    name, prefix = device_id(config).removeprefix("binsight_"), config.prefix
    state = f"{prefix}/state"
    components = {
        "camera": _sensor(name, "camera", "Camera", state, "{{ value_json.camera }}"),
        "state": _sensor(name, "state", "PackML state", state, "{{ value_json.state }}"),
        "frame_age": _measure(name, "frame_age", "Frame age", state, "{{ value_json.frame_age_ms }}", "ms"),
        "ack_rtt": _measure(name, "ack_rtt", "Command round trip", state, "{{ value_json.ack_rtt_ms }}", "ms"),
        "last_piece": _sensor(name, "last_piece", "Last piece", f"{prefix}/piece", "{{ value_json.category }}"),
    }
    for lane in config.lanes:
        words = f"Purity of lane {lane.number}" + (f" ({lane.name})" if lane.name else "")
        key, topic = f"purity_{lane.number}", f"{prefix}/purity/{lane.number}"
        components[key] = _measure(name, key, words, topic, "{{ (value_json.purity * 100) | round(1) }}", "%")
    return {
        "device": {
            "identifiers": [f"binsight_{name}"],
            "name": f"binsight {config.line.name}",
            "manufacturer": "binsight",
            "model": config.line.model,
            "sw_version": __version__,
        },
        "origin": {"name": "binsight", "sw_version": __version__},
        "availability": [{"topic": state, "value_template": "{{ 'online' if value_json.online else 'offline' }}"}],
        "components": components,
        "qos": 1,
    }


def _sensor(line: str, key: str, words: str, topic: str, template: str) -> dict[str, Any]:
    return {
        "platform": "sensor",
        "unique_id": f"binsight_{line}_{key}",
        "default_entity_id": f"sensor.binsight_{line}_{key}",
        "name": words,
        "state_topic": topic,
        "value_template": template,
    }


def _measure(line: str, key: str, words: str, topic: str, template: str, unit: str) -> dict[str, Any]:
    return _sensor(line, key, words, topic, template) | {"unit_of_measurement": unit, "state_class": "measurement"}
