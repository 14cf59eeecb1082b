"""What an operation is given, and the table of all operations.

An operation is a function of a `Call` that returns the members of its answer. It runs inside one transaction: when it
raises, nothing has changed. Every parameter that it does not name in `accepts` is refused when a caller sends it, so
that nothing is accepted and then ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.protocol.signature import Credential
from tieline.fabric.aws.service.filters import select, within
from tieline.fabric.aws.service.pages import page
from tieline.fabric.core.figures import Book
from tieline.fabric.core.ids import Ids
from tieline.fabric.core.records import Account, Record
from tieline.fabric.core.world import World

R = TypeVar("R", bound=Record)
T = TypeVar("T")
Answer = dict[str, Any]
NOTHING: Mapping[str, str] = MappingProxyType({})
FORMS = {  # the code for an unknown id: the prefix, and the code for what is no id (EC2 error codes; aws.md, 2.4)
    "InvalidVpcEndpointId.NotFound": ("vpce", "InvalidVpcEndpointId.Malformed"),
    "InvalidVpcEndpointServiceId.NotFound": ("vpce-svc", "InvalidVpcEndpointServiceIdId.Malformed"),  # sic
    "InvalidInstanceID.NotFound": ("i", "InvalidInstanceID.Malformed"),
}
DIGITS = "-(?:[0-9a-f]{8}|[0-9a-f]{17})"
TAGS_LIMIT = 50  # of one resource (AWS quota)


@dataclass(frozen=True)
class Call:
    """One request: who asks for what, when, and the world that it may change."""

    world: World
    region: str
    caller: Credential
    now: datetime
    ids: Ids
    p: Mapping[str, Any]
    console: Callable[[str], str]  # an instance's console output, by its id
    book: Book = field(default_factory=Book)  # what links have carried

    @property
    def account(self) -> Account:
        return self.account_of(self.caller.account)

    def account_of(self, id: str) -> Account:
        found = self.world.get(Account, id)
        assert found is not None, "whoever owns something has an account"
        return found

    def mine(self, kind: type[R]) -> list[R]:
        """The caller's records of a type."""
        return self.world.where(kind, "owner", self.caller.account)

    def find(self, kind: type[R], id: str | None, code: str, message: str) -> R:
        """One of the caller's records; raises `code` with `message` (its {id} filled in) for any other id.

        For some kinds AWS has another code where the id has not even the form of one.
        """
        record = self.world.get(kind, id or "")
        if record is None or record.owner != self.caller.account:
            prefix, malformed = FORMS.get(code, ("", ""))
            if prefix and not re.fullmatch(prefix + DIGITS, id or ""):
                raise AwsError(malformed, f'Invalid id: "{id}" (expecting "{prefix}-...")')
            raise AwsError(code, message.format(id=id))
        return record

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.caller.account}:{resource}"


Operation = Callable[[Call], Answer]


@dataclass(frozen=True)
class Served:
    """An operation with the parameters that it takes."""

    run: Operation
    accepts: frozenset[str]


OPERATIONS: dict[tuple[str, str], Served] = {}


def operation(service: str, name: str, accepts: str = "") -> Callable[[Operation], Operation]:
    """Register an operation; `accepts` names the parameters it takes, apart from DryRun."""

    def register(run: Operation) -> Operation:
        assert (service, name) not in OPERATIONS, f"{name} is registered twice"
        OPERATIONS[service, name] = Served(run, frozenset(accepts.split()) | {"DryRun"})
        return run

    return register


def refuse_unsupported(service: str, name: str, served: Served, parameters: Mapping[str, Any]) -> None:
    """Raise for a parameter that the model knows and tieline does not support, unless it is empty or false."""
    for key, value in parameters.items():
        if key not in served.accepts and not idle(value):
            code = "UnsupportedOperation" if service == "ec2" else "ValidationError"
            raise AwsError(code, f"tieline does not support the parameter {key} of {name}. Leave it out.")


def idle(value: Any) -> bool:
    """Whether a parameter asks for nothing: clients send such ones for every option that is off."""
    if isinstance(value, dict):
        return all(map(idle, value.values()))
    return value in (None, False, "", [])


def tags_of(call: Call, resource_type: str, *others: str) -> dict[str, str]:
    """The tags that a create call asks for in its TagSpecifications for one resource type.

    Raises InvalidParameterValue for a type that is neither that one nor one of `others`.
    """
    tags: dict[str, str] = {}
    for specification in call.p.get("TagSpecifications", []):
        given = specification.get("ResourceType")
        if given not in (resource_type, *others):
            message = f"'{given}' is not a valid taggable resource type for this operation."
            raise AwsError("InvalidParameterValue", message)
        if given == resource_type:
            tags |= pairs(specification.get("Tags", []))
    return tags


def pairs(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """AWS's list of Key and Value as a mapping; raises for a duplicate, reserved or missing key."""
    found: dict[str, str] = {}
    for tag in tags:
        key = tag.get("Key")
        if not key:
            raise AwsError("MissingParameter", "The request must contain the parameter Key for every tag.")
        if key.lower().startswith("aws:"):
            raise AwsError(
                "InvalidParameterValue", f"Tag keys starting with 'aws:' are reserved for internal use: {key}"
            )
        if key in found:
            raise AwsError("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
        found[key] = tag.get("Value", "")
    if len(found) > TAGS_LIMIT:
        raise AwsError("TagLimitExceeded", f"A resource can have at most {TAGS_LIMIT} tags.")
    return found


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def listing(
    call: Call,
    items: Iterable[T],
    fields: Mapping[str, Callable[[T], Any]],
    member: str,
    render: Callable[[T], Any],
    shown: Mapping[str, str] = NOTHING,
) -> Answer:
    """A Describe answer of EC2: the filtered items of one page, and the token of the next. Items have an `id`.

    Filters compare `fields` of an item, or what it is `shown` as: the dotted path of members in its rendered form.
    """
    filters = call.p.get("Filters", [])
    by_path = {name: partial(_seen, render, path) for name, path in shown.items()} if filters else {}
    chosen = select(items, filters, {**by_path, **fields})
    one_page, token = page(chosen, call.p.get("MaxResults"), call.p.get("NextToken"), context=member)
    answer: Answer = {member: [render(item) for item in one_page]}
    if token:
        answer["NextToken"] = token
    return answer


def _seen(render: Callable[[T], Any], path: str, item: T) -> list[str]:
    return within(render(item), path)


def chosen_by_id(call: Call, kind: type[R], parameter: str, code: str, message: str) -> list[R]:
    """The records that a Describe call names, or all of the caller's; raises for the first id that is unknown."""
    wanted = call.p.get(parameter) or []
    return [call.find(kind, id, code, message) for id in wanted] if wanted else call.mine(kind)


def repeated(call: Call, kind: type[R], what: Mapping[str, Any]) -> R | None:
    """The record that an earlier call with the same ClientToken made, if there is one.

    Raises IdempotentParameterMismatch where that call asked for something else.
    """
    token = call.p.get("ClientToken")
    if not token:
        return None
    for record in call.world.where(kind, "token", token):
        if record.owner == call.caller.account:
            if getattr(record, "request", what) != what:
                message = f"The client token '{token}' was used before with other parameters. Use a new token."
                raise AwsError("IdempotentParameterMismatch", message)
            return record
    return None


def asked(call: Call) -> dict[str, Any]:
    """The request as it is remembered for idempotency: without token, tags and dry run."""
    return {k: v for k, v in call.p.items() if k not in ("ClientToken", "DryRun", "TagSpecifications", "Tags")}
