"""ELBv2: listeners, each a port of a load balancer that forwards to one target group."""

from __future__ import annotations

from typing import Any

import msgspec

from tieline.fabric.aws.operations.elbv2 import balancers, target_groups, targets
from tieline.fabric.aws.operations.elbv2.balancing import (
    attribute_list,
    chosen_by_arn,
    elb_page,
    elb_tags,
    merged_attributes,
)
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, operation
from tieline.fabric.core.records import Listener, LoadBalancer, TargetGroup

NOT_FOUND = "ListenerNotFound", "One or more listeners not found"
PER_BALANCER = 50  # listeners of one network load balancer (AWS quota)
PAIRS = {"TCP": {"TCP", "TCP_UDP"}, "UDP": {"UDP", "TCP_UDP"}, "TCP_UDP": {"TCP_UDP"}}  # aws.md, section 3
OVERLAP = {"TCP": {"TCP", "TCP_UDP"}, "UDP": {"UDP", "TCP_UDP"}, "TCP_UDP": {"TCP", "UDP", "TCP_UDP"}}
ATTRIBUTES = {"tcp.idle_timeout.seconds": "350"}
SETTABLE = {"tcp.idle_timeout.seconds": r"[6-9]\d|[1-9]\d{2}|[1-5]\d{3}|6000"}  # 60 to 6000


@operation("elbv2", "CreateListener", "LoadBalancerArn Protocol Port DefaultActions Tags")
def create_listener(call: Call) -> Answer:
    """Creating the same listener again gives the one that is there (AWS)."""
    balancer = balancers.find(call)
    protocol, port = call.p.get("Protocol", "TCP"), call.p.get("Port", 0)
    siblings = call.world.where(Listener, "balancer", balancer.id)
    group = _forwarded(call, balancer)
    same = [one for one in siblings if (one.protocol, one.port, one.group) == (protocol, port, group.id)]
    if same:
        return {"Listeners": [render(same[0])]}
    if len(siblings) >= PER_BALANCER:
        raise AwsError("TooManyListeners", f"A load balancer can have at most {PER_BALANCER} listeners.")
    _check_port(balancer, siblings, protocol, port)
    _check_pair(protocol, group)
    kind, name, id = balancer.id.split("/")[1:]
    listener = call.world.put(
        Listener(
            id=call.arn("elasticloadbalancing", f"listener/{kind}/{name}/{id}/{call.ids.hex(16)}"),
            owner=call.caller.account,
            tags=elb_tags(call),
            balancer=balancer.id,
            protocol=protocol,
            port=port,
            group=group.id,
        )
    )
    targets.check_quota(call, (balancer, [listener]))
    return {"Listeners": [render(listener)]}


def _check_port(balancer: LoadBalancer, siblings: list[Listener], protocol: str, port: int) -> None:
    if protocol not in PAIRS:
        raise AwsError("UnsupportedProtocol", f"tieline's listeners carry TCP, UDP and TCP_UDP, not {protocol}.")
    if not 1 <= port <= 65535:
        raise AwsError("ValidationError", f"Port must be a number from 1 to 65535, not {port}.")
    if any(other.port == port and other.protocol in OVERLAP[protocol] for other in siblings):
        message = f"A listener already exists on this port for this load balancer '{balancer.id}'"
        raise AwsError("DuplicateListener", message)


def _check_pair(protocol: str, group: TargetGroup) -> None:
    if group.protocol not in PAIRS[protocol]:
        message = f"A {protocol} listener cannot forward to a target group with protocol {group.protocol}."
        raise AwsError("IncompatibleProtocols", message)


def _forwarded(call: Call, balancer: LoadBalancer) -> TargetGroup:
    """The one target group that the actions forward to, which must fit the balancer."""
    actions = call.p["DefaultActions"]
    if len(actions) != 1 or actions[0].get("Type") != "forward":
        raise AwsError("ValidationError", "A network load balancer's listener has one default action, of type forward.")
    arn = actions[0].get("TargetGroupArn")
    weighted = actions[0].get("ForwardConfig", {}).get("TargetGroups", [])
    arns = {arn, *(item.get("TargetGroupArn") for item in weighted)} - {None}
    if len(arns) != 1:
        raise AwsError("ValidationError", f"tieline forwards to exactly one target group, not to {len(arns)}.")
    group = call.find(TargetGroup, arns.pop(), *target_groups.NOT_FOUND)
    if group.vpc != balancer.vpc:
        message = f"The target group is in {group.vpc}, the load balancer in {balancer.vpc}."
        raise AwsError("InvalidConfigurationRequest", message)
    user = targets.used_by(call, group)
    if user is not None and user.id != balancer.id:
        message = f"The following target groups cannot be associated with more than one load balancer: {group.id}"
        raise AwsError("TargetGroupAssociationLimit", message)
    return group


