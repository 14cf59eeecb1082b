"""EC2: instances, which are real: a network, mount and process namespace that runs the user data as its boot script."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import Any

import msgspec

from tieline.fabric import names, passages, zones
from tieline.fabric.aws.errors import AwsError
from tieline.fabric.aws.operations import interfaces
from tieline.fabric.aws.operations.calls import (
    Answer,
    Call,
    asked,
    chosen_by_id,
    listing,
    operation,
    repeated,
    tag_list,
    tags_of,
)
from tieline.fabric.aws.operations.security_groups import groups_for
from tieline.fabric.aws.operations.subnets import NOT_FOUND as SUBNET_NOT_FOUND
from tieline.fabric.records import Instance, NetworkInterface, SecurityGroup, Subnet

NOT_FOUND = "InvalidInstanceID.NotFound", "The instance ID '{id}' does not exist"
IMAGE = "local"  # the machine's own file system, seen through a private overlay
CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
USER_DATA_LIMIT = 16384  # bytes (AWS)
REMEMBERED = timedelta(hours=1)  # a terminated instance is described for about an hour (AWS)

ACCEPTS = """ImageId MinCount MaxCount InstanceType SubnetId PrivateIpAddress SecurityGroupIds UserData
ClientToken TagSpecifications"""


@operation("ec2", "RunInstances", ACCEPTS)
def run_instances(call: Call) -> Answer:
    earlier = repeated(call, Instance, asked(call))
    if earlier:
        return _reservation(call, [earlier])
    if call.p.get("ImageId") != IMAGE:
        message = f"The image id '[{call.p.get('ImageId')}]' does not exist. The only image here is '{IMAGE}'."
        raise AwsError("InvalidAMIID.NotFound", message)
    if not call.p.get("SubnetId"):
        raise AwsError("MissingInput", "No subnets found for the default VPC. Give a SubnetId.")
    subnet = call.find(Subnet, call.p["SubnetId"], *SUBNET_NOT_FOUND)
    count = call.p["MaxCount"]
    if not 1 <= call.p["MinCount"] <= count <= 100:
        raise AwsError(
            "InvalidParameterValue", "MinCount must be at least 1 and at most MaxCount, which is at most 100."
        )
    if call.p.get("PrivateIpAddress") and count > 1:
        raise AwsError("InvalidParameterCombination", "A private address can be given to one instance only.")
    tags = tags_of(call, "instance")
    for tag in (passages.INGRESS, passages.EGRESS):
        if tag in tags and (complaint := passages.complaint(tag, tags[tag])):
            raise AwsError("InvalidParameterValue", complaint)
    reservation, script = call.ids.new("r"), user_data(call.p.get("UserData", ""))
    return _reservation(call, [_start(call, subnet, reservation, script, tags) for _ in range(count)])


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


def _start(call: Call, subnet: Subnet, reservation: str, script: str, tags: dict[str, str]) -> Instance:
    id = call.ids.new("i")
    groups = groups_for(call, call.p.get("SecurityGroupIds", []), subnet.vpc)
    address = call.p.get("PrivateIpAddress")
    interface = interfaces.attach(call, subnet, purpose="interface", holder=id, address=address, groups=groups)
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
            type=call.p.get("InstanceType") or "t3.micro",
            user_data=script,
            reservation=reservation,
            launched=call.now,
            token=call.p.get("ClientToken", ""),
        )
    )


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
            "NetworkInterfaces": [{k: v for k, v in shown.items() if k in INTERFACE_MEMBERS}],
        }
    return answer


INTERFACE_MEMBERS = frozenset(
    {
        *("NetworkInterfaceId", "OwnerId", "VpcId", "SubnetId", "PrivateIpAddress", "PrivateDnsName", "MacAddress"),
        *("InterfaceType", "Description", "Status", "SourceDestCheck", "Groups"),
    }
)


def _state(name: str) -> dict[str, Any]:
    return {"Code": CODES[name], "Name": name}


FIELDS = {
    "instance-id": lambda i: i.id,
    "instance-state-name": lambda i: i.state,
    "instance-state-code": lambda i: str(CODES[i.state]),
    "vpc-id": lambda i: i.vpc,
    "subnet-id": lambda i: i.subnet,
    "private-ip-address": lambda i: i.address,
    "image-id": lambda i: i.image,
    "instance-type": lambda i: i.type,
    "owner-id": lambda i: i.owner,
    "client-token": lambda i: i.token,
    "reservation-id": lambda i: i.reservation,
    "network-interface.network-interface-id": lambda i: i.interface,
}


@operation("ec2", "DescribeInstances", "InstanceIds Filters MaxResults NextToken")
def describe_instances(call: Call) -> Answer:
    chosen = chosen_by_id(call, Instance, "InstanceIds", *NOT_FOUND)
    return listing(call, chosen, FIELDS, "Reservations", lambda i: _reservation(call, [i]))


@operation("ec2", "TerminateInstances", "InstanceIds")
def terminate_instances(call: Call) -> Answer:
    found = [call.find(Instance, id, *NOT_FOUND) for id in call.p["InstanceIds"]]
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


@operation("ec2", "DescribeImages", "ImageIds Owners ExecutableUsers Filters IncludeDeprecated MaxResults NextToken")
def describe_images(call: Call) -> Answer:
    for id in call.p.get("ImageIds", []):
        if id != IMAGE:
            raise AwsError(
                "InvalidAMIID.NotFound", f"The image id '[{id}]' does not exist. The only image is '{IMAGE}'."
            )
    image = {
        "ImageId": IMAGE,
        "Name": IMAGE,
        "Description": "This machine's own file system; each instance writes to a private layer above it",
        "State": "available",
        "Architecture": "x86_64",
        "ImageType": "machine",
        "OwnerId": call.caller.account,
        "Public": True,
        "RootDeviceType": "instance-store",
        "VirtualizationType": "hvm",
    }
    return {"Images": [image]}


@operation("ec2", "DescribeInstanceAttribute", "InstanceId Attribute")
def describe_instance_attribute(call: Call) -> Answer:
    instance = call.find(Instance, call.p["InstanceId"], *NOT_FOUND)
    if call.p["Attribute"] != "userData":
        message = f"tieline serves the attribute userData only, not {call.p['Attribute']}."
        raise AwsError("UnsupportedOperation", message)
    encoded = base64.b64encode(instance.user_data.encode()).decode()
    return {"InstanceId": instance.id, "UserData": {"Value": encoded}}
