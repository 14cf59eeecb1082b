"""Reads Mosquitto's log over MQTT and publishes what happened to clients as events, while a rule reads any."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable
from typing import Final

import msgspec
import orjson

from tieline.agent.brokers.events import TOPICS, Clients
from tieline.integration.config.shapes import Broker
from tieline.integration.messages.events import name
from tieline.integration.messages.message import Message
from tieline.integration.mqtt.session import Session
from tieline.integration.mqtt.session_store import Memory
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.mqtt.broker import MqttSink

WAITING: Final = 1000  # lines that the broker hands out before their events are published
PAUSE: Final = 0.5  # seconds before publishing is tried again

log = logging.getLogger(__name__)


class Teller:
    """A session of its own: the broker keeps lines for it, and a line is acknowledged once its event is published."""

    def __init__(self, broker: Broker, peer: Callable[[str], tuple[str, int] | None]) -> None:
        client_id = f"{broker.client_id}-events"
        own = msgspec.structs.replace(broker, client_id=client_id, receive_maximum=WAITING, share="")
        self._clients = Clients(broker.username or "", peer)
        self._waiting: asyncio.Queue[Message] = asyncio.Queue()
        self._session = Session(own, client_id, self._receive, self._outstanding, Memory())
        self._sink = MqttSink(own, f"{client_id}-out")
        self._held: dict[int, Message] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Tell from now on."""
        self._session.subscribe(TOPICS)
        self._tasks = [asyncio.create_task(self._session.run()), asyncio.create_task(self._publish())]

    @property
    def ready(self) -> asyncio.Event:
        """Set while the broker hands out its log."""
        return self._session.subscribed

    async def close(self) -> None:
        """Tell nothing more; the broker forgets the session."""
        await self._session.close(forget=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._sink.close()

    def _outstanding(self) -> list[Message]:
        return list(self._held.values())

    def _receive(self, messages: list[Message]) -> None:
        for message in messages:
            self._held[id(message)] = message
            self._waiting.put_nowait(message)

    async def _publish(self) -> None:
        while True:
            message = await self._waiting.get()
            line = message.payload.decode(errors="replace")
            told = self._clients.read(message.topic, line, message.timestamp or int(time.time() * 1000))
            if told is not None:
                fields = {"id": uuid.uuid4().hex.upper(), "event": name(told.topic), **told.fields}
                await self._deliver(told.topic, orjson.dumps(fields))
            self._session.acknowledge([message])
            del self._held[id(message)]

    async def _deliver(self, topic: str, payload: bytes) -> None:
        """Publish until the broker has it."""
        while True:
            with contextlib.suppress(Unavailable, ConnectionError):
                outbox = await self._sink.outbox()
                try:
                    await outbox.publish(topic, payload, 1, False)
                except ValueError as refused:
                    log.error("an event on %s was refused: %s", topic, refused)
                return
            await asyncio.sleep(PAUSE)
