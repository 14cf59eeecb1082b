"""What is exposed is planned from what is there: all of it, nothing twice, and never over what others made."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tieline.client.connect import plan as steps
from tieline.client.connect.plan import plan
from tieline.client.provider.account import Balancer, Group, Listener, Seen, Service, Subnet
from tieline.client.provider.exposure import LONGEST, Exposure, balancer_name, exposure, group_name
from tieline.cloud.model.problems import PlatformError

ZONES = ("use1-az1", "use1-az2")
SUBNETS = (Subnet("subnet-1", "use1-az1"), Subnet("subnet-2", "use1-az2"), Subnet("subnet-3", "use1-az3"))
ARN = "arn:aws:iam::111122223333:root"
WANTED = exposure("orders", "vpc-1", ("10.0.1.10:5432",), ZONES, (ARN,))


def complete(wanted: Exposure = WANTED) -> Seen:
    """Everything as it should be."""
    groups = {
        group_name(wanted.name, port): Group(
            f"arn:{port}", "ip", "vpc-1", frozenset((one.host, one.port) for one in wanted.behind(port))
        )
        for port in wanted.ports
    }
    listeners = tuple(Listener(f"arn:l{port}", port, f"arn:{port}") for port in wanted.ports)
    balancer = Balancer("arn:lb", vpc="vpc-1", subnets=dict(zip(ZONES, ("subnet-1", "subnet-2"), strict=True)))
    service = Service("vpce-svc-1", "com…vpce-svc-1", frozenset({ARN}), frozenset(ZONES), frozenset({"arn:lb"}))
    return Seen(SUBNETS, groups, replace(balancer, cross_zone=True), listeners, service)


def test_from_nothing_every_step_is_planned_in_order() -> None:
    kinds = [type(step) for step in plan(WANTED, Seen(SUBNETS))]
    assert kinds == [
        steps.CreateGroup,
        steps.Register,
        steps.CreateBalancer,
        steps.CrossZones,
        steps.CreateListener,
        steps.CreateService,
        steps.Allow,
    ]


def test_only_the_zones_of_the_consumer_are_used() -> None:
    [balancer] = [step for step in plan(WANTED, Seen(SUBNETS)) if isinstance(step, steps.CreateBalancer)]
    assert balancer.subnets == {"use1-az1": "subnet-1", "use1-az2": "subnet-2"}


def test_what_is_complete_needs_nothing() -> None:
    assert plan(WANTED, complete()) == ()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"service": None}, (steps.CreateService(), steps.Allow((ARN,)))),
        ({"listeners": ()}, (steps.CreateListener(5432, "tl-orders-5432"),)),
        ({"listeners": (Listener("arn:l", 5432, "arn:other"),)}, (steps.PointListener(5432, "tl-orders-5432"),)),
    ],
)
def test_what_is_missing_is_made(changed: dict[str, object], expected: tuple[steps.Step, ...]) -> None:
    assert plan(WANTED, replace(complete(), **changed)) == expected  # type: ignore[arg-type]


def test_a_backend_that_moved_replaces_the_old_one_and_leaves_other_ports_alone() -> None:
    both = exposure("orders", "vpc-1", ("10.0.1.10:5432", "10.0.1.11:6379"), ZONES, (ARN,))
    moved = exposure("orders", "vpc-1", ("10.0.1.99:5432",), ZONES, (ARN,))
    assert plan(moved, complete(both)) == (
        steps.Register("tl-orders-5432", (("10.0.1.99", 5432),)),
        steps.Deregister("tl-orders-5432", (("10.0.1.10", 5432),)),
    )


def test_a_zone_that_the_consumer_gained_is_added_and_offered() -> None:
    more = replace(WANTED, zones=(*ZONES, "use1-az3"))
    assert [type(step) for step in plan(more, complete())] == [steps.SetSubnets, steps.RefreshService]


def test_no_zone_in_common_names_both_sets() -> None:
    with pytest.raises(PlatformError) as refused:
        plan(replace(WANTED, zones=("use1-az6",)), Seen(SUBNETS))
    assert refused.value.code == "ZONE_MISMATCH"
    for zone in ("use1-az6", "use1-az1", "use1-az3"):
        assert zone in refused.value.message


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (replace(complete(), balancer=Balancer("arn:lb", vpc="vpc-1", ours=False)), "NAME_TAKEN"),
        (replace(complete(), balancer=Balancer("arn:lb", vpc="vpc-1", scheme="internet-facing")), "LOAD_BALANCER"),
        (replace(complete(), balancer=Balancer("arn:lb", vpc="vpc-1", kind="gateway")), "LOAD_BALANCER"),
        (replace(complete(), groups={"tl-orders-5432": Group("arn:5432", "ip", "vpc-9")}), "TARGET_GROUP"),
        (replace(complete(), groups={"tl-orders-5432": Group("arn", "ip", "vpc-1", ours=False)}), "NAME_TAKEN"),
    ],
)
def test_what_others_made_is_left_alone(seen: Seen, code: str) -> None:
    with pytest.raises(PlatformError) as refused:
        plan(WANTED, seen)
    assert (refused.value.code, bool(refused.value.hint)) == (code, True)


@pytest.mark.parametrize(
    "target",
    ["db.internal:5432", "10.0.1.10", "http://10.0.1.10:80", "10.0.1.10:0", "10.0.1.10:99999", "x=10.0.1.10:1", ":1"],
)
def test_a_target_that_no_load_balancer_takes_is_refused(target: str) -> None:
    with pytest.raises(PlatformError) as refused:
        exposure("orders", "vpc-1", (target,))
    assert (refused.value.code, bool(refused.value.hint)) == ("INVALID_TARGET", True)


def test_one_port_has_one_kind_of_target() -> None:
    with pytest.raises(PlatformError):
        exposure("orders", "vpc-1", ("10.0.1.10:5432", "i-0123456789abcdef0:5432"))
    assert exposure("orders", "vpc-1", ("19092=10.0.1.10:9092", "19093=10.0.1.11:9092")).ports == (19092, 19093)


@settings(deadline=None)  # the machine may be busy
@given(some.text("azAZ09-_", min_size=1, max_size=60), some.integers(1, 65535))
def test_names_fit_what_aws_allows(name: str, port: int) -> None:
    for made in (balancer_name(name), group_name(name, port)):
        assert len(made) <= LONGEST
        assert made.replace("-", "").isalnum()
        assert not made.startswith("-")
        assert not made.endswith("-")


@settings(deadline=None)
@given(some.lists(some.text("ab_-", min_size=1, max_size=40), min_size=2, max_size=2, unique=True))
def test_different_names_stay_different(names: list[str]) -> None:
    assert balancer_name(names[0]) != balancer_name(names[1])
