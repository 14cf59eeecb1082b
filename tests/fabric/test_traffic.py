"""What the planner makes of targets' health: where new flows go, whose old ones end, which zones are in DNS."""

from __future__ import annotations

from msgspec.structs import replace

from fabric.worlds import REGION, Fabric
from tieline.fabric.core import health
from tieline.fabric.core.records import Health, Listener, LoadBalancer, TargetGroup
from tieline.fabric.core.topology import Node, Target

ZONES = ("use1-az1", "use1-az2")
FIRST, SECOND = "10.0.1.10", "10.0.2.10"
FAILOVER, ROUTING = health.FAILOVER, health.ROUTING


class Scene:
    """A balancer in two zones with a target in each, of a customer; an endpoint of it, of the platform."""

    def __init__(self, **attributes: str) -> None:
        self.fabric = Fabric()
        self.customer, self.platform = self.fabric.customer, self.fabric.platform
        self.vpc, subnets = self.customer.network(ZONES)
        self.arn = self.customer.balancer(self.vpc, subnets, target=FIRST)
        self.group = self.fabric.world.all(TargetGroup)[0].id
        self.customer.elb("RegisterTargets", TargetGroupArn=self.group, Targets=[{"Id": SECOND}])
        _, name = self.customer.service(self.arn, self.platform, acceptance=False)
        self.own, own_subnets = self.platform.network(ZONES)
        self.platform.endpoint(self.own, name, own_subnets)
        self.modify(**attributes)
        self.health(FIRST, "healthy")
        self.health(SECOND, "healthy")

    def modify(self, **attributes: str) -> None:
        wanted = [{"Key": key.replace("__", "."), "Value": value} for key, value in attributes.items()]
        if wanted:
            self.customer.elb("ModifyTargetGroupAttributes", TargetGroupArn=self.group, Attributes=wanted)

    def health(self, target: str, state: str) -> None:
        world, id = self.fabric.world, health.key(self.group, target, 5432)
        with world.transaction():
            owner = self.customer.id
            world.put(Health(id=id, owner=owner, group=self.group, state=state, since=self.fabric.now))

    def drain(self, target: str) -> None:
        self.customer.elb("DeregisterTargets", TargetGroupArn=self.group, Targets=[{"Id": target}])

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.fabric.plan().vpcs[self.vpc].nodes

    def targets(self) -> list[list[str]]:
        """Of each node, by zone."""
        return [[t.address for t in node.listeners[0].targets] for node in self.nodes]

    def severed(self) -> list[set[str]]:
        return [{one.target.address for one in node.severed} for node in self.nodes]

    def regional(self) -> tuple[int, int]:
        """How many addresses the balancer's own name has, and the endpoint's regional one."""
        topology, balancer = self.fabric.plan(), self.fabric.world.all(LoadBalancer)[0]
        own = {name.name: name.addresses for name in topology.vpcs[self.vpc].names}
        there = {name.name: name.addresses for name in topology.vpcs[self.own].names}
        regional = min((name for name in there if name.startswith("vpce-")), key=len)
        assert all(len(addresses) == 1 for name, addresses in there.items() if name != regional)
        return len(own[balancer.dns_name]), len(there[regional])


def test_a_failed_target_gets_nothing_new_and_its_flows_end_once() -> None:
    scene = Scene(load_balancing__cross_zone__enabled="true")
    assert scene.targets() == [[FIRST, SECOND]] * 2 and scene.severed() == [set(), set()]
    scene.health(FIRST, "unhealthy")
    assert scene.targets() == [[SECOND]] * 2 and scene.severed() == [{FIRST}, {FIRST}]
    first = scene.nodes[0].severed
    scene.fabric.now = scene.fabric.now.replace(hour=5)
    assert scene.nodes[0].severed == first, "the same failure is the same severance, whenever it is planned"
    scene.health(FIRST, "unhealthy")
    assert scene.nodes[0].severed != first


def test_flows_of_a_failed_target_go_on_where_the_group_says_so() -> None:
    scene = Scene(target_health_state__unhealthy__connection_termination__enabled="false")
    scene.health(FIRST, "unhealthy")
    assert scene.severed() == [set(), set()]


def test_a_balancer_fails_open_and_still_ends_the_old_flows() -> None:
    scene = Scene(load_balancing__cross_zone__enabled="true")
    scene.health(FIRST, "unhealthy")
    scene.health(SECOND, "unhealthy")
    assert scene.targets() == [[FIRST, SECOND]] * 2
    assert scene.severed() == [{FIRST, SECOND}] * 2


