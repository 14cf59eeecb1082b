"""What rules can see of a message, and who is believed about its publisher."""

from __future__ import annotations

import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.integration.messages.message import FIELDS, ROW_ID, Foreign, Message, identified, origin

NAMES = ["id", "peerhost", "clientid", "username", "other"]
PAIRS = st.lists(st.tuples(st.sampled_from(NAMES), st.text(max_size=3)), max_size=5)


@given(PAIRS, st.text(), st.one_of(st.none(), st.text()), st.one_of(st.none(), st.text()))
def test_nothing_that_a_device_sends_changes_who_it_is(
    device: list[tuple[str, str]], name: str, user: str | None, host: str | None
) -> None:
    told = {"id": "7", "peerhost": host, "clientid": name, "username": user}
    appended = [(key, value) for key, value in told.items() if value is not None]
    assert origin(device + appended) == (dict(appended), device)


@given(PAIRS)
def test_where_nothing_was_appended_only_the_end_could_deceive(device: list[tuple[str, str]]) -> None:
    assert origin([*device, ("other", "x")]) == ({}, [*device, ("other", "x")])


def test_rows_of_a_message_have_ids_of_their_own() -> None:
    one, other = Message("t", known={"id": "A"}), Message("t", known={"id": "B"})
    found = identified([({"n": 1}, one), ({"n": 2}, one), ({"n": 3}, other)], "x")
    assert [output[ROW_ID] for output, _ in found] == ["A-x", "A-x-1", "B-x"]


def test_without_a_plugin_nobody_is_believed() -> None:
    packet = mqtt5.PublishPacket("t", b"", user_properties=[("clientid", "forged")], content_type="text/plain")
    fields = Foreign("t", b"", 0, 5, packet).fields()
    assert (fields["clientid"], fields["username"]) == (None, None)
    assert fields["pub_props"]["User-Property"] == {"clientid": "forged"}
    assert fields["pub_props"]["Content-Type"] == "text/plain"


def test_a_message_has_every_field() -> None:
    message = Message("t", b"\xff", 2, 5, mqtt5.PublishPacket("t", b"\xff", retain=True))
    fields = message.fields()
    assert fields.keys() == FIELDS.keys()
    assert (fields["payload"], fields["qos"], fields["timestamp"]) == (b"\xff", 2, 5)
    assert fields["flags"] == {"retain": True, "dup": False}
    assert fields["id"] == message.details()["id"]


@pytest.mark.parametrize("payload", ['{"a": 1}', {"a": 1}, b'{"a": 1}'])
def test_a_sample_takes_the_payload_in_any_form(payload: object) -> None:
    sample = Message.sample({"payload": payload, "clientid": "c", "unknown": 1})
    assert sample.document() == {"a": 1}
    assert sample.fields()["clientid"] == "c"
    assert "unknown" not in sample.fields()
