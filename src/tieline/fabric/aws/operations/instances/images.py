"""EC2: the one image there is, and instance types, each of which is this machine."""

from __future__ import annotations

from typing import Any

from tieline.fabric.aws.operations.instances.instances import IMAGE
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, operation
from tieline.fabric.aws.service.filters import select
from tieline.fabric.core import sizes

TYPE = "t3.micro"  # what RunInstances takes where the request names none


@operation("ec2", "DescribeImages", "ImageIds Owners ExecutableUsers Filters IncludeDeprecated MaxResults NextToken")
def describe_images(call: Call) -> Answer:
    for id in call.p.get("ImageIds", []):
        if id != IMAGE:
            message = f"The image id '[{id}]' does not exist. The only image is '{IMAGE}'."
            raise AwsError("InvalidAMIID.NotFound", message)
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
    fields = {
        "image-id": lambda i: i["ImageId"],
        "name": lambda i: i["Name"],
        "state": lambda i: i["State"],
        "architecture": lambda i: i["Architecture"],
        "owner-id": lambda i: i["OwnerId"],
        "root-device-type": lambda i: i["RootDeviceType"],
        "virtualization-type": lambda i: i["VirtualizationType"],
        "is-public": lambda _: "true",
    }
    owners = call.p.get("Owners", [])
    images = [image] if not owners or {"self", call.caller.account} & set(owners) else []
    return {"Images": select(images, call.p.get("Filters", []), fields)}


@operation("ec2", "DescribeInstanceTypes", "InstanceTypes Filters MaxResults NextToken")
def describe_instance_types(call: Call) -> Answer:
    """A type reserves nothing: it says how much of the machine an instance may use at most."""
    fields = {"instance-type": lambda t: t["InstanceType"], "current-generation": lambda _: "true"}
    found = [_type(name) for name in call.p.get("InstanceTypes") or [TYPE]]
    return {"InstanceTypes": select(found, call.p.get("Filters", []), fields)}


def _type(name: str) -> dict[str, Any]:
    size = sizes.of(name)
    if size is None:
        raise AwsError("InvalidInstanceType", f"The following supplied instance types do not exist: [{name}]")
    return {
        "InstanceType": name,
        "CurrentGeneration": True,
        "BareMetal": False,
        "BurstablePerformanceSupported": False,
        "InstanceStorageSupported": True,
        "SupportedRootDeviceTypes": ["instance-store"],
        "SupportedUsageClasses": ["on-demand"],
        "SupportedVirtualizationTypes": ["hvm"],
        "VCpuInfo": {"DefaultVCpus": size.processors},
        "MemoryInfo": {"SizeInMiB": size.memory},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
    }
