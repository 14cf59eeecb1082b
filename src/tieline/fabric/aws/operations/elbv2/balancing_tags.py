"""ELBv2: tags on load balancers, listeners and target groups."""

from __future__ import annotations

import msgspec

from tieline.fabric.aws.operations.elbv2 import balancers, listeners, target_groups
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import TAGS_LIMIT, Answer, Call, operation, pairs, tag_list
from tieline.fabric.core.records import Listener, LoadBalancer, TargetGroup

KINDS: dict[str, tuple[type[LoadBalancer] | type[TargetGroup] | type[Listener], tuple[str, str]]] = {
    "loadbalancer": (LoadBalancer, balancers.NOT_FOUND),
    "targetgroup": (TargetGroup, target_groups.NOT_FOUND),
    "listener": (Listener, listeners.NOT_FOUND),
}


def _records(call: Call) -> list[LoadBalancer | TargetGroup | Listener]:
    found: list[LoadBalancer | TargetGroup | Listener] = []
    for arn in call.p["ResourceArns"]:
        kind, not_found = KINDS.get(arn.split(":")[-1].split("/")[0], (None, ("", "")))
        if kind is None:
            raise AwsError("ValidationError", f"'{arn}' is not a valid load balancer, target group or listener ARN")
        found.append(call.find(kind, arn, *not_found))
    return found


@operation("elbv2", "AddTags", "ResourceArns Tags")
def add_tags(call: Call) -> Answer:
    tags = pairs(call.p["Tags"])
    for record in _records(call):
        if len(record.tags | tags) > TAGS_LIMIT:
            raise AwsError("TooManyTags", f"The resource '{record.id}' can have at most {TAGS_LIMIT} tags.")
        call.world.put(msgspec.structs.replace(record, tags=record.tags | tags))
    return {}


@operation("elbv2", "RemoveTags", "ResourceArns TagKeys")
def remove_tags(call: Call) -> Answer:
    for record in _records(call):
        kept = {key: value for key, value in record.tags.items() if key not in call.p["TagKeys"]}
        call.world.put(msgspec.structs.replace(record, tags=kept))
    return {}


@operation("elbv2", "DescribeTags", "ResourceArns")
def describe_tags(call: Call) -> Answer:
    return {"TagDescriptions": [{"ResourceArn": r.id, "Tags": tag_list(r.tags)} for r in _records(call)]}
