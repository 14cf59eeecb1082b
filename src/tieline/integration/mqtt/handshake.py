"""How a session begins and ends: the CONNECT that asks for it, and a broker's refusals in words."""

from __future__ import annotations

from typing import Final

import mqtt5
from mqtt5 import ConnAckReasonCode

from tieline.integration.config.shapes import Broker

NEVER: Final = 0xFFFFFFFF  # a session that does not expire (MQTT 5, 3.1.2.11.2)


class Refused(Exception):
    """The broker answered, and not as it should: the message says what."""


def connect(broker: Broker, client_id: str, forget: bool = False) -> bytes:
    """The packet that asks for a session: the one that the broker kept, or with `forget` none that it keeps."""
    return mqtt5.ConnectPacket(
        client_id=client_id,
        username=broker.username,
        password=broker.password.encode() if broker.password is not None else None,
        clean_start=forget,
        session_expiry_interval=0 if forget else NEVER,
        keep_alive=broker.keep_alive,
        receive_max=broker.receive_maximum,
    ).write()


def accepted(packet: mqtt5.Packet) -> mqtt5.ConnAckPacket:
    """The broker's answer, where it accepted the session; raises Refused."""
    if not isinstance(packet, mqtt5.ConnAckPacket):
        raise Refused(f"the broker answered CONNECT with {type(packet).__name__}")
    if packet.reason_code != ConnAckReasonCode.SUCCESS:
        raise Refused(f"the broker refused the connection: {said(packet.reason_str, packet.reason_code)}")
    return packet


def said(reason: str | None, code: object) -> str:
    """What a broker gives as its reason, or its code: `<ConnAckReasonCode.NOT_AUTHORIZED: 135>` is "not authorized"."""
    return reason or repr(code).partition(".")[2].partition(":")[0].lower().replace("_", " ")
