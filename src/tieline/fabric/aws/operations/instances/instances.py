"""EC2: instances, which are real: a network, mount and process namespace that runs the user data as its boot script."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from tieline.fabric.aws.operations.instances.instance_filters import CODES, FIELDS, SHOWN
from tieline.fabric.aws.operations.tags import check_passages
from tieline.fabric.aws.operations.vpc import interfaces
from tieline.fabric.aws.operations.vpc.security_groups import groups_for
from tieline.fabric.aws.operations.vpc.subnets import NOT_FOUND as SUBNET_NOT_FOUND
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import (
    Answer,
    Call,
    asked,
    chosen_by_id,
    idle,
    listing,
    operation,
    repeated,
    tag_list,
    tags_of,
)
from tieline.fabric.core import names, sizes, zones
from tieline.fabric.core.records import Instance, NetworkInterface, SecurityGroup, Subnet

NOT_FOUND = "InvalidInstanceID.NotFound", "The instance ID '{id}' does not exist"
IMAGE = "local"  # the machine's own file system, seen through a private overlay
LAUNCHED = ("instance", "network-interface", "volume")  # what a launch can tag; there are no volumes here
MOST = 1000  # instances of an account
USER_DATA_LIMIT = 16384  # bytes (AWS)
CANNOT_STOP = "An instance's root is an instance store, so that it cannot be stopped: it can only be terminated."

ACCEPTS = """ImageId MinCount MaxCount InstanceType SubnetId PrivateIpAddress SecurityGroupIds UserData
ClientToken TagSpecifications DisableApiTermination CreditSpecification InstanceInitiatedShutdownBehavior
NetworkInterfaces"""
PLACE = frozenset({"DeviceIndex", "SubnetId", "PrivateIpAddress", "Groups", "DeleteOnTermination"})


@operation("ec2", "RunInstances", ACCEPTS)
def run_instances(call: Call) -> Answer:
    earlier = repeated(call, Instance, asked(call))
    if earlier:
        same = [i for i in call.mine(Instance) if i.reservation == earlier.reservation]
        return _reservation(call, same)
    if call.p.get("ImageId") != IMAGE:
        message = f"The image id '[{call.p.get('ImageId')}]' does not exist. The only image here is '{IMAGE}'."
        raise AwsError("InvalidAMIID.NotFound", message)
    place = _place(call)
    if not place.get("SubnetId"):
        raise AwsError("MissingInput", "No subnets found for the default VPC. Give a SubnetId.")
    subnet = call.find(Subnet, place["SubnetId"], *SUBNET_NOT_FOUND)
    count = call.p["MaxCount"]
    if not 1 <= call.p["MinCount"] <= count <= 100:
        raise AwsError(
            "InvalidParameterValue", "MinCount must be at least 1 and at most MaxCount, which is at most 100."
        )
    if sum(instance.state != "terminated" for instance in call.mine(Instance)) + count > MOST:
        raise AwsError("InstanceLimitExceeded", f"An account can have at most {MOST} instances.")
    if place.get("PrivateIpAddress") and count > 1:
        raise AwsError("InvalidParameterCombination", "A private address can be given to one instance only.")
    if call.p.get("InstanceInitiatedShutdownBehavior", "terminate") != "terminate":
        raise AwsError("UnsupportedOperation", CANNOT_STOP)
    tags = tags_of(call, "instance", *LAUNCHED)
    check_passages(call, tags)
    reservation, script = call.ids.new("r"), user_data(call.p.get("UserData", ""))
    return _reservation(call, [_start(call, subnet, place, reservation, script, tags) for _ in range(count)])


def user_data(encoded: str) -> str:
    """The boot script from its base64 form, as every client sends it. Raises for one that could not run."""
    try:
        raw = base64.b64decode(encoded, validate=True)
        text = raw.decode()
    except (binascii.Error, UnicodeDecodeError):
        raise AwsError("InvalidUserData.Malformed", "User data must be base64 of UTF-8 text.") from None
    if len(raw) > USER_DATA_LIMIT:
        raise AwsError("InvalidUserData.Malformed", f"User data is limited to {USER_DATA_LIMIT} bytes.")
    if text and not text.startswith("#!"):
        message = "User data must be a script that begins with #!, such as #!/bin/sh. tieline runs no cloud-config."
        raise AwsError("InvalidUserData.Malformed", message)
    return text


def _place(call: Call) -> dict[str, Any]:
    """Subnet, address and groups, which a request gives either by themselves or as its one network interface."""
    interfaces = call.p.get("NetworkInterfaces", [])
    alone = {key: call.p[key] for key in ("SubnetId", "PrivateIpAddress") if call.p.get(key)}
    groups = call.p.get("SecurityGroupIds", [])
    if not interfaces:
        return alone | {"Groups": groups}
    if alone or groups:
        message = "Network interfaces and an instance-level subnet, address or groups may not be given together."
        raise AwsError("InvalidParameterCombination", message)
    unknown = [key for key, value in interfaces[0].items() if key not in PLACE and not idle(value)]
    if interfaces[0].get("DeleteOnTermination") is False:
        unknown.append("DeleteOnTermination=false")
    if len(interfaces) > 1 or interfaces[0].get("DeviceIndex", 0) != 0 or unknown:
        message = f"tieline gives an instance one interface, described by {', '.join(sorted(PLACE))}."
        raise AwsError("UnsupportedOperation", message)
    return dict(interfaces[0])


def _start(
    call: Call, subnet: Subnet, asked_for: dict[str, Any], reservation: str, script: str, tags: dict[str, str]
) -> Instance:
    id = call.ids.new("i")
    groups = groups_for(call, asked_for.get("Groups", []), subnet.vpc)
    address = asked_for.get("PrivateIpAddress")
    place: dict[str, Any] = {
        "address": address,
        "groups": groups,
        "tags": tags_of(call, "network-interface", *LAUNCHED),
    }
    interface = interfaces.attach(call, subnet, purpose="interface", holder=id, **place)
    return call.world.put(
        Instance(
            id=id,
            owner=call.caller.account,
            tags=tags,
            vpc=subnet.vpc,
            subnet=subnet.id,
            interface=interface.id,
            address=interface.address,
            image=IMAGE,
            type=_type(call),
            user_data=script,
            reservation=reservation,
            launched=call.now,
            protected=call.p.get("DisableApiTermination", False),
            credits=call.p.get("CreditSpecification", {}).get("CpuCredits", "standard"),
            token=call.p.get("ClientToken", ""),
            request=asked(call),
        )
    )


def _type(call: Call) -> str:
    """Raises for a type whose size is not known; where none is named, an instance has the machine's size."""
    named: str = call.p.get("InstanceType") or ""
    if named and sizes.of(named) is None:
        raise AwsError("InvalidParameterValue", f"Invalid value '{named}' for InstanceType. Known are {sizes.KNOWN}.")
    return named or "t3.micro"


