"""EC2: an instance's attributes, status and credits, and why it cannot be stopped."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec

from tieline.fabric.aws.operations.instances.instance_filters import CODES
from tieline.fabric.aws.operations.instances.instances import CANNOT_STOP, NOT_FOUND
from tieline.fabric.aws.operations.vpc.security_groups import groups_for
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, chosen_by_id, listing, operation
from tieline.fabric.core import zones
from tieline.fabric.core.records import Instance, NetworkInterface, SecurityGroup, Subnet


def _value(value: object) -> dict[str, object]:
    return {"Value": value}


ATTRIBUTES: dict[str, tuple[str, Callable[[Instance], Any]]] = {
    "userData": ("UserData", lambda i: _value(base64.b64encode(i.user_data.encode()).decode())),
    "instanceType": ("InstanceType", lambda i: _value(i.type)),
    "disableApiTermination": ("DisableApiTermination", lambda i: _value(i.protected)),
    "disableApiStop": ("DisableApiStop", lambda _: _value(False)),
    "instanceInitiatedShutdownBehavior": ("InstanceInitiatedShutdownBehavior", lambda _: _value("terminate")),
    "sourceDestCheck": ("SourceDestCheck", lambda _: _value(True)),
    "ebsOptimized": ("EbsOptimized", lambda _: _value(False)),
    "blockDeviceMapping": ("BlockDeviceMappings", lambda _: []),
    "productCodes": ("ProductCodes", lambda _: []),
}


@operation("ec2", "DescribeInstanceAttribute", "InstanceId Attribute")
def describe_instance_attribute(call: Call) -> Answer:
    instance = call.find(Instance, call.p["InstanceId"], *NOT_FOUND)
    name = call.p["Attribute"]
    if name == "groupSet":
        interface = call.world.get(NetworkInterface, instance.interface)
        ids = interface.groups if interface else ()
        groups = [g for id in ids if (g := call.world.get(SecurityGroup, id))]
        return {"InstanceId": instance.id, "Groups": [{"GroupId": g.id, "GroupName": g.name} for g in groups]}
    if name not in ATTRIBUTES:
        known = ", ".join([*ATTRIBUTES, "groupSet"])
        raise AwsError("UnsupportedOperation", f"An instance here has no attribute {name}. It has {known}.")
    member, value = ATTRIBUTES[name]
    return {"InstanceId": instance.id, member: value(instance)}


@operation("ec2", "ModifyInstanceAttribute", "InstanceId DisableApiTermination Groups")
def modify_instance_attribute(call: Call) -> Answer:
    instance = call.find(Instance, call.p["InstanceId"], *NOT_FOUND)
    if "DisableApiTermination" in call.p:
        protected = call.p["DisableApiTermination"].get("Value", False)
        call.world.put(msgspec.structs.replace(instance, protected=protected))
    interface = call.world.get(NetworkInterface, instance.interface)
    if call.p.get("Groups"):
        if interface is None:
            raise AwsError("IncorrectInstanceState", f"The instance '{instance.id}' is {instance.state}.")
        groups = groups_for(call, call.p["Groups"], instance.vpc)
        call.world.put(msgspec.structs.replace(interface, groups=groups))
    return {}


@operation("ec2", "DescribeInstanceCreditSpecifications", "InstanceIds Filters MaxResults NextToken")
def describe_instance_credit_specifications(call: Call) -> Answer:
    """Recorded only: an instance has the machine's processors, whatever its credits."""
    chosen = [i for i in chosen_by_id(call, Instance, "InstanceIds", *NOT_FOUND) if i.state in ("pending", "running")]
    fields: dict[str, Callable[[Instance], str]] = {"instance-id": lambda i: i.id}
    return listing(
        call,
        chosen,
        fields,
        "InstanceCreditSpecifications",
        lambda i: {"InstanceId": i.id, "CpuCredits": i.credits},
    )


@operation("ec2", "DescribeInstanceStatus", "InstanceIds IncludeAllInstances Filters MaxResults NextToken")
def describe_instance_status(call: Call) -> Answer:
    """Running instances only, unless all are asked for (AWS)."""
    chosen = chosen_by_id(call, Instance, "InstanceIds", *NOT_FOUND)
    if not call.p.get("IncludeAllInstances"):
        chosen = [i for i in chosen if i.state == "running"]
    fields = {
        "instance-state-name": lambda i: i.state,
        "instance-state-code": lambda i: str(CODES[i.state]),
        "instance-status.status": lambda i: _status(i)["Status"],
        "system-status.status": lambda i: _status(i)["Status"],
        "availability-zone": lambda i: _zone(call, i),
    }
    return listing(call, chosen, fields, "InstanceStatuses", lambda i: _render_status(call, i))


def _status(instance: Instance) -> dict[str, Any]:
    if instance.state == "running":  # it is running only when the kernel has it as it should be
        return {"Status": "ok", "Details": [{"Name": "reachability", "Status": "passed"}]}
    if instance.state == "pending":
        return {"Status": "initializing", "Details": [{"Name": "reachability", "Status": "initializing"}]}
    return {"Status": "not-applicable", "Details": []}


def _zone(call: Call, instance: Instance) -> str:
    subnet = call.world.get(Subnet, instance.subnet)
    return zones.zone_name(call.account, call.region, subnet.zone) if subnet else ""


def _render_status(call: Call, instance: Instance) -> dict[str, Any]:
    return {
        "InstanceId": instance.id,
        "AvailabilityZone": _zone(call, instance),
        "InstanceState": {"Code": CODES[instance.state], "Name": instance.state},
        "InstanceStatus": _status(instance),
        "SystemStatus": _status(instance),
        "Events": [],
    }


@operation("ec2", "StopInstances", "InstanceIds Hibernate Force SkipOsShutdown")
def stop_instances(call: Call) -> Answer:
    """Refused as AWS refuses it for instances whose root is an instance store."""
    for id in call.p["InstanceIds"]:
        instance = call.find(Instance, id, *NOT_FOUND)
        message = f"The instance '{instance.id}' does not have an 'ebs' root device type and cannot be stopped. "
        raise AwsError("UnsupportedOperation", message + CANNOT_STOP)
    return {"StoppingInstances": []}


@operation("ec2", "StartInstances", "InstanceIds")
def start_instances(call: Call) -> Answer:
    """Only a stopped instance can be started, and none here can be stopped; starting a running one changes nothing."""
    found = [call.find(Instance, id, *NOT_FOUND) for id in call.p["InstanceIds"]]
    for instance in found:
        if instance.state not in ("pending", "running"):
            message = f"The instance '{instance.id}' is not in a state from which it can be started."
            raise AwsError("IncorrectInstanceState", message)
    return {
        "StartingInstances": [
            {"InstanceId": i.id, "PreviousState": _state(i), "CurrentState": _state(i)} for i in found
        ]
    }


def _state(instance: Instance) -> dict[str, Any]:
    return {"Code": CODES[instance.state], "Name": instance.state}
