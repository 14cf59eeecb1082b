"""EC2: what the filters of DescribeInstances compare."""

from __future__ import annotations

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

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
SHOWN = {  # by members of the answer
    "architecture": "Architecture",
    "availability-zone": "Placement.AvailabilityZone",
    "instance.group-id": "SecurityGroups.GroupId",
    "instance.group-name": "SecurityGroups.GroupName",
    "launch-index": "AmiLaunchIndex",
    "monitoring-state": "Monitoring.State",
    "network-interface.addresses.private-ip-address": "NetworkInterfaces.PrivateIpAddresses.PrivateIpAddress",
    "network-interface.attachment.attachment-id": "NetworkInterfaces.Attachment.AttachmentId",
    "network-interface.description": "NetworkInterfaces.Description",
    "network-interface.group-id": "NetworkInterfaces.Groups.GroupId",
    "network-interface.group-name": "NetworkInterfaces.Groups.GroupName",
    "network-interface.mac-address": "NetworkInterfaces.MacAddress",
    "network-interface.owner-id": "NetworkInterfaces.OwnerId",
    "network-interface.private-ip-address": "NetworkInterfaces.PrivateIpAddress",
    "network-interface.status": "NetworkInterfaces.Status",
    "network-interface.subnet-id": "NetworkInterfaces.SubnetId",
    "network-interface.vpc-id": "NetworkInterfaces.VpcId",
    "private-dns-name": "PrivateDnsName",
    "reason": "StateTransitionReason",
    "root-device-type": "RootDeviceType",
    "tenancy": "Placement.Tenancy",
}
