"""`tieline service`: a provider's endpoint services, who may ask for them, and their end; nothing but AWS is used."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from tieline.cli.connection import Json, State, Wait
from tieline.cli.output import out, show
from tieline.cli.provider import Credentials, Endpoint, Profile, Region, account, run
from tieline.cloud.aws import Aws, AwsRefused
from tieline.cloud.client import ClientError
from tieline.cloud.connect import consent
from tieline.cloud.connect.consent import Connection

app = typer.Typer(no_args_is_help=True, help="Endpoint services, from their provider's side.")

COLUMNS = ("endpoint", "owner", "state")
POLL_SECONDS = 0.2
Key = Annotated[str, typer.Argument(help="Service id, service name, or name of an exposure.")]
Principal = Annotated[str, typer.Argument(help="The ARN as it was allowed, or *.")]


@app.command()
def connections(
    key: Key,
    as_json: Json = False,
    profile: Profile = "",
    credentials: Credentials = None,
    endpoint: Endpoint = "",
    region: Region = "",
    state: State = None,
) -> None:
    """List the endpoints that asked for a service."""
    aws = account(profile, credentials, endpoint, region, state)
    show(run(_connections(aws, key)), COLUMNS, as_json)


async def _connections(aws: Aws, key: str) -> list[Connection]:
    return await consent.connections(aws, await consent.service_id(aws, key))


@app.command()
def withdraw(
    key: Key,
    principal: Principal,
    cut: Annotated[
        bool, typer.Option("--cut", help="Also reject the live connections that it alone admitted.")
    ] = False,
    as_json: Json = False,
    profile: Profile = "",
    credentials: Credentials = None,
    endpoint: Endpoint = "",
    region: Region = "",
    state: State = None,
) -> None:
    """Allow a principal no longer. As on AWS its connections stay, unless --cut."""
    aws = account(profile, credentials, endpoint, region, state)
    show(run(_withdraw(aws, key, principal, cut)), COLUMNS, as_json)


async def _withdraw(aws: Aws, key: str, principal: str, cut: bool) -> list[Connection]:
    service = await consent.service_id(aws, key)
    await _disallow(aws, service, [principal])
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
    pages = await aws.ec2(
        lambda ec2: list(ec2.get_paginator("describe_vpc_endpoint_service_permissions").paginate(ServiceId=service))
    )
    return [item["Principal"] for page in pages for item in page["AllowedPrincipals"]]


async def _disallow(aws: Aws, service: str, arns: Sequence[str]) -> None:
    if arns:
        await aws.ec2(
            lambda ec2: ec2.modify_vpc_endpoint_service_permissions(
                ServiceId=service, RemoveAllowedPrincipals=list(arns)
            )
        )


@app.command()
def drain(
    key: Key,
    wait: Wait = 0,
    as_json: Json = False,
    profile: Profile = "",
    credentials: Credentials = None,
    endpoint: Endpoint = "",
    region: Region = "",
    state: State = None,
) -> None:
    """Admit nobody new, reject what waits, and leave live connections until their owners end them.

    Exit status 1 where connections are left after --wait.
    """
    aws = account(profile, credentials, endpoint, region, state)
    left = run(_drain(aws, key, wait))
    show(left, COLUMNS, as_json)
    if left and wait:
        raise typer.Exit(1)


async def _drain(aws: Aws, key: str, wait: float) -> list[Connection]:
    service = await consent.service_id(aws, key)
    await _disallow(aws, service, await principals(aws, service))
    found = await consent.connections(aws, service)
    await consent.reject(aws, service, [one.endpoint for one in found if one.state == consent.PENDING])
    return await _until_none(aws, service, wait)


async def _until_none(aws: Aws, service: str, wait: float) -> list[Connection]:
    """The connections that keep the service from being deleted, once there are none or the time is over."""
    deadline = time.monotonic() + wait
    while True:
        left = [one for one in await consent.connections(aws, service) if one.present]
        if not left or time.monotonic() >= deadline:
            return left
        await asyncio.sleep(POLL_SECONDS)


@app.command()
def delete(
    key: Key,
    cascade: Annotated[bool, typer.Option("--cascade", help="First reject every connection; live flows end.")] = False,
    as_json: Json = False,
    profile: Profile = "",
    credentials: Credentials = None,
    endpoint: Endpoint = "",
    region: Region = "",
    state: State = None,
) -> None:
    """Delete a service; refused while endpoints are connected, unless --cascade. Balancers and targets stay."""
    aws = account(profile, credentials, endpoint, region, state)
    cut = run(_delete(aws, key, cascade))
    show(cut, COLUMNS, as_json)
    if not as_json:
        out.print(f"{key} is deleted")


async def _delete(aws: Aws, key: str, cascade: bool) -> list[Connection]:
    service = await consent.service_id(aws, key)
    present = [one for one in await consent.connections(aws, service) if one.present]
    if present and not cascade:
        named = ", ".join(f"{one.endpoint} of {one.owner} ({one.state})" for one in present[:5])
        hint = "reject them, wait until their owners delete them (tieline service drain), or give --cascade"
        raise ClientError("IN_USE", f"{service} has {len(present)} connections: {named}", hint, 409)
    if cascade:
        await _disallow(aws, service, await principals(aws, service))
        await consent.reject(aws, service, [one.endpoint for one in present])
    answer = await aws.ec2(lambda ec2: ec2.delete_vpc_endpoint_service_configurations(ServiceIds=[service]))
    for item in answer.get("Unsuccessful", []):
        error = item.get("Error", {})
        raise AwsRefused("DeleteVpcEndpointServiceConfigurations", error.get("Code", ""), error.get("Message", ""))
    return present
