"""Who may see an endpoint service and ask it for a connection."""

from __future__ import annotations

import re

from tieline.fabric.records import EndpointService

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
    if service.owner == account:
        return True
    wanted = {"*", f"arn:aws:iam::{account}:root", identity(arn)}
    return any(principal.arn in wanted for principal in service.principals)
