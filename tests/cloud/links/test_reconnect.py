"""A failed link once more: the same record, another endpoint, and a token that no earlier attempt used."""

from __future__ import annotations

import pytest

from tieline.cloud.aws.accounts import Accounts
from tieline.cloud.aws.client import Aws, AwsSettings
from tieline.cloud.links.plan import Endpoint, Show, shown
from tieline.cloud.links.reconnect import RECONNECT, client_token, restarted
from tieline.cloud.links.service import NewLink
from tieline.cloud.links.worker import LinkWorker
from tieline.cloud.model.records import LinkStatus, PrivateLink, Reason
from tieline.cloud.store.repository import Repository
from tieline.store import SQLiteStore

SERVICE = "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"
AGAIN = NewLink(name="orders", service_name=SERVICE + "1", ports=(5432,))
FAILED = PrivateLink(
    id="pl-1",
    deployment="dep-1",
    name="orders",
    service_name=SERVICE,
    status=LinkStatus.FAILED,
    reason=Reason.SERVICE_REMOVED,
    hint="…",
    cause="…",
    endpoint="vpce-1",
    endpoint_state="rejected",
    address="a",
    addresses=("a:5432",),
    zones=("use1-az1",),
    sent=1.0,
    created="2026-01-01T00:00:00.000Z",
    version=7,
)


def test_it_starts_as_if_it_had_just_been_created() -> None:
    fresh = restarted(FAILED, AGAIN, "2026-01-02T00:00:00.000Z", "somebody")
    assert (fresh.status, fresh.reason, fresh.hint, fresh.cause) == (LinkStatus.CREATING, None, "", "")
    assert (fresh.endpoint, fresh.endpoint_state, fresh.address, fresh.addresses, fresh.sent) == ("", "", "", (), 0.0)
    assert (fresh.id, fresh.name, fresh.version) == ("pl-1", "orders", 7)
    assert (fresh.service_name, fresh.ports) == (SERVICE + "1", (5432,))
    assert [(entry.who, entry.event) for entry in fresh.history] == [("somebody", RECONNECT)]


@pytest.mark.parametrize("status", [status for status in LinkStatus if status is not LinkStatus.FAILED])
def test_a_link_that_changed_meanwhile_is_left_alone(status: LinkStatus) -> None:
    other = FAILED.model_copy(update={"status": status})
    assert restarted(other, AGAIN, "2026-01-02T00:00:00.000Z", "somebody") == other


def test_each_reconnection_has_a_token_of_its_own_that_repetitions_share() -> None:
    once = restarted(FAILED, AGAIN, "2026-01-02T00:00:00.000Z", "somebody")
    failed = once.model_copy(update={"status": LinkStatus.FAILED, "history": ()})  # which retention may have shortened
    twice = restarted(failed, AGAIN, "2026-01-03T00:00:00.000Z", "somebody")
    tokens = [client_token(link) for link in (FAILED, once, twice)]
    assert len(set(tokens)) == 3
    assert client_token(failed) == tokens[1]
    assert all(len(token) <= 64 for token in tokens)  # the longest ClientToken that EC2 takes


def test_what_was_seen_before_a_reconnection_does_not_undo_it() -> None:
    records = Repository(SQLiteStore(":memory:"))
    records.commit(write=[FAILED.model_copy(update={"version": 0})])
    worker = LinkWorker(records, Accounts(Aws(AwsSettings("us-east-1", None, None, None))), lambda _: None)
    before = records.all(PrivateLink)[0]
    records.commit(write=[restarted(before, AGAIN, "2026-01-02T00:00:00.000Z", "somebody")])
    seen = Show(LinkStatus.FAILED, Reason.ENDPOINT_REMOVED, "", Endpoint("vpce-1", "deleting"))
    worker._write(before, lambda now: shown(now, seen, "", "2026-01-02T00:00:01.000Z"))
    present = records.all(PrivateLink)[0]
    assert (present.status, present.endpoint) == (LinkStatus.CREATING, "")
    worker._write(present, lambda now: shown(now, seen, "", "2026-01-02T00:00:01.000Z"))
    assert records.all(PrivateLink)[0].endpoint == "vpce-1"
    records.close()
