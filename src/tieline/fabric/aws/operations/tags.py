"""EC2: tags on anything that has an id, parts of records included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from tieline.fabric.aws.operations.privatelink.connections import connection_id
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import TAGS_LIMIT, Answer, Call, listing, operation, pairs
from tieline.fabric.core import consent
from tieline.fabric.core.planning import passages
from tieline.fabric.core.records import (
    Endpoint,
    EndpointService,
    Instance,
    NetworkInterface,
    Permission,
    Principal,
    Record,
    SecurityGroup,
    Subnet,
    Vpc,
)

R = TypeVar("R", bound=Record)
TYPES: dict[str, tuple[type[Record], str]] = {
    "vpc": (Vpc, "vpc"),
    "subnet": (Subnet, "subnet"),
    "sg": (SecurityGroup, "security-group"),
    "eni": (NetworkInterface, "network-interface"),
    "i": (Instance, "instance"),
    "vpce": (Endpoint, "vpc-endpoint"),
    "vpce-svc": (EndpointService, "vpc-endpoint-service"),
}


@dataclass(frozen=True)
class Holder:
    """What has tags: a record, or a part of one. `put` gives it others."""

    id: str
    type: str
    tags: dict[str, str]
    put: Callable[[dict[str, str]], object]


def _whole(call: Call, record: Record, type: str) -> Holder:
    return Holder(record.id, type, record.tags, lambda tags: call.world.put(msgspec.structs.replace(record, tags=tags)))


def _permission(call: Call, service: EndpointService, principal: Principal) -> Holder:
    def put(tags: dict[str, str]) -> None:
        changed = tuple(
            msgspec.structs.replace(p, tags=tags) if p.id == principal.id else p for p in _now(call, service).principals
        )
        call.world.put(msgspec.structs.replace(_now(call, service), principals=changed))

    return Holder(principal.id, "vpc-endpoint-service-permission", principal.tags, put)


def _rule(call: Call, group: SecurityGroup, rule: Permission) -> Holder:
    def put(tags: dict[str, str]) -> None:
        changed = tuple(
            msgspec.structs.replace(p, tags=tags) if p.id == rule.id else p for p in _now(call, group).permissions
        )
        call.world.put(msgspec.structs.replace(_now(call, group), permissions=changed))

    return Holder(rule.id, "security-group-rule", rule.tags, put)


def _connection(call: Call, endpoint: Endpoint) -> Holder:
    def put(tags: dict[str, str]) -> None:
        call.world.put(msgspec.structs.replace(endpoint, connection_tags=tags))

    return Holder(connection_id(endpoint), "vpc-endpoint-connection", endpoint.connection_tags, put)


def _now(call: Call, record: R) -> R:
    return call.world.get(type(record), record.id) or record


def _parts(call: Call) -> Iterator[Holder]:
    """What has tags besides whole records: permissions, rules, and connections with the caller's services."""
    for service in call.mine(EndpointService):
        yield from (_permission(call, service, principal) for principal in service.principals)
        yield from (_connection(call, endpoint) for endpoint in call.world.where(Endpoint, "service", service.id))
    for group in call.mine(SecurityGroup):
        yield from (_rule(call, group, rule) for rule in group.permissions)


def _all(call: Call) -> Iterator[Holder]:
    for kind, type in TYPES.values():
        yield from (_whole(call, record, type) for record in call.mine(kind))
    yield from _parts(call)


def _chosen(call: Call) -> list[Holder]:
    """What the request names, each once; raises for the first id that is not the caller's."""
    parts: dict[str, Holder] | None = None
    found = []
    for id in dict.fromkeys(call.p["Resources"]):
        kind, type = TYPES.get(id.rpartition("-")[0], (None, ""))
        if kind is not None:
            found.append(_whole(call, call.find(kind, id, "InvalidID", "The ID '{id}' is not valid"), type))
            continue
        parts = parts or {holder.id: holder for holder in _parts(call)}
        if id not in parts:
            raise AwsError("InvalidID", f"The ID '{id}' is not valid")
        found.append(parts[id])
    return found


@operation("ec2", "CreateTags", "Resources Tags")
def create_tags(call: Call) -> Answer:
    tags = pairs(call.p["Tags"])
    for holder in _chosen(call):
        _check(call, holder.type, tags)
        if len(holder.tags | tags) > TAGS_LIMIT:
            raise AwsError("TagLimitExceeded", f"The resource '{holder.id}' can have at most {TAGS_LIMIT} tags.")
        holder.put(holder.tags | tags)
    return {}


def _check(call: Call, type: str, tags: dict[str, str]) -> None:
    """Raise for what is wrong with those of the tags that the fabric acts on."""
    if type == "instance":
        check_passages(call, tags)
    elif type == "vpc-endpoint-service" and (complaint := consent.complaint(tags)):
        raise AwsError("InvalidParameterValue", complaint)


def check_passages(call: Call, tags: Mapping[str, str]) -> None:
    """Raise for tags of an instance that would open a port of this machine, unless the caller may and they can."""
    asked = [tag for tag in passages.TAGS if tag in tags]
    if asked and not passages.allowed(call.account):
        message = f"You are not authorized to open ports of this machine, as the tag {asked[0]} asks for."
        raise AwsError("UnauthorizedOperation", f"{message} Only the account {passages.OPENER} may.", 403)
    if complaint := passages.complaint(tags):
        raise AwsError("InvalidParameterValue", complaint)


@operation("ec2", "DeleteTags", "Resources Tags")
def delete_tags(call: Call) -> Answer:
    """Without Tags all go; a tag that is given with a value goes only if it has that value (AWS)."""
    for holder in _chosen(call):
        wanted = call.p.get("Tags")
        gone = (
            {t.get("Key") for t in wanted if t.get("Value", None) in (None, holder.tags.get(t.get("Key")))}
            if wanted
            else set(holder.tags)
        )
        holder.put({key: value for key, value in holder.tags.items() if key not in gone})
    return {}


class Tag(msgspec.Struct, frozen=True):
    """One tag of one resource, so that it can be listed like a record."""

    id: str
    resource: str
    type: str
    key: str
    value: str
    tags: dict[str, str] = {}


@operation("ec2", "DescribeTags", "Filters MaxResults NextToken")
def describe_tags(call: Call) -> Answer:
    fields = {
        "resource-id": lambda t: t.resource,
        "resource-type": lambda t: t.type,
        "key": lambda t: t.key,
        "value": lambda t: t.value,
    }
    tags = [Tag(f"{h.id}/{key}", h.id, h.type, key, value) for h in _all(call) for key, value in h.tags.items()]
    return listing(
        call,
        tags,
        fields,
        "Tags",
        lambda t: {"ResourceId": t.resource, "ResourceType": t.type, "Key": t.key, "Value": t.value},
    )
