"""The demo's devices: real MQTT clients that publish temperatures at QoS 1, with MQTT 3.1.1 and with MQTT 5."""

from __future__ import annotations

import json
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

ACKNOWLEDGE_SECONDS = 30.0


@dataclass(frozen=True)
class Reading:
    """One message."""

    topic: str
    device: str
    temp: float

    @property
    def payload(self) -> str:
        return json.dumps({"device": self.device, "temp": self.temp})


def readings(count: int) -> list[Reading]:
    """Temperatures from 0 to 39.5, on matching topics and on one that no rule asks for."""
    topics = ("sensors/hall/{}", "sensors/roof/{}", "sensors/{}", "other/{}")
    return [Reading(topics[n % len(topics)].format(n % 50), f"device-{n:04}", (n * 7 % 80) / 2) for n in range(count)]


def expected(sent: list[Reading]) -> list[Reading]:
    """Those that the demo's rule must let through."""
    return [reading for reading in sent if reading.topic.startswith("sensors/") and reading.temp > 20]


def publish(host: str, port: int, sent: list[Reading], username: str = "", password: str = "") -> None:
    """Publish half of the readings with each version of MQTT; returns when the broker has acknowledged them all."""
    half = len(sent) // 2
    for version, part in ((MQTTProtocolVersion.MQTTv311, sent[:half]), (MQTTProtocolVersion.MQTTv5, sent[half:])):
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"demo-{version.name.lower()}", protocol=version)
        if username:
            client.username_pw_set(username, password)
        client.connect(host, port)
        client.loop_start()
        try:
            waiting = [client.publish(reading.topic, reading.payload, qos=1) for reading in part]
            for message in waiting:
                message.wait_for_publish(ACKNOWLEDGE_SECONDS)
                if not message.is_published():
                    raise RuntimeError(f"hop broker: no acknowledgement within {ACKNOWLEDGE_SECONDS:.0f} s")
        finally:
            client.disconnect()
            client.loop_stop()
