"""A delivery that is known is not taken again, and one that only looks like it is."""

from __future__ import annotations

import mqtt5

from tieline.integration.messages.deliveries import Deliveries
from tieline.integration.messages.message import Message


def message(id: int, duplicate: bool = False, qos: int = 1) -> Message:
    level = mqtt5.QoS.AT_LEAST_ONCE if qos == 1 else mqtt5.QoS.EXACTLY_ONCE
    return Message("t", b"", qos, 0, mqtt5.PublishPacket("t", b"", qos=level, packet_id=id, duplicate=duplicate))


def test_what_is_in_hand_is_not_taken_again() -> None:
    deliveries = Deliveries()
    deliveries.connected(True, [message(1), message(2)])
    assert deliveries.expected
    new = message(2)  # the same id, and no duplicate: another message
    fresh, answer = deliveries.sift([message(1, True), new, message(3, True)])
    assert fresh[0] is new and len(fresh) == 2 and answer == b""
    assert not deliveries.expected


def test_what_became_safe_without_a_connection_is_acknowledged_when_it_comes_again() -> None:
    deliveries = Deliveries()
    deliveries.finish([message(7), message(8, qos=2), Message("t")])
    deliveries.connected(True, [])
    fresh, answer = deliveries.sift([message(7, True), message(8, True, 2), message(9, True)])
    assert [one.packet.packet_id for one in fresh if one.packet] == [9]
    assert answer == bytes([0x40, 2, 0, 7, 0x50, 2, 0, 8])


def test_a_session_that_the_broker_lost_is_forgotten() -> None:
    deliveries, held = Deliveries(), message(1)
    deliveries.finish([message(7)])
    deliveries.connected(False, [held])
    assert held.qos == 0 and not deliveries.expected
    assert deliveries.acknowledge([held]) == b""
    assert len(deliveries.sift([message(7, True)])[0]) == 1


def test_qos_2_is_answered_until_it_is_released() -> None:
    deliveries = Deliveries()
    assert deliveries.acknowledge([message(5, qos=2)]) == bytes([0x50, 2, 0, 5])
    assert deliveries.sift([message(5, True, 2)]) == ([], bytes([0x50, 2, 0, 5]))
    deliveries.release(5)
    assert len(deliveries.sift([message(5, qos=2)])[0]) == 1
