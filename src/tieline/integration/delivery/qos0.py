"""Messages of QoS 0, which no broker keeps: those that we cannot keep either are counted before they are gone."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from tieline.integration.delivery.routes import Route
from tieline.integration.messages.message import Message
from tieline.integration.messages.topics import Index

log = logging.getLogger(__name__)


def lost(messages: Iterable[Message], index: Index[Route], error: str, now: int) -> None:
    """Count as failed, at this Unix time in milliseconds, those of messages which no rule could be applied to that the
    broker will not send again.
    """
    for message in messages:
        if message.fleeting:
            for route in index.lookup(message.topic):
                if route.counts:
                    route.metrics.fail(f"a message of QoS 0 is lost: {error}", now)


def say_lost(client_id: str, messages: Iterable[Message]) -> None:
    """Tell of those that are in hand at the end, when there is nobody left to count for."""
    if count := sum(message.fleeting for message in messages):
        log.warning("%s ends with %d messages of QoS 0 in hand: they are lost", client_id, count)
