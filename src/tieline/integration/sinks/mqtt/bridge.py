"""Another MQTT broker: each output of a rule is published there, and taken by it before the row counts."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, ClassVar, Final

from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base.kind import Action, Kind, Resource, Secret, label
from tieline.integration.sinks.mqtt.broker import MqttWriter, Publishing
from tieline.integration.sinks.mqtt.connection import PORT, MqttConnection, Peer


class MqttBridge(Resource, frozen=True, kw_only=True, tag="mqtt"):
    """Another broker that speaks MQTT 5. Each process of the agent has a client id of its own there."""

    PORT: ClassVar[int] = PORT

    server: str  # with TLS it usually listens on 8883
    clientid_prefix: Annotated[str, label("Client id prefix")] = "tieline"
    username: str = ""
    password: Secret = ""
    keepalive: Annotated[int, label("Keep alive (seconds)")] = 160
    max_inflight: Annotated[int, label("Messages on their way")] = 1000


class MqttPublish(Publishing, frozen=True, kw_only=True, tag="mqtt"):
    """Publishes each output of the rule there, with the MQTT 5 properties that came with the message. With QoS 0 a
    message counts when it is sent, and may be lost. One that comes back to a rule that has published it, by whatever
    rules and brokers of MQTT 5, is a dead letter: its user property `tieline-way` has the rules that it went through.
    """


class BridgeSink:
    """One connection to the broker."""

    def __init__(self, resource: MqttBridge) -> None:
        peer = Peer(
            server=resource.server,
            client_id=f"{resource.clientid_prefix}-{uuid.uuid4().hex[:12]}",
            username=resource.username or None,
            password=resource.password or None,
            ssl=resource.ssl,
            keep_alive=resource.keepalive,
            max_inflight=resource.max_inflight,
            connect_timeout=resource.connect_timeout,
            write_timeout=resource.write_timeout,
        )
        self._connection = MqttConnection(peer)

    def writer(self, action: Action) -> MqttWriter:
        if not isinstance(action, MqttPublish):
            raise TemplateError(f"{type(action).__name__} cannot write to an MQTT broker")
        return MqttWriter(self._connection, action)

    async def check(self, actions: Sequence[Action]) -> None:
        writers = [self.writer(action) for action in actions]
        await self._connection.alive()
        for writer in writers:
            await writer.check()

    async def close(self) -> None:
        await self._connection.close()


KIND: Final = Kind(
    label="MQTT broker",
    resource=MqttBridge,
    actions=(MqttPublish,),
    open=BridgeSink,
    test="logs in, and sees that the broker takes the QoS and the retain flag; what the user may publish to, a broker "
    "tells only when it is tried",
    tried="Mosquitto 2.0",
)
