"""EC2: tags on anything that has an id."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tieline.fabric import passages
from tieline.fabric.aws.errors import AwsError
from tieline.fabric.aws.operations.calls import Answer, Call, listing, operation, pairs
from tieline.fabric.records import (
    Endpoint,
    EndpointService,
    Instance,
    NetworkInterface,
    Record,
    SecurityGroup,
    Subnet,
    Vpc,
)

TYPES: dict[str, tuple[type[Record], str]] = {
    "vpc": (Vpc, "vpc"),
    "subnet": (Subnet, "subnet"),
    "sg": (SecurityGroup, "security-group"),
    "eni": (NetworkInterface, "network-interface"),
    "i": (Instance, "instance"),
    "vpce": (Endpoint, "vpc-endpoint"),
    "vpce-svc": (EndpointService, "vpc-endpoint-service"),
}


def _record(call: Call, id: str) -> Record:
    kind, _ = TYPES.get(id.rpartition("-")[0], (None, ""))
    if kind is None:
        raise AwsError("InvalidID", f"The ID '{id}' is not valid")
    return call.find(kind, id, "InvalidID", "The ID '{id}' is not valid")


@operation("ec2", "CreateTags", "Resources Tags")
def create_tags(call: Call) -> Answer:
    tags = pairs(call.p["Tags"])
    for record in [_record(call, id) for id in call.p["Resources"]]:
        for key, value in tags.items():
            if isinstance(record, Instance) and (complaint := passages.complaint(key, value)):
                raise AwsError("InvalidParameterValue", complaint)
        call.world.put(msgspec.structs.replace(record, tags=record.tags | tags))
    return {}


@operation("ec2", "DeleteTags", "Resources Tags")
def delete_tags(call: Call) -> Answer:
    """Without Tags all go; a tag that is given with a value goes only if it has that value (AWS)."""
    for record in [_record(call, id) for id in call.p["Resources"]]:
        wanted = call.p.get("Tags")
        gone = (
            {t.get("Key") for t in wanted if t.get("Value", None) in (None, record.tags.get(t.get("Key")))}
            if wanted
            else set(record.tags)
        )
        kept = {key: value for key, value in record.tags.items() if key not in gone}
        call.world.put(msgspec.structs.replace(record, tags=kept))
    return {}


class Tag(msgspec.Struct, frozen=True):
    """One tag of one resource, so that it can be listed like a record."""

    id: str
    resource: str
    type: str
    key: str
    value: str
    tags: dict[str, str] = {}


def _all(call: Call) -> Iterator[Tag]:
    for kind, type in TYPES.values():
        for record in call.mine(kind):
            for key, value in record.tags.items():
                yield Tag(f"{record.id}/{key}", record.id, type, key, value)


@operation("ec2", "DescribeTags", "Filters MaxResults NextToken")
def describe_tags(call: Call) -> Answer:
    fields = {
        "resource-id": lambda t: t.resource,
        "resource-type": lambda t: t.type,
        "key": lambda t: t.key,
        "value": lambda t: t.value,
    }
    return listing(
        call,
        _all(call),
        fields,
        "Tags",
        lambda t: {"ResourceId": t.resource, "ResourceType": t.type, "Key": t.key, "Value": t.value},
    )