def _reservation(call: Call, instances: list[Instance]) -> Answer:
    return {
        "ReservationId": instances[0].reservation,
        "OwnerId": instances[0].owner,
        "Groups": [],
        "Instances": [render(call, instance) for instance in instances],
    }


def render(call: Call, instance: Instance) -> dict[str, Any]:
    interface = call.world.get(NetworkInterface, instance.interface)
    subnet = call.world.get(Subnet, instance.subnet)
    zone = zones.zone_name(call.account, call.region, subnet.zone) if subnet else ""
    answer: dict[str, Any] = {
        "InstanceId": instance.id,
        "ImageId": instance.image,
        "InstanceType": instance.type,
        "State": _state(instance.state),
        "LaunchTime": instance.launched,
        "AmiLaunchIndex": 0,
        "Architecture": "x86_64",
        "RootDeviceType": "instance-store",
        "Placement": {"AvailabilityZone": zone, "Tenancy": "default", "GroupName": ""},
        "Monitoring": {"State": "disabled"},
        "StateTransitionReason": instance.reason,
        "Tags": tag_list(instance.tags),
        "ClientToken": instance.token,
        "BlockDeviceMappings": [],
        "NetworkInterfaces": [],
        "SecurityGroups": [],
    }
    if instance.reason and instance.state in ("pending", "running"):
        answer["StateReason"] = {"Code": "Server.InternalError", "Message": instance.reason}
    if interface:
        dns = f"{names.host_name(instance.address)}.{names.private_domain(call.region)}"
        shown = interfaces.render(call, interface)
        groups = [g for id in interface.groups if (g := call.world.get(SecurityGroup, id))]
        answer |= {
            "VpcId": instance.vpc,
            "SubnetId": instance.subnet,
            "PrivateIpAddress": instance.address,
            "PrivateDnsName": dns,
            "SourceDestCheck": True,
            "SecurityGroups": [{"GroupId": g.id, "GroupName": g.name} for g in groups],
            "NetworkInterfaces": [_interface(shown)],
        }
    return answer


