"""`tieline service allow`, `allowed` and `withdraw`: who may ask for a provider's endpoint service."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import typer
from pydantic import BaseModel

from tieline.cli.connection import Json
from tieline.cli.output import show
from tieline.cli.provider import account, run
from tieline.cli.supplied import supplied
from tieline.client.provider import consent
from tieline.client.provider.consent import Connection
from tieline.cloud.aws.client import Aws

TAG, AUTOMATIC = "tieline:accept", "automatic"  # a permission's tag that a fabric acts on
COLUMNS, PRINCIPALS = ("endpoint", "owner", "state"), ("principal", "automatic")
Key = Annotated[str, typer.Argument(help="Service id, service name, or name of an exposure.")]
Principal = Annotated[str, typer.Argument(help="ARN of an account's root, a user or a role, or * for everybody.")]


class Allowed(BaseModel):
    """A principal that may ask for a service, and whether it is connected without the provider's acceptance."""

    permission: str
    principal: str
    automatic: bool


@supplied(account)
def allowed(
    aws: Aws,
    key: Key,
    as_json: Json = False,
) -> None:
    """List the principals that may ask for a service."""
    show(run(_allowed(aws, key)), PRINCIPALS, as_json)


@supplied(account)
def allow(
    aws: Aws,
    key: Key,
    principal: Principal,
    automatic: Annotated[
        bool | None,
        typer.Option(
            "--automatic/--manual", help="Whether its requests are accepted by themselves; only a fabric does so."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Let a principal ask for a service; run again it changes nothing but --automatic or --manual."""
    show(run(_allow(aws, key, principal, automatic)), PRINCIPALS, as_json)


async def _allow(aws: Aws, key: str, principal: str, automatic: bool | None) -> list[Allowed]:
    service = await consent.service_id(aws, key)
    await aws.ec2(
        lambda ec2: ec2.modify_vpc_endpoint_service_permissions(ServiceId=service, AddAllowedPrincipals=[principal])
    )
    ids = [one.permission for one in await _allowed(aws, service) if one.principal == principal]
    if automatic is True:
        await aws.ec2(lambda ec2: ec2.create_tags(Resources=ids, Tags=[{"Key": TAG, "Value": AUTOMATIC}]))
    elif automatic is False:
        await aws.ec2(lambda ec2: ec2.delete_tags(Resources=ids, Tags=[{"Key": TAG}]))
    return [one for one in await _allowed(aws, service) if one.principal == principal]


async def _allowed(aws: Aws, key: str) -> list[Allowed]:
    service = await consent.service_id(aws, key)
    pages = await aws.ec2(
        lambda ec2: list(ec2.get_paginator("describe_vpc_endpoint_service_permissions").paginate(ServiceId=service))
    )
    return [
        Allowed(
            permission=item["ServicePermissionId"],
            principal=item["Principal"],
            automatic={"Key": TAG, "Value": AUTOMATIC} in item.get("Tags", []),
        )
        for page in pages
        for item in page["AllowedPrincipals"]
    ]


@supplied(account)
def withdraw(
    aws: Aws,
    key: Key,
    principal: Principal,
    cut: Annotated[
        bool, typer.Option("--cut", help="Also reject the live connections that it alone admitted.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Allow a principal no longer. As on AWS its connections stay, unless --cut."""
    show(run(_withdraw(aws, key, principal, cut)), COLUMNS, as_json)


async def _withdraw(aws: Aws, key: str, principal: str, cut: bool) -> list[Connection]:
    service = await consent.service_id(aws, key)
    await disallow(aws, service, [principal])
    remaining = await principals(aws, service)
    chosen = admitted_only_by(principal, remaining, await consent.connections(aws, service)) if cut else []
    await consent.reject(aws, service, chosen)
    return [one for one in await consent.connections(aws, service) if one.endpoint in chosen]


def admitted_only_by(principal: str, remaining: Sequence[str], found: Sequence[Connection]) -> list[str]:
    """The present endpoints whose accounts the principal stood for and no remaining one does.

    AWS tells of an endpoint its account only: a remaining user or role of that account keeps it.
    """

    def stands_for(arn: str, owner: str) -> bool:
        named = re.match(r"arn:[^:]+:iam::(\d{12}):", arn)
        return arn == "*" or (named is not None and named[1] == owner)

    return [
        one.endpoint
        for one in found
        if one.present and stands_for(principal, one.owner) and not any(stands_for(arn, one.owner) for arn in remaining)
    ]


async def principals(aws: Aws, service: str) -> list[str]:
    """The ARNs that may ask for a service."""
    return [one.principal for one in await _allowed(aws, service)]


async def disallow(aws: Aws, service: str, arns: Sequence[str]) -> None:
    """Take ARNs from those that may ask for a service."""
    if arns:
        await aws.ec2(
            lambda ec2: ec2.modify_vpc_endpoint_service_permissions(
                ServiceId=service, RemoveAllowedPrincipals=list(arns)
            )
        )
