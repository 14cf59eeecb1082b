"""EC2: regions, zones with this account's names for them, account attributes."""

from __future__ import annotations

from tieline.fabric.aws.operations.instances.instances import MOST
from tieline.fabric.aws.operations.vpc.security_groups import PER_INTERFACE
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, operation
from tieline.fabric.aws.service.filters import select
from tieline.fabric.core import zones


@operation("ec2", "DescribeRegions", "RegionNames AllRegions Filters")
def describe_regions(call: Call) -> Answer:
    for name in call.p.get("RegionNames", []):
        if name != call.region:
            raise AwsError("InvalidParameterValue", f"Invalid region: '{name}'. This fabric is {call.region}.")
    fields = {
        "region-name": lambda r: r["RegionName"],
        "endpoint": lambda r: r["Endpoint"],
        "opt-in-status": lambda r: r["OptInStatus"],
    }
    endpoint = f"ec2.{call.region}.amazonaws.com"
    region = {"RegionName": call.region, "Endpoint": endpoint, "OptInStatus": "opt-in-not-required"}
    return {"Regions": select([region], call.p.get("Filters", []), fields)}


@operation("ec2", "DescribeAvailabilityZones", "ZoneNames ZoneIds AllAvailabilityZones Filters")
def describe_availability_zones(call: Call) -> Answer:
    known = [_zone(call, id) for id in call.account.zones]
    for parameter, member in (("ZoneNames", "ZoneName"), ("ZoneIds", "ZoneId")):
        wanted = call.p.get(parameter, [])
        for name in wanted:
            if name not in [zone[member] for zone in known]:
                raise AwsError("InvalidParameterValue", f"Invalid availability zone: [{name}]")
        known = [zone for zone in known if not wanted or zone[member] in wanted]
    fields = {
        "zone-name": lambda z: z["ZoneName"],
        "zone-id": lambda z: z["ZoneId"],
        "state": lambda z: z["State"],
        "region-name": lambda z: z["RegionName"],
        "group-name": lambda z: z["GroupName"],
        "zone-type": lambda z: z["ZoneType"],
        "opt-in-status": lambda z: z["OptInStatus"],
    }
    return {"AvailabilityZones": select(known, call.p.get("Filters", []), fields)}


def _zone(call: Call, id: str) -> dict[str, str]:
    return {
        "ZoneName": zones.zone_name(call.account, call.region, id),
        "ZoneId": id,
        "State": "available",
        "RegionName": call.region,
        "GroupName": call.region,
        "NetworkBorderGroup": call.region,
        "ZoneType": "availability-zone",
        "OptInStatus": "opt-in-not-required",
    }


ATTRIBUTES = {
    "supported-platforms": ["VPC"],
    "default-vpc": ["none"],
    "max-instances": [str(MOST)],
    "vpc-max-security-groups-per-interface": [str(PER_INTERFACE)],
}


@operation("ec2", "DescribeAccountAttributes", "AttributeNames")
def describe_account_attributes(call: Call) -> Answer:
    wanted = call.p.get("AttributeNames") or list(ATTRIBUTES)
    return {
        "AccountAttributes": [
            {"AttributeName": name, "AttributeValues": [{"AttributeValue": v} for v in ATTRIBUTES[name]]}
            for name in wanted
            if name in ATTRIBUTES
        ]
    }