INTERFACE_MEMBERS = frozenset(
    {
        *("NetworkInterfaceId", "OwnerId", "VpcId", "SubnetId", "PrivateIpAddress", "PrivateDnsName", "MacAddress"),
        *("InterfaceType", "Description", "Status", "SourceDestCheck", "Groups", "PrivateIpAddresses"),
    }
)
ATTACHMENT_MEMBERS = frozenset({"AttachmentId", "AttachTime", "DeviceIndex", "Status", "DeleteOnTermination"})


def _interface(shown: dict[str, Any]) -> dict[str, Any]:
    """An interface as DescribeInstances shows it, which is less than DescribeNetworkInterfaces does."""
    attachment = {key: value for key, value in shown["Attachment"].items() if key in ATTACHMENT_MEMBERS}
    return {key: value for key, value in shown.items() if key in INTERFACE_MEMBERS} | {"Attachment": attachment}


def _state(name: str) -> dict[str, Any]:
    return {"Code": CODES[name], "Name": name}


@operation("ec2", "DescribeInstances", "InstanceIds Filters MaxResults NextToken")
def describe_instances(call: Call) -> Answer:
    chosen = chosen_by_id(call, Instance, "InstanceIds", *NOT_FOUND)
    shown = {name: f"Instances.{path}" for name, path in SHOWN.items()}
    return listing(call, chosen, FIELDS, "Reservations", lambda i: _reservation(call, [i]), shown)


@operation("ec2", "TerminateInstances", "InstanceIds")
def terminate_instances(call: Call) -> Answer:
    found = [call.find(Instance, id, *NOT_FOUND) for id in dict.fromkeys(call.p["InstanceIds"])]
    for instance in found:
        if instance.protected:
            message = (
                f"The instance '{instance.id}' may not be terminated. Modify its 'disableApiTermination' attribute."
            )
            raise AwsError("OperationNotPermitted", message)
    return {"TerminatingInstances": [_terminate(call, instance) for instance in found]}


def _terminate(call: Call, instance: Instance) -> dict[str, Any]:
    state = instance.state
    if state not in ("terminated", "shutting-down"):
        reason = f"User initiated ({call.now:%Y-%m-%d %H:%M:%S} GMT)"
        call.world.put(msgspec.structs.replace(instance, state="shutting-down", reason=reason))
    after = state if state == "terminated" else "shutting-down"
    return {"InstanceId": instance.id, "PreviousState": _state(state), "CurrentState": _state(after)}


@operation("ec2", "GetConsoleOutput", "InstanceId Latest")
def get_console_output(call: Call) -> Answer:
    instance = call.find(Instance, call.p["InstanceId"], *NOT_FOUND)
    text = call.console(instance.id)
    encoded = base64.b64encode(text.encode()).decode()
    return {"InstanceId": instance.id, "Timestamp": call.now, "Output": encoded}
