"""Zone names to ids: names are shuffled per account, ids mean the same zone for everybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tieline.cloud.aws import Aws


async def zone_ids(aws: Aws) -> Mapping[str, str]:
    """The ids of our account's zone names."""
    answer = await aws.ec2(lambda ec2: ec2.describe_availability_zones())
    return {zone["ZoneName"]: zone["ZoneId"] for zone in answer["AvailabilityZones"]}


def translated(names: Iterable[str], ids: Mapping[str, str]) -> tuple[str, ...]:
    """The ids of these names, sorted; a name that is not ours has none."""
    return tuple(sorted(ids[name] for name in names if name in ids))
