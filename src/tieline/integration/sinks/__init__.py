"""What a rule can write to, one file each; `SINKS` is the list of what is offered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tieline.integration import config
from tieline.integration.sinks.base import Sink
from tieline.integration.sinks.mqtt import MqttSink
from tieline.integration.sinks.postgresql import PostgreSQLSink

#: The kind of resource and what makes its connections. A kind without an entry cannot be configured.
SINKS: Final[dict[type[config.Resource], Callable[[config.Resource], Sink]]] = {
    config.PostgreSQL: PostgreSQLSink,
}


def open_sink(resource: config.Resource) -> Sink:
    """The sink of a resource; nothing is connected yet."""
    return SINKS[type(resource)](resource)


def open_broker(broker: config.Broker) -> Sink:
    """The broker that messages come from as a sink, for republishing."""
    return MqttSink(broker, f"{broker.client_id}-republish")
