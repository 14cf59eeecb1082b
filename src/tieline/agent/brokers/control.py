"""Gives commands to Mosquitto's dynamic security plugin over MQTT, and hears whether each was done."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tieline.agent.brokers.access import CONTROL, Command

SECONDS = 5.0  # for connecting, and for the answer


class ControlFailed(Exception):
    """The broker did not do it; the message has no secret in it."""


def command(host: str, port: int, username: str, password: str, commands: Sequence[Command]) -> None:
    """Have these commands done; raises ControlFailed where one was not. Blocks: call it in a thread."""
    ready, answered = threading.Event(), threading.Event()
    answers: list[Any] = []

    def subscribe(client: mqtt.Client, *_: Any) -> None:
        client.subscribe(f"{CONTROL}/response")

    def heard(_: mqtt.Client, __: Any, message: mqtt.MQTTMessage) -> None:
        answers.append(json.loads(message.payload))
        answered.set()

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.username_pw_set(username, password)
    client.on_connect = subscribe
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = heard
    try:
        client.connect(host, port)
        client.loop_start()
        if not ready.wait(SECONDS):
            raise ControlFailed("the broker does not let its agent in")
        client.publish(CONTROL, json.dumps({"commands": list(commands)}))
        if not answered.wait(SECONDS):
            raise ControlFailed("the broker's dynamic security plugin does not answer")
    except OSError as error:
        raise ControlFailed(f"the broker cannot be reached: {error}") from error
    finally:
        client.disconnect()
        client.loop_stop()
    failed = [f"{item['command']}: {item['error']}" for item in answers[0].get("responses", []) if item.get("error")]
    if failed:
        raise ControlFailed("; ".join(failed))