def test_a_draining_targets_flows_end_after_the_delay_only_if_asked_for() -> None:
    for wanted in ("true", "false"):
        scene = Scene(
            deregistration_delay__timeout_seconds="60", deregistration_delay__connection_termination__enabled=wanted
        )
        scene.drain(FIRST)
        assert scene.targets() == [[], [SECOND]] and scene.severed() == [set(), set()]
        scene.fabric.pass_time(seconds=61)
        assert scene.severed() == ([{FIRST}, {FIRST}] if wanted == "true" else [set(), set()])
        scene.fabric.pass_time(seconds=15)
        shown = scene.customer.elb("DescribeTargetHealth", TargetGroupArn=scene.group)["TargetHealthDescriptions"]
        assert [one["Target"]["Id"] for one in shown] == [SECOND] and scene.severed() == [set(), set()]


def test_a_target_that_is_registered_again_keeps_its_new_flows() -> None:
    scene = Scene(
        deregistration_delay__timeout_seconds="0", deregistration_delay__connection_termination__enabled="true"
    )
    scene.drain(FIRST)
    scene.fabric.pass_time(seconds=1)
    assert scene.severed()[0] == {FIRST}
    scene.customer.elb("RegisterTargets", TargetGroupArn=scene.group, Targets=[{"Id": FIRST}])
    assert scene.severed()[0] == set()


def test_a_zone_without_healthy_targets_leaves_the_regional_names() -> None:
    scene = Scene()
    assert scene.regional() == (2, 2)
    scene.health(FIRST, "unhealthy")
    assert scene.regional() == (1, 1)
    scene.health(SECOND, "unhealthy")
    assert scene.regional() == (2, 2), "with none left, all are as good"
    scene.health(FIRST, "healthy")
    scene.modify(load_balancing__cross_zone__enabled="true")
    assert scene.regional() == (2, 2), "any zone's targets serve both"


def test_dns_failover_counts_and_percentages() -> None:
    scene = Scene(load_balancing__cross_zone__enabled="true")
    world, balancer = scene.fabric.world, scene.arn
    scene.health(FIRST, "unhealthy")
    for count, percentage, serves in (("1", "off", True), ("2", "off", False), ("off", "50", True), ("1", "51", False)):
        both = {FAILOVER + "count": count, FAILOVER + "percentage": percentage}
        scene.modify(**both)
        assert health.zone_serves(world, balancer, ZONES[0]) is serves, both


def test_a_balancer_fails_open_where_fewer_are_healthy_than_its_group_wants() -> None:
    scene = Scene(load_balancing__cross_zone__enabled="true")
    scene.health(FIRST, "unhealthy")
    for count, percentage, all_of_them in (
        ("1", "off", False),
        ("2", "off", True),
        ("1", "50", False),
        ("1", "51", True),
    ):
        scene.modify(**{ROUTING + "count": count, ROUTING + "percentage": percentage})
        assert scene.targets()[0] == ([FIRST, SECOND] if all_of_them else [SECOND]), (count, percentage)


def test_stickiness_reaches_the_listener() -> None:
    scene = Scene(stickiness__enabled="true")
    assert all(one.sticky for node in scene.nodes for one in node.listeners)


def test_a_listener_has_both_protocols_and_its_own_idle_timeout() -> None:
    fabric = Fabric()
    vpc, subnets = fabric.customer.network(ZONES[:1])
    call = fabric.customer.elb
    group = call("CreateTargetGroup", Name="both", Protocol="TCP_UDP", Port=53, VpcId=vpc, TargetType="ip")
    arn = group["TargetGroups"][0]["TargetGroupArn"]
    made = call("CreateLoadBalancer", Name="both", Subnets=subnets, Scheme="internal", Type="network")
    balancer = made["LoadBalancers"][0]["LoadBalancerArn"]
    actions = [{"Type": "forward", "TargetGroupArn": arn}]
    call("CreateListener", LoadBalancerArn=balancer, Protocol="TCP_UDP", Port=53, DefaultActions=actions)
    listener = fabric.world.all(Listener)[0].id
    longer = [{"Key": "tcp.idle_timeout.seconds", "Value": "600"}]
    call("ModifyListenerAttributes", ListenerArn=listener, Attributes=longer)
    call("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": FIRST}])
    (node,) = fabric.plan().vpcs[vpc].nodes
    assert {one.protocol: one.idle_timeout for one in node.listeners} == {"tcp": 600, "udp": 120}
    assert {one.targets for one in node.listeners} == {(Target(address=FIRST, port=53),)}


def test_the_region_is_the_names_own() -> None:
    scene = Scene()
    names = [name.name for name in scene.fabric.plan().vpcs[scene.own].names]
    assert len(names) == 3 and all(name.endswith(f"{REGION}.vpce.amazonaws.com") for name in names)
    assert replace(scene.nodes[0], severed=()) == scene.nodes[0]