def render(listener: Listener) -> dict[str, Any]:
    forward = {"TargetGroups": [{"TargetGroupArn": listener.group, "Weight": 1}]}
    action = {"Type": "forward", "Order": 1, "TargetGroupArn": listener.group, "ForwardConfig": forward}
    return {
        "ListenerArn": listener.id,
        "LoadBalancerArn": listener.balancer,
        "Port": listener.port,
        "Protocol": listener.protocol,
        "DefaultActions": [action],
    }


@operation("elbv2", "DescribeListeners", "LoadBalancerArn ListenerArns Marker PageSize")
def describe_listeners(call: Call) -> Answer:
    chosen = chosen_by_arn(call, Listener, "ListenerArns", NOT_FOUND)
    if call.p.get("LoadBalancerArn"):
        balancer = balancers.find(call)
        chosen = [listener for listener in chosen if listener.balancer == balancer.id]
    return elb_page(call, chosen, "Listeners", render)


def find(call: Call) -> Listener:
    """The caller's listener that the request names."""
    return call.find(Listener, call.p["ListenerArn"], *NOT_FOUND)


@operation("elbv2", "ModifyListener", "ListenerArn Port Protocol DefaultActions")
def modify_listener(call: Call) -> Answer:
    listener = find(call)
    balancer = call.world.get(LoadBalancer, listener.balancer)
    assert balancer is not None, "a listener goes with its load balancer"
    protocol, port = call.p.get("Protocol", listener.protocol), call.p.get("Port", listener.port)
    siblings = [o for o in call.world.where(Listener, "balancer", balancer.id) if o.id != listener.id]
    _check_port(balancer, siblings, protocol, port)
    group = _forwarded(call, balancer) if call.p.get("DefaultActions") else call.world.get(TargetGroup, listener.group)
    assert group is not None, "a target group cannot be deleted while a listener has it"
    _check_pair(protocol, group)
    listener = call.world.put(msgspec.structs.replace(listener, protocol=protocol, port=port, group=group.id))
    targets.check_quota(call, (balancer, [listener]))
    return {"Listeners": [render(listener)]}


@operation("elbv2", "DeleteListener", "ListenerArn")
def delete_listener(call: Call) -> Answer:
    call.world.delete(find(call))
    return {}


@operation("elbv2", "DescribeListenerAttributes", "ListenerArn")
def describe_listener_attributes(call: Call) -> Answer:
    return {"Attributes": attribute_list(ATTRIBUTES | find(call).attributes)}


@operation("elbv2", "ModifyListenerAttributes", "ListenerArn Attributes")
def modify_listener_attributes(call: Call) -> Answer:
    listener = find(call)
    attributes = merged_attributes(call, listener.attributes, ATTRIBUTES, SETTABLE)
    call.world.put(msgspec.structs.replace(listener, attributes=attributes))
    return {"Attributes": attribute_list(ATTRIBUTES | attributes)}


@operation("elbv2", "DescribeRules", "ListenerArn RuleArns Marker PageSize")
def describe_rules(call: Call) -> Answer:
    """A network load balancer's listener has its default rule only."""
    arns = call.p.get("RuleArns", [])
    if bool(arns) == bool(call.p.get("ListenerArn")):
        raise AwsError("ValidationError", "You must specify either a listener ARN or rule ARNs")
    by_rule = {_rule_arn(listener): listener for listener in call.mine(Listener)} if arns else {}
    if any(arn not in by_rule for arn in arns):
        raise AwsError("RuleNotFound", "One or more rules not found")
    chosen = [by_rule[arn] for arn in dict.fromkeys(arns)] or [find(call)]
    return elb_page(call, chosen, "Rules", _rule)


def _rule_arn(listener: Listener) -> str:
    return listener.id.replace(":listener/", ":listener-rule/") + "/default"


def _rule(listener: Listener) -> dict[str, Any]:
    actions = render(listener)["DefaultActions"]
    default = {"Priority": "default", "Conditions": [], "IsDefault": True}
    return default | {"RuleArn": _rule_arn(listener), "Actions": actions}
