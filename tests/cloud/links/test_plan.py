"""A link's next step follows from what AWS shows, and no sequence of it leaves a link that cannot be deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.cloud.links import states
from tieline.cloud.links.plan import (
    SETTLE_SECONDS,
    Create,
    Delete,
    Endpoint,
    Forget,
    Observed,
    Service,
    Show,
    Step,
    common,
    plan,
    shown,
    zone_sets,
)
from tieline.cloud.links.service import leaving
from tieline.cloud.model.records import LinkStatus, PrivateLink, Reason, Subnet

PRINCIPAL = "arn:aws:iam::111111111111:root"
SERVICE_NAME = "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"
SUBNETS = (
    Subnet(id="subnet-1", zone="use1-az1", cidr="10.0.1.0/24"),
    Subnet(id="subnet-2", zone="use1-az2", cidr="10.0.2.0/24"),
)
BOTH = Service(("use1-az1", "use1-az2"))
LINK = PrivateLink(
    id="pl-1",
    deployment="dep-1",
    name="orders",
    service_name=SERVICE_NAME,
    ports=(5432,),
    created="2026-01-01T00:00:00Z",
)
NAMES = ("vpce-1.vpce-svc-0.us-east-1.vpce.amazonaws.com",)


def endpoint(state: str, error: str = "") -> Endpoint:
    return Endpoint("vpce-1", state, NAMES, ("use1-az1",), error)


def at(status: LinkStatus, **more: object) -> PrivateLink:
    return LINK.model_copy(update={"status": status, **more})


def after(link: PrivateLink, observed: Observed) -> PrivateLink:
    """The record after all that is to be shown was shown."""
    for step in plan(link, SUBNETS, observed, 0.0):
        if isinstance(step, Show):
            link = shown(link, step, PRINCIPAL, "now")
    return link


def test_a_new_link_asks_for_an_endpoint_in_every_common_zone() -> None:
    assert plan(LINK, SUBNETS, Observed(None, BOTH), 0.0) == (
        Create(("subnet-1", "subnet-2"), ("use1-az1", "use1-az2")),
    )
    elsewhere = Service(("use1-az2", "use1-az6"))
    assert plan(LINK, SUBNETS, Observed(None, elsewhere), 0.0) == (Create(("subnet-2",), ("use1-az2",)),)


def test_without_a_common_zone_nothing_is_created_and_both_sets_are_named() -> None:
    far = Service(("use1-az5", "use1-az6"))
    failed = after(LINK, Observed(None, far))
    assert (failed.status, failed.reason) == (LinkStatus.FAILED, Reason.ZONE_MISMATCH)
    assert failed.cause == zone_sets(SUBNETS, far)
    for zone in ("use1-az1", "use1-az2", "use1-az5", "use1-az6"):
        assert zone in failed.cause


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        ("pendingacceptance", LinkStatus.WAITING_ACCEPTANCE, Reason.NOT_ACCEPTED),
        ("pending", LinkStatus.CREATING, None),
        ("available", LinkStatus.RUNNING, None),
        ("rejected", LinkStatus.FAILED, Reason.REJECTED),
        ("expired", LinkStatus.FAILED, Reason.EXPIRED),
        ("failed", LinkStatus.FAILED, Reason.ENDPOINT_FAILED),
        ("deleted", LinkStatus.FAILED, Reason.ENDPOINT_REMOVED),
        ("a word of next year", LinkStatus.FAILED, Reason.AWS_REFUSED),
    ],
)
def test_each_state_of_an_endpoint_has_its_meaning(state: str, status: LinkStatus, reason: Reason | None) -> None:
    seen = after(LINK, Observed(endpoint(state), BOTH))
    assert (seen.status, seen.reason) == (status, reason)
    assert plan(seen, SUBNETS, Observed(endpoint(state), BOTH), 0.0) == ()


def test_a_running_link_has_ready_addresses() -> None:
    seen = after(LINK, Observed(endpoint("available"), BOTH))
    assert (seen.address, seen.addresses, seen.zones) == (NAMES[0], (f"{NAMES[0]}:5432",), ("use1-az1",))


def test_waiting_names_the_command_that_accepts() -> None:
    seen = after(LINK, Observed(endpoint("pendingacceptance"), BOTH))
    assert (
        "accept-vpc-endpoint-connections --service-id vpce-svc-0123456789abcdef0 --vpc-endpoint-ids vpce-1" in seen.hint
    )


@pytest.mark.parametrize(
    ("service", "reason"),
    [(None, Reason.SERVICE_REMOVED), (Service(()), Reason.LOAD_BALANCER_REMOVED), (BOTH, Reason.REJECTED)],
)
def test_the_provider_going_first_is_told_apart(service: Service | None, reason: Reason) -> None:
    running = after(LINK, Observed(endpoint("available"), BOTH))
    assert after(running, Observed(endpoint("rejected"), service)).reason is reason


def test_a_withdrawn_permission_alone_fails_nothing() -> None:
    running = after(LINK, Observed(endpoint("available"), BOTH))
    assert plan(running, SUBNETS, Observed(endpoint("available"), None), 0.0) == ()


def test_a_rejected_link_that_is_accepted_after_all_runs() -> None:
    rejected = after(LINK, Observed(endpoint("rejected"), BOTH))
    again = after(rejected, Observed(endpoint("available"), BOTH))
    assert (again.status, again.reason, again.hint) == (LinkStatus.RUNNING, None, "")
    assert [entry.event for entry in again.history] == ["failed rejected", "running"]


def test_deletion_waits_for_a_creation_that_may_still_show_up() -> None:
    gone = leaving(at(LinkStatus.CREATING, sent=100.0), "now", "me")
    assert plan(gone, SUBNETS, Observed(None, BOTH), 100.0 + SETTLE_SECONDS / 2) == ()
    assert plan(gone, SUBNETS, Observed(endpoint("pending"), BOTH), 100.0) == (Delete("vpce-1"),)
    assert plan(gone, SUBNETS, Observed(None, BOTH), 100.0 + SETTLE_SECONDS) == (Forget(),)


def test_subnets_are_one_per_zone() -> None:
    double = (*SUBNETS, Subnet(id="subnet-3", zone="use1-az1", cidr="10.0.3.0/24"))
    assert [subnet.id for subnet in common(double, BOTH)] == ["subnet-1", "subnet-2"]


@dataclass
class World:
    """AWS with one endpoint at most, which outside forces move about and the plan's steps change."""

    endpoint: Endpoint | None = None
    service: Service | None = BOTH
    link: PrivateLink | None = LINK
    now: float = 0.0
    created: list[str] = field(default_factory=list)

    def move(self, state: str | None, service: Service | None) -> None:
        """The provider, AWS or time did something."""
        self.service = service
        self.now += 1
        if state is None or self.endpoint is not None:
            self.endpoint = endpoint(state) if state else None

    def reconcile(self) -> None:
        if self.link is not None:
            for step in plan(self.link, SUBNETS, Observed(self.endpoint, self.service), self.now):
                self.apply(self.link, step)

    def apply(self, link: PrivateLink, step: Step) -> None:
        match step:
            case Create(subnets):
                assert self.endpoint is None
                self.created.append(link.id)
                self.endpoint = endpoint("pendingacceptance")
                self.link = link.model_copy(update={"endpoint": "vpce-1", "sent": self.now})
                assert subnets
            case Delete():
                self.endpoint = endpoint("deleting")
            case Forget():
                assert self.endpoint is None or self.endpoint.state == "deleted"
                self.link = None
            case Show():
                self.link = shown(link, step, PRINCIPAL, "now")


