"""What a session asks its broker for, and what it remembers of the answers."""

from __future__ import annotations

import mqtt5
import pytest

from tieline.integration.mqtt.session_store import Memory
from tieline.integration.mqtt.subscriptions import AGAIN, Subscriptions

OK, REFUSED = mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE, mqtt5.SubAckReasonCode.NOT_AUTHORIZED


@pytest.mark.parametrize("share", ["", "workers"])
def test_a_refusal_is_told_to_whom_it_concerns_and_forgotten_with_its_filter(share: str) -> None:
    one = Subscriptions("c", Memory(), share)
    one.want(["a/#", "b"])
    one.difference()
    one.suback(mqtt5.SubAckPacket(1, [REFUSED, OK]))
    assert one.settled and one.refusal() == f"the broker refused the subscription to a/#; {AGAIN}"
    assert one.refusal(["a/x", "b"]) and not one.refusal(["b"])
    one.want(["b"])
    assert not one.refused and not one.refusal()


def test_an_answer_that_comes_too_late_refuses_nothing() -> None:
    one = Subscriptions("c", Memory())
    one.want(["a"])
    one.difference()
    one.want(["b"])
    one.suback(mqtt5.SubAckPacket(1, [REFUSED]))
    assert not one.refused
