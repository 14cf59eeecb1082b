"""Zone names to ids: names are shuffled per account, ids mean the same zone for everybody."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary

from tieline.cloud.aws.client import Aws

KEPT_SECONDS = 3600.0  # zones are opened once in years

_known: WeakKeyDictionary[Aws, tuple[float, Mapping[str, str]]] = WeakKeyDictionary()


async def zone_ids(aws: Aws) -> Mapping[str, str]:
    """The ids of our account's zone names, asked once an hour."""
    asked, ids = _known.get(aws, (0.0, {}))
    if not ids or time.monotonic() - asked > KEPT_SECONDS:
        answer = await aws.ec2(lambda ec2: ec2.describe_availability_zones())
        ids = {zone["ZoneName"]: zone["ZoneId"] for zone in answer["AvailabilityZones"]}
        _known[aws] = (time.monotonic(), ids)
    return ids


def translated(names: Iterable[str], ids: Mapping[str, str]) -> tuple[str, ...]:
    """The ids of these names, sorted; a name that is not ours has none."""
    return tuple(sorted(ids[name] for name in names if name in ids))
