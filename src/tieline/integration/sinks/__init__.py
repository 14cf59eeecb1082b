"""What a rule can write to, one file each: `KINDS` is the list of what is offered, and the only one.

To add a kind: a file with its `Resource`, its `Action` and a `KIND` (see kind.py), and a line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Union

from tieline.integration.sinks.aws import dynamodb, kinesis, s3, sqs, timestream
from tieline.integration.sinks.base import secrets
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.base.kind import Action, Field, Kind, Resource, Sink
from tieline.integration.sinks.clickhouse import sink as clickhouse
from tieline.integration.sinks.http import sink as http
from tieline.integration.sinks.influxdb import sink as influxdb
from tieline.integration.sinks.kafka import sink as kafka
from tieline.integration.sinks.mqtt import bridge as mqtt_bridge
from tieline.integration.sinks.mqtt import broker as mqtt
from tieline.integration.sinks.mysql import sink as mysql
from tieline.integration.sinks.nats import sink as nats
from tieline.integration.sinks.postgresql import sink as postgresql
from tieline.integration.sinks.rabbitmq import sink as rabbitmq
from tieline.integration.sinks.redis import sink as redis

__all__ = ["ACTIONS", "BY_TYPE", "KINDS", "RESOURCE_TYPES", "SINKS", "Action", "Resource", "open_broker", "open_sink"]

KINDS: Final[tuple[Kind, ...]] = (
    postgresql.KIND,
    mysql.KIND,
    redis.KIND,
    http.KIND,
    influxdb.KIND,
    clickhouse.KIND,
    dynamodb.KIND,
    kinesis.KIND,
    s3.KIND,
    sqs.KIND,
    timestream.KIND,
    nats.KIND,
    rabbitmq.KIND,
    kafka.KIND,
    mqtt_bridge.KIND,
)

#: The kinds by their resource's type, and the actions by theirs; `republish` needs no resource.
BY_TYPE: Final[dict[str, Kind]] = {kind.type: kind for kind in KINDS}
SINKS: Final[dict[type[Resource], Kind]] = {kind.resource: kind for kind in KINDS}
ACTIONS: Final[dict[str, type[Action]]] = {
    str(action.__struct_config__.tag): action for kind in KINDS for action in kind.actions
} | {str(mqtt.Republish.__struct_config__.tag): mqtt.Republish}
#: The types of resources that are offered, each with the fields of its form in their order.
RESOURCE_TYPES: Final[dict[str, tuple[Field, ...]]] = {kind.type: kind.fields() for kind in KINDS}

if not TYPE_CHECKING:  # what JSON may hold; for the type checker the bases say it
    Resource = Union[tuple(SINKS)]  # noqa: UP007
    Action = Union[tuple(ACTIONS.values())]  # noqa: UP007


def open_sink(resource: Resource) -> Sink:
    """The sink of a resource; nothing is connected yet."""
    kind = SINKS[type(resource)]
    try:
        return kind.open(secrets.resolved(resource, RESOURCE_TYPES[kind.type]))
    except Unavailable as missing:
        return secrets.Unusable(missing)


def open_broker(broker: mqtt.Broker) -> Sink:
    """The broker that messages come from as a sink, for republishing."""
    return mqtt.MqttSink(broker, f"{broker.client_id}-republish")
