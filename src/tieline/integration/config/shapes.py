"""What the integration is told to do: resources, rules and their actions, as frozen values that are also JSON."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from tieline.integration.metrics import MINUTES
from tieline.integration.sinks import RESOURCE_TYPES, Action, Resource
from tieline.integration.sinks.base.kind import Field, Ssl, Value
from tieline.integration.sinks.base.reach import Reach
from tieline.integration.sinks.mqtt.broker import Broker, Republish
from tieline.integration.sinks.postgresql.sink import PostgreSQL
from tieline.integration.sinks.sql.sql import Sql

__all__ = [
    "DEFAULT_SQL",
    "RESOURCE_TYPES",
    "Action",
    "Broker",
    "Config",
    "Field",
    "PostgreSQL",
    "Reach",
    "Republish",
    "Resource",
    "Rule",
    "Sql",
    "Ssl",
    "Value",
    "decode",
    "encode",
]


class Rule(Value, frozen=True, kw_only=True):
    """SQL over messages, and what is done with its outputs."""

    id: str
    name: str = ""
    sql: str
    actions: tuple[Action, ...] = ()
    enable: bool = True


class Config(Value, frozen=True, kw_only=True):
    """Everything, at one version, and where it may connect to."""

    version: int = 0
    metrics_minutes: Annotated[int, msgspec.Meta(ge=10, description="that counters are kept")] = MINUTES
    resources: tuple[Resource, ...] = ()
    rules: tuple[Rule, ...] = ()
    reach: Reach = Reach()


#: What stands in the SQL template's field until the user writes a statement.
DEFAULT_SQL: Final = (
    "insert into t_mqtt_msg(msgid, topic, qos, payload, arrived) "
    "values (${id}, ${topic}, ${qos}, ${payload}, to_timestamp(${timestamp}::bigint / 1000.0))"
)


def encode(config: Config) -> bytes:
    """The configuration as JSON."""
    return msgspec.json.encode(config)


def decode(text: bytes) -> Config:
    """The configuration of a JSON text; raises msgspec.ValidationError naming the member that does not fit."""
    return msgspec.json.decode(text, type=Config)
