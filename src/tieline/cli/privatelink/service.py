"""`tieline service`: a provider's endpoint services, who may ask for them, and their end; nothing but AWS is used."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel

from tieline.cli.connection import Json, Wait
from tieline.cli.output import out, show
from tieline.cli.privatelink.principals import COLUMNS, Key, allow, allowed, disallow, principals, withdraw
from tieline.cli.provider import account, run
from tieline.cli.supplied import supplied
from tieline.client.provider import consent
from tieline.client.provider.consent import Connection
from tieline.client.rest import ClientError
from tieline.cloud.aws.client import Aws, AwsRefused

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ServiceConfigurationTypeDef

app = typer.Typer(no_args_is_help=True, help="Endpoint services, from their provider's side.")

for each in (allowed, allow, withdraw):
    app.command()(each)

POLL_SECONDS = 0.2


class Service(BaseModel):
    """An endpoint service as its provider sees it."""

    id: str
    name: str
    state: str
    acceptance_required: bool
    zones: list[str]
    principals: int
    connections: int


@app.command("list")
@supplied(account)
def list_services(
    aws: Aws,
    as_json: Json = False,
) -> None:
    """List the account's services, with how many are allowed to ask for each and how many are connected."""
    show(run(_list(aws)), ("id", "state", "acceptance_required", "zones", "principals", "connections"), as_json)


async def _list(aws: Aws) -> list[Service]:
    pages = await aws.ec2(
        lambda ec2: list(ec2.get_paginator("describe_vpc_endpoint_service_configurations").paginate())
    )
    return [await _service(aws, item) for page in pages for item in page["ServiceConfigurations"]]


async def _service(aws: Aws, item: ServiceConfigurationTypeDef) -> Service:
    id = item["ServiceId"]
    return Service(
        id=id,
        name=item["ServiceName"],
        state=item["ServiceState"],
        acceptance_required=item["AcceptanceRequired"],
        zones=item.get("AvailabilityZoneIds", []),
        principals=len(await principals(aws, id)),
        connections=len([one for one in await consent.connections(aws, id) if one.present]),
    )


@app.command()
@supplied(account)
def connections(
    aws: Aws,
    key: Key,
    as_json: Json = False,
) -> None:
    """List the endpoints that asked for a service."""
    show(run(_connections(aws, key)), COLUMNS, as_json)


async def _connections(aws: Aws, key: str) -> list[Connection]:
    return await consent.connections(aws, await consent.service_id(aws, key))


@app.command()
@supplied(account)
def drain(
    aws: Aws,
    key: Key,
    wait: Wait = 0,
    as_json: Json = False,
) -> None:
    """Admit nobody new, reject what waits, and leave live connections until their owners end them.

    Exit status 1 where connections are left after --wait.
    """
    left = run(_drain(aws, key, wait))
    show(left, COLUMNS, as_json)
    if left and wait:
        raise typer.Exit(1)


async def _drain(aws: Aws, key: str, wait: float) -> list[Connection]:
    service = await consent.service_id(aws, key)
    await disallow(aws, service, await principals(aws, service))
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
@supplied(account)
def delete(
    aws: Aws,
    key: Key,
    cascade: Annotated[bool, typer.Option("--cascade", help="First reject every connection; live flows end.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a service; refused while endpoints are connected, unless --cascade. Balancers and targets stay."""
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
        await disallow(aws, service, await principals(aws, service))
        await consent.reject(aws, service, [one.endpoint for one in present])
    answer = await aws.ec2(lambda ec2: ec2.delete_vpc_endpoint_service_configurations(ServiceIds=[service]))
    for item in answer.get("Unsuccessful", []):
        error = item.get("Error", {})
        raise AwsRefused("DeleteVpcEndpointServiceConfigurations", error.get("Code", ""), error.get("Message", ""))
    return present
