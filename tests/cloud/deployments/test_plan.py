"""A deployment's next step follows from what AWS shows, resumes anywhere, and always leads out again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import replace as changed
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.cloud.deployments import boot, plan
from tieline.cloud.deployments.network import chosen_zones, layout, network
from tieline.cloud.deployments.plan import (
    CreateSubnet,
    CreateVpc,
    DeleteSubnet,
    DeleteVpc,
    Forget,
    Instance,
    Observed,
    Retag,
    RunInstance,
    Show,
    Step,
    Terminate,
)
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import Address, Deployment, DeploymentStatus, Reason

ZONES = ("use1-az1", "use1-az2")
NEW = Deployment(
    id="dep-1",
    name="demo",
    provider="fabric",
    cidr="10.0.0.0/16",
    subnets=layout("10.0.0.0/16", ZONES),
    mqtt=Address(host="127.0.0.1", port=1883),
    broker=Address(host="0.0.0.0", port=1883),
    created="2026-01-01T00:00:00Z",
    token_hash="0",
)
MACHINE = boot.Machine("/usr/bin/python3", Address(host="127.0.0.1", port=8080), Path("/var/lib/tieline/agents"))
TAGS = boot.tags(MACHINE, NEW)
SUBNETS = {"use1-az1": "subnet-1", "use1-az2": "subnet-2"}


def steps(deployment: Deployment, observed: Observed, links: int = 0) -> tuple[Step, ...]:
    return plan.plan(deployment, observed, TAGS, links)


def instance(state: str) -> Instance:
    return Instance("i-1", state, TAGS)


def leaving(deployment: Deployment) -> Deployment:
    return deployment.model_copy(update={"status": DeploymentStatus.DELETING})


def test_it_is_built_from_the_ground() -> None:
    assert steps(NEW, Observed()) == (CreateVpc(),)
    assert steps(NEW, Observed("vpc-1")) == tuple(CreateSubnet("vpc-1", subnet) for subnet in NEW.subnets)
    half = Observed("vpc-1", {"use1-az1": "subnet-1"})
    assert steps(NEW, half) == (CreateSubnet("vpc-1", NEW.subnets[1]),)
    assert steps(NEW, Observed("vpc-1", SUBNETS)) == (RunInstance("subnet-1"),)


def test_it_runs_when_its_agent_has_reported_a_broker() -> None:
    observed = Observed("vpc-1", SUBNETS, instance("running"))
    [show] = steps(NEW, observed)
    assert isinstance(show, Show)
    early = plan.shown(NEW, show, "now")
    assert (early.status, early.vpc, early.instance) == (DeploymentStatus.CREATING, "vpc-1", "i-1")
    assert [subnet.id for subnet in early.subnets] == ["subnet-1", "subnet-2"]
    assert steps(early, observed) == ()
    [show] = steps(early.model_copy(update={"joined": True}), observed)
    assert isinstance(show, Show)
    assert show.status is DeploymentStatus.RUNNING


def test_moved_passages_are_told_to_a_running_instance() -> None:
    old = Instance("i-1", "running", {**TAGS, boot.EGRESS_TAG: "8080->127.0.0.1:1"})
    assert steps(NEW, Observed("vpc-1", SUBNETS, old))[-1] == Retag("i-1", TAGS)


@pytest.mark.parametrize(
    ("observed", "reason"),
    [
        (Observed(), Reason.NETWORK_REMOVED),
        (Observed("vpc-1", SUBNETS), Reason.INSTANCE_ENDED),
        (Observed("vpc-1", SUBNETS, instance("terminated")), Reason.INSTANCE_ENDED),
    ],
)
def test_what_somebody_removed_fails_it_and_says_so(observed: Observed, reason: Reason) -> None:
    built = NEW.model_copy(update={"vpc": "vpc-1", "instance": "i-1", "status": DeploymentStatus.RUNNING})
    [show] = steps(built, observed)
    assert isinstance(show, Show)
    after = plan.shown(built, show, "now")
    assert (after.status, after.reason) == (DeploymentStatus.FAILED, reason)
    assert after.hint
    assert steps(after, observed) == ()


def test_it_is_taken_down_in_order() -> None:
    gone = leaving(NEW)
    whole = Observed("vpc-1", SUBNETS, instance("running"))
    assert steps(gone, whole, links=1) == ()
    assert steps(gone, whole) == (Terminate("i-1"),)
    assert steps(gone, changed(whole, instance=instance("shutting-down"))) == ()
    ended = changed(whole, instance=instance("terminated"))
    assert steps(gone, ended) == (DeleteSubnet("subnet-1"), DeleteSubnet("subnet-2"))
    assert steps(gone, changed(ended, subnets={})) == (DeleteVpc("vpc-1"),)
    assert steps(gone, Observed()) == (Forget(),)


@dataclass
class World:
    """AWS, where each step does what it says, and anything may vanish."""

    observed: Observed = field(default_factory=Observed)
    deployment: Deployment | None = NEW

    def reconcile(self) -> None:
        if self.deployment is not None:
            for step in steps(self.deployment, self.observed):
                self.apply(self.deployment, step)

    def apply(self, deployment: Deployment, step: Step) -> None:
        seen = self.observed
        match step:
            case CreateVpc():
                self.observed = Observed("vpc-1")
            case CreateSubnet(_, subnet):
                self.observed = changed(seen, subnets={**seen.subnets, subnet.zone: f"subnet-{subnet.zone}"})
            case RunInstance():
                self.observed = changed(seen, instance=instance("running"))
            case Terminate():
                self.observed = changed(seen, instance=instance("terminated"))
            case DeleteSubnet(id):
                left = {zone: subnet for zone, subnet in seen.subnets.items() if subnet != id}
                self.observed = changed(seen, subnets=left)
            case DeleteVpc():
                assert not seen.subnets
                self.observed = Observed(instance=seen.instance)
            case Show():
                self.deployment = plan.shown(deployment, step, "now")
            case Forget():
                self.deployment = None

    def delete(self) -> None:
        """Somebody wants it gone."""
        assert self.deployment is not None
        self.deployment = leaving(self.deployment)

    def accident(self, kind: str) -> None:
        """Something happens that nobody asked for."""
        states = [*plan.INSTANCE_STATES]
        if kind == "joined" and self.deployment:
            self.deployment = self.deployment.model_copy(update={"joined": True})
        elif kind == "lost":
            self.observed = Observed()
        elif kind in states and self.observed.instance:
            self.observed = changed(self.observed, instance=instance(kind))


@given(st.lists(st.sampled_from(["nothing", "joined", "lost", *plan.INSTANCE_STATES]), max_size=10))
def test_it_can_be_deleted_whatever_happened_to_it(accidents: Sequence[str]) -> None:
    world = World()
    for accident in accidents:
        world.accident(accident)
        world.reconcile()
        assert world.deployment is not None
        if world.deployment.status is DeploymentStatus.FAILED:
            assert world.deployment.reason is not None
            assert world.deployment.hint
    world.delete()
    for _ in range(5):
        if world.observed.instance and world.observed.instance.state == "shutting-down":
            world.accident("terminated")
        world.reconcile()
    assert (world.deployment, world.observed.vpc) == (None, "")


def test_the_boot_script_keeps_the_token_off_the_command_line() -> None:
    script = boot.user_data(MACHINE, NEW, "tlj_dep-1_secret")
    lines = script.splitlines()
    assert lines[0] == "#!/bin/sh"
    assert lines[1] == "export TIELINE_JOIN=tlj_dep-1_secret"
    assert "secret" not in lines[2]
    assert "--platform http://127.0.0.1:8080 --state /var/lib/tieline/agents/dep-1" in lines[2]


def test_the_tags_open_the_passages() -> None:
    assert TAGS["tieline:ingress"] == "127.0.0.1:1883->1883"
    assert TAGS["tieline:egress"] == "8080->127.0.0.1:8080"


@given(st.integers(16, 26), st.integers(1, 3))
def test_subnets_lie_in_the_network_and_apart(prefix: int, count: int) -> None:
    whole = network(f"10.0.0.0/{prefix}")
    found = [IPv4Network(subnet.cidr) for subnet in layout(str(whole), [f"z{n}" for n in range(count)])]
    for position, part in enumerate(found):
        assert part.subnet_of(whole)
        assert not any(part.overlaps(other) for other in found[:position])


def test_zones_are_named_or_the_first_two() -> None:
    available = ("use1-az4", "use1-az1", "use1-az2")
    assert chosen_zones((), available) == ("use1-az1", "use1-az2")
    assert chosen_zones(("use1-az4",), available) == ("use1-az4",)
    for wrong in (("us-east-1a",), ("use1-az1", "use1-az1")):
        with pytest.raises(PlatformError, match="use1-az4"):
            chosen_zones(wrong, available)