MOVES = st.tuples(
    st.none() | st.sampled_from(sorted(states.ENDPOINT_STATES)), st.sampled_from([None, Service(()), BOTH])
)


@given(st.lists(MOVES, max_size=8))
def test_a_link_can_be_deleted_whatever_happened_to_it(moves: Sequence[tuple[str | None, Service | None]]) -> None:
    world = World()
    world.reconcile()
    for state, service in moves:
        world.move(state, service)
        world.reconcile()
        assert world.link is not None
        if world.link.status not in (LinkStatus.RUNNING, LinkStatus.CREATING):
            assert world.link.reason is not None
            assert world.link.hint
    assert len(world.created) == 1
    assert world.link is not None
    world.link = leaving(world.link, "now", "me")
    world.reconcile()
    if world.endpoint is not None and world.endpoint.state == "deleting":
        world.endpoint = endpoint("deleted")
    world.now += SETTLE_SECONDS
    world.reconcile()
    assert world.link is None


def test_every_reason_but_those_of_deployments_has_a_hint() -> None:
    elsewhere = {Reason.INSTANCE_ENDED, Reason.NETWORK_REMOVED}
    assert set(states.HINTS) == set(Reason) - elsewhere
    for reason in states.HINTS:
        text = states.hint(reason, service_name=SERVICE_NAME, endpoint="", principal=PRINCIPAL)
        assert text
        assert "{" not in text


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        ("InvalidServiceName", "The Vpc Endpoint Service 'x' does not exist", Reason.NOT_ALLOWED),
        (
            "InvalidParameter",
            "The VPC endpoint service x does not support the availability zone of the subnet: subnet-1.",
            Reason.ZONE_MISMATCH,
        ),
        ("InvalidParameter", "something else", Reason.AWS_REFUSED),
        ("VpcEndpointLimitExceeded", "The maximum number of VPC endpoints has been reached", Reason.QUOTA),
        ("AuthFailure", "AWS was not able to validate the provided access credentials", Reason.CREDENTIALS),
    ],
)
def test_refusals_have_reasons(code: str, message: str, reason: Reason) -> None:
    assert states.refusal(code, message) is reason
