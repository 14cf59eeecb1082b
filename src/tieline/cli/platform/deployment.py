"""`tieline deployment`: MQTT deployments, and what a provider must know to admit one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tieline.cli.connection import Cascade, Json, Key, NewName, Wait, connect
from tieline.cli.files import text
from tieline.cli.output import details, out, print_json, show, wait_for
from tieline.cli.platform.broker import address, remote
from tieline.cli.supplied import given, supplied
from tieline.client.rest import Client, ClientError
from tieline.cloud.model.records import DeploymentStatus
from tieline.cloud.schemas.answers import DeploymentAnswer

app = typer.Typer(no_args_is_help=True, help="MQTT deployments: broker, rules, and their network.")

ORIGIN = "Origin of web pages that may connect by WebSocket beside the broker's own host's; * for all."
OnListeners = Annotated[
    list[str] | None, typer.Option(help="A listener without users: mqtt, mqtts or websocket. Again for each.")
]
COLUMNS = ("id", "name", "status", "reason", "provider", "mqtt", "agent.connected")


@app.command()
@supplied(connect)
def create(
    client: Client,
    name: NewName,
    external: Annotated[bool, typer.Option("--external", help="Anywhere; the agent is started by hand.")] = False,
    vpc: Annotated[str, typer.Option(help="In this VPC, which exists; the agent is started there by hand.")] = "",
    subnet: Annotated[list[str] | None, typer.Option(help="Subnet of the VPC, one of each zone.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="Security group of the links' endpoints.")] = None,
    aws_profile: Annotated[str, typer.Option(help="The VPC's account: a profile that the platform allows.")] = "",
    role: Annotated[str, typer.Option(help="The VPC's account: a role that the platform assumes.")] = "",
    region: Annotated[str, typer.Option(help="The VPC's region; the platform's by default.")] = "",
    broker: Annotated[str, typer.Option(help="A broker of yours: mqtts://user@host:port, or mqtt://.")] = "",
    broker_password: Annotated[str, typer.Option(envvar="TIELINE_BROKER_PASSWORD", help="Its password.")] = "",
    broker_authority: Annotated[Path | None, typer.Option(help="PEM file to verify it with.")] = None,
    project: Annotated[str, typer.Option(help="The project that it belongs to.")] = "default",
    workers: Annotated[int, typer.Option(help="Processes that share the integration's work.")] = 1,
    cidr: Annotated[str, typer.Option(help="Address range of a VPC that is made.")] = "10.0.0.0/16",
    zone: Annotated[list[str] | None, typer.Option(help="Zone id of a VPC that is made; again for each.")] = None,
    mqtt: Annotated[str, typer.Option(help="host:port for devices; a free loopback port by default.")] = "",
    anonymous: Annotated[bool, typer.Option(help="Whether devices connect without a user.")] = False,
    anonymous_on: OnListeners = None,
    wait: Wait = 0,
    as_json: Json = False,
) -> None:
    """Create a deployment: in a VPC that is made for it, in one that exists (--vpc), or anywhere (--external)."""
    wanted: dict[str, object] = {"name": name, "provider": "external" if external else "aws" if vpc else "fabric"}
    wanted |= {"cidr": cidr, "zones": zone or [], "project": project, "workers": workers}
    wanted |= {"mqtt": address(mqtt).model_dump() if mqtt else None}
    if vpc:
        account = {"profile": aws_profile, "role": role, "region": region, "security_groups": group or []}
        wanted["aws"] = {"vpc": vpc, "subnets": subnet or [], **account}
    if broker:
        wanted["broker"] = remote(broker, broker_password, broker_authority)
    if anonymous or anonymous_on:
        wanted["anonymous"] = anonymous_on or anonymous
    made = client.create_deployment(**wanted)
    if wait:
        seen = wait_for(lambda: client.deployment(made.id), _settled, wait)
        made = made.model_copy(update=dict(seen))
    show(made, COLUMNS, as_json)
    if made.join_token and not as_json:
        out.print(f"join token, shown once: {made.join_token}")
    if wait and made.status is not DeploymentStatus.RUNNING:
        raise typer.Exit(1)


@app.command("list")
@supplied(connect)
def list_(client: Client, as_json: Json = False) -> None:
    """List all deployments."""
    show(client.deployments(), COLUMNS, as_json)


@app.command("show")
@supplied(connect)
def show_(client: Client, key: Key, as_json: Json = False) -> None:
    """Show one deployment."""
    details(client.deployment(key), as_json)


@app.command()
@supplied(connect)
def offer(client: Client, key: Key, as_json: Json = False) -> None:
    """Show the zones and the ARN that the provider of a service needs."""
    details(client.offer(key), as_json)


@app.command()
@supplied(connect)
def token(client: Client, key: Key, as_json: Json = False) -> None:
    """Print another join token for agents that are started by hand; the present one ends."""
    made = client.renew_join_token(key)
    print_json({"join_token": made}) if as_json else out.print(made)


@app.command()
@supplied(connect)
def delete(
    client: Client,
    key: Key,
    cascade: Cascade = False,
    wait: Wait = 0,
    as_json: Json = False,
) -> None:
    """Delete a deployment; refused while anything is in it, unless --cascade."""
    leaving = client.delete_deployment(key, cascade)
    gone = bool(wait) and wait_for(lambda: _gone(client, leaving.id), bool, wait)
    show(leaving, COLUMNS, as_json)
    if wait and not gone:
        raise typer.Exit(1)


@app.command()
@supplied(connect)
def stop(client: Client, key: Key, wait: Wait = 0, as_json: Json = False) -> None:
    """Stop broker and rules; sessions, queues and links stay."""
    _switch(client, key, "stop", wait, as_json)


@app.command()
@supplied(connect)
def start(client: Client, key: Key, wait: Wait = 0, as_json: Json = False) -> None:
    """Start a deployment that was stopped."""
    _switch(client, key, "start", wait, as_json)


@app.command()
@supplied(connect)
def change(
    client: Client,
    key: Key,
    name: Annotated[str | None, typer.Option(help="The new name.")] = None,
    mqtts: Annotated[str | None, typer.Option(help="host:port for MQTT over TLS; none removes it.")] = None,
    websocket: Annotated[str | None, typer.Option(help="host:port for MQTT over WebSocket; none removes it.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that share the integration's work.")] = None,
    broker: Annotated[str | None, typer.Option(help="A broker of yours that moved: mqtts://user@host:port.")] = None,
    broker_password: Annotated[str, typer.Option(envvar="TIELINE_BROKER_PASSWORD", help="Its password.")] = "",
    broker_authority: Annotated[Path | None, typer.Option(help="PEM file to verify it with.")] = None,
    anonymous: Annotated[bool | None, typer.Option(help="Whether devices connect without a user.")] = None,
    anonymous_on: OnListeners = None,
    origin: Annotated[list[str] | None, typer.Option(help=f"{ORIGIN} Again for each; none for no other.")] = None,
    chain: Annotated[Path | None, typer.Option(help="PEM file: the server's certificate and those above it.")] = None,
    private_key: Annotated[Path | None, typer.Option("--key", help="PEM file: its unencrypted key.")] = None,
    as_json: Json = False,
) -> None:
    """Change a deployment's name, workers, listeners, certificate or broker; what is not named stays."""
    changes = given(name=name, workers=workers, anonymous=anonymous_on or anonymous)
    if origin is not None:
        changes["websocket_origins"] = [one for one in origin if one != "none"]
    if broker is not None:
        changes["broker"] = remote(broker, broker_password, broker_authority)
    for listener, place in (("mqtts", mqtts), ("websocket", websocket)):
        if place is not None:
            changes[listener] = None if place == "none" else address(place).model_dump()
    if bool(chain) != bool(private_key):
        raise ClientError("INCOMPLETE", "a certificate is of no use without its key", "give --chain and --key together")
    if chain and private_key:
        changes["certificate"] = {"chain": text(chain, "--chain"), "key": text(private_key, "--key")}
    if not changes:
        raise ClientError("NOTHING_CHOSEN", "nothing is to be changed", "name what: --help lists the options")
    show(client.change(DeploymentAnswer, "deployments", key, changes=changes), COLUMNS, as_json)


@app.command()
@supplied(connect)
def certificate(client: Client, key: Key) -> None:
    """Print the certificate that devices verify the TLS listener with."""
    out.print(client.certificate(key), end="")


def _switch(client: Client, key: str, verb: Literal["start", "stop"], wait: float, as_json: bool) -> None:
    wanted = DeploymentStatus.RUNNING if verb == "start" else DeploymentStatus.STOPPED
    seen = client.switch(key, verb)
    if wait:
        seen = wait_for(lambda: client.deployment(key), lambda found: found.status is wanted, wait)
    show(seen, COLUMNS, as_json)
    if wait and seen.status is not wanted:
        raise typer.Exit(1)


def _settled(deployment: object) -> bool:
    status = getattr(deployment, "status", None)
    return status in (DeploymentStatus.RUNNING, DeploymentStatus.FAILED)


def _gone(client: Client, id: str) -> bool:
    try:
        client.deployment(id)
    except ClientError as error:
        if error.status == 404:
            return True
        raise
    return False
