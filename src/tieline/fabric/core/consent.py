"""Who may see an endpoint service and ask it for a connection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta

from tieline.fabric.core.records import EndpointService, Principal

ACCEPT = "tieline:accept"  # a permission's tag; "automatic" spares its principal the provider's acceptance
LIFETIME = "tieline:request-lifetime"  # a service's tag: the seconds after which an undecided request expires
DEFAULT_LIFETIME = timedelta(days=7)  # AWS does not document when a request for a connection expires
SECONDS = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
PRINCIPAL = re.compile(r"\*|arn:aws[a-z-]*:iam::(\d{12}):(root|user/[\w+=,.@-]+|role/[\w+=,.@-]+)")
ASSUMED_ROLE = re.compile(r"arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/.+")


def well_formed(arn: str) -> bool:
    """True for `*` and for the ARN of an account's root, a user or a role; AWS supports no paths here."""
    return PRINCIPAL.fullmatch(arn) is not None


def principal_type(arn: str) -> str:
    """AWS's word for the kind of principal."""
    if arn == "*":
        return "All"
    return {"root": "Account", "user": "User", "role": "Role"}[arn.rsplit(":", 1)[1].split("/")[0]]


def identity(arn: str) -> str:
    """The ARN that permissions name: a session of a role counts as the role."""
    session = ASSUMED_ROLE.fullmatch(arn)
    return f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}" if session else arn


def allowed(service: EndpointService, account: str, arn: str) -> bool:
    """Whether the caller may ask: the owner always, others when their account, user or role is listed, or all are."""
    return service.owner == account or any(admitting(service, account, arn))


def automatic(service: EndpointService, account: str, arn: str) -> bool:
    """Whether one of the permissions that admit the caller says that its requests need no acceptance."""
    return any(principal.tags.get(ACCEPT) == "automatic" for principal in admitting(service, account, arn))


def request_lifetime(service: EndpointService | None) -> timedelta:
    """How long a request for a connection waits for a decision."""
    wanted = service.tags.get(LIFETIME, "") if service else ""
    return timedelta(seconds=int(wanted)) if SECONDS.fullmatch(wanted) else DEFAULT_LIFETIME


def complaint(tags: Mapping[str, str]) -> str:
    """Why a service's tags are not well formed, or ''."""
    wanted = tags.get(LIFETIME)
    if wanted is None or SECONDS.fullmatch(wanted):
        return ""
    return f"{wanted!r} in the tag {LIFETIME} is not a number of seconds"


def admitting(service: EndpointService, account: str, arn: str) -> Iterator[Principal]:
    """The principals of a service that stand for the caller."""
    wanted = {"*", f"arn:aws:iam::{account}:root", identity(arn)}
    return (principal for principal in service.principals if principal.arn in wanted)
