"""What the ELBv2 operations share: choosing by ARN and name, pages, attributes, tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from tieline.fabric.aws.errors import AwsError
from tieline.fabric.aws.operations.calls import Answer, Call, pairs
from tieline.fabric.aws.pages import elb_page as cut
from tieline.fabric.records import Listener, LoadBalancer, TargetGroup

R = TypeVar("R", LoadBalancer, TargetGroup, Listener)


def chosen_by_arn(call: Call, kind: type[R], parameter: str, not_found: tuple[str, str]) -> list[R]:
    """The records that a Describe call names by ARN or by name, or all of the caller's; raises for an unknown one."""
    mine = call.mine(kind)
    if call.p.get("Names"):
        by_name = {getattr(record, "name", ""): record for record in mine}
        return [_known(by_name, name, not_found) for name in call.p["Names"]]
    if call.p.get(parameter):
        by_arn = {record.id: record for record in mine}
        return [_known(by_arn, arn, not_found) for arn in call.p[parameter]]
    return mine


def _known(records: Mapping[str, R], key: str, not_found: tuple[str, str]) -> R:
    if key not in records:
        raise AwsError(not_found[0], not_found[1].format(id=key))
    return records[key]


def elb_page(call: Call, items: Iterable[R], member: str, render: Callable[[R], Any]) -> Answer:
    """One page of a Describe answer and the marker of the next."""
    shown, marker = cut(items, call.p.get("PageSize"), call.p.get("Marker"), context=member)
    answer: Answer = {member: [render(item) for item in shown]}
    return answer | ({"NextMarker": marker} if marker else {})


def attribute_list(attributes: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in attributes.items()]


def merged_attributes(
    call: Call, present: Mapping[str, str], known: Mapping[str, str], settable: Mapping[str, str]
) -> dict[str, str]:
    """The attributes after a Modify call. One that tieline does not act on can only be given its present value."""
    wanted = {a.get("Key", ""): a.get("Value", "") for a in call.p["Attributes"]}
    for key, value in wanted.items():
        if key not in known:
            raise AwsError("ValidationError", f"Attribute key '{key}' is not recognized")
        if key in settable and not re.fullmatch(settable[key], value):
            raise AwsError(
                "ValidationError", f"Value '{value}' of attribute '{key}' is not valid: it must match {settable[key]}"
            )
        if key not in settable and value != known[key]:
            message = f"tieline does not support '{value}' for the attribute '{key}': it is always '{known[key]}'."
            raise AwsError("ValidationError", message)
    return {**present, **wanted}


def elb_tags(call: Call) -> dict[str, str]:
    """The tags of an ELBv2 create call."""
    return pairs(call.p.get("Tags", []))
