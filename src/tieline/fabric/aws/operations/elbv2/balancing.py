"""What the ELBv2 operations share: choosing by ARN and name, pages, attributes, tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, pairs
from tieline.fabric.aws.service.pages import elb_page as cut
from tieline.fabric.core.records import Listener, LoadBalancer, TargetGroup

R = TypeVar("R", LoadBalancer, TargetGroup, Listener)


def chosen_by_arn(call: Call, kind: type[R], parameter: str, not_found: tuple[str, str]) -> list[R]:
    """The records that a Describe call names by ARN or by name, or all of the caller's; raises for an unknown one."""
    if call.p.get("Names"):
        return [named(call, kind, name) or _missing(name, not_found) for name in call.p["Names"]]
    if call.p.get(parameter):
        return [call.find(kind, arn, *not_found) for arn in call.p[parameter]]
    return call.mine(kind)


def named(call: Call, kind: type[R], name: str) -> R | None:
    """The caller's record of that name, or None."""
    return next((r for r in call.world.where(kind, "name", name) if r.owner == call.caller.account), None)


def _missing(name: str, not_found: tuple[str, str]) -> NoReturn:
    raise AwsError(not_found[0], not_found[1].format(id=name))


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
