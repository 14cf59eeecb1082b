"""`tieline link`: private links of a deployment."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from tieline.cli.connection import (
    Cascade,
    DeploymentKey,
    Json,
    Key,
    NewName,
    Wait,
    connect,
    the_deployment,
    with_names,
)
from tieline.cli.output import details, out, show, wait_for
from tieline.cli.supplied import given, supplied
from tieline.client.rest import Client, ClientError
from tieline.cloud.doctor.health import LinkHealth
from tieline.cloud.links.figures import ACTIVE, LinkFigures
from tieline.cloud.model.records import LinkStatus, PrivateLinkView

app = typer.Typer(
    no_args_is_help=True, help="Private links: a service of another VPC, at an address of the deployment's."
)

COLUMNS = ("id", "name", "status", "reason", "address", "zones")
ServerName = Annotated[str, typer.Option(help="What TLS to the servers behind it verifies, if not the address.")]
NewServerName = Annotated[str | None, typer.Option(help="What TLS verifies; '' for the address again.")]
RESETS = {"RstPacketsSent": "sent", "RstPacketsReceived": "received"}
REFUSALS = {  # why, by CloudWatch's metric
    "RefusedBySecurityGroup": "a security group does not allow it",
    "RefusedWithoutTarget": "no target behind the listener",
    "RefusedWithoutListener": "no listener on the port, or the link is not open",
    "RefusedFlowTableFull": "the table of flows is full",
}
DONE = {LinkStatus.WAITING_ACCEPTANCE, LinkStatus.RUNNING, LinkStatus.FAILED}


class ShownLink(PrivateLinkView):
    """A link and how it is: three things that are told apart."""

    health: LinkHealth


@app.command()
@supplied(connect)
def create(
    client: Client,
    name: NewName,
    service: Annotated[str, typer.Option(help="Service name, from its provider.")],
    port: Annotated[list[int] | None, typer.Option(help="Listener port, from the provider; again for more.")] = None,
    server_name: ServerName = "",
    deployment: DeploymentKey = "",
    wait: Wait = 0,
    as_json: Json = False,
) -> None:
    """Create a private link; with --wait until it waits for acceptance, runs or failed."""
    there = the_deployment(client, deployment)
    link = client.create_link(there, name=name, service_name=service, ports=port or [], server_name=server_name)
    if wait:
        link = wait_for(lambda: client.link(there, link.id), lambda seen: seen.status in DONE, wait)
    show(link, COLUMNS, as_json)
    if wait and link.status not in (LinkStatus.RUNNING, LinkStatus.WAITING_ACCEPTANCE):
        raise typer.Exit(1)


@app.command("list")
@supplied(connect)
def list_(client: Client, deployment: DeploymentKey = "", as_json: Json = False) -> None:
    """List the private links of a deployment, or of all where none is named."""
    links = with_names(client, client.links(deployment), as_json)
    show(links, ("deployment", *COLUMNS), as_json)


@app.command("show")
@supplied(connect)
def show_(
    client: Client,
    key: Key,
    deployment: DeploymentKey = "",
    wait: Wait = 0,
    as_json: Json = False,
) -> None:
    """Show one private link, how its backends are, and a probe from inside; with --wait until it runs or failed."""
    there = the_deployment(client, deployment)
    link = wait_for(lambda: client.link(there, key), _final, wait)
    health = client.link_health(there, link.id)
    details(ShownLink(**link.model_dump(), health=health) if as_json else link, as_json)
    if not as_json:
        _tell(health)
    if wait and link.status is not LinkStatus.RUNNING:
        raise typer.Exit(1)


@app.command()
@supplied(connect)
def change(
    client: Client,
    key: Key,
    name: Annotated[str | None, typer.Option(help="The new name; resources that name the link follow.")] = None,
    port: Annotated[list[int] | None, typer.Option(help="Listener port; again for more; these and no others.")] = None,
    server_name: NewServerName = None,
    deployment: DeploymentKey = "",
    as_json: Json = False,
) -> None:
    """Change a link's name, ports or server name; what is not named stays."""
    changes = given(name=name, ports=port or None, server_name=server_name)
    where = ("deployments", the_deployment(client, deployment), "private-links", key)
    show(client.change(PrivateLinkView, *where, changes=changes), COLUMNS, as_json)


@app.command()
@supplied(connect)
def reconnect(
    client: Client,
    key: Key,
    service: Annotated[str, typer.Option(help="The provider's new service name; none: the same as before.")] = "",
    deployment: DeploymentKey = "",
    wait: Wait = 0,
    as_json: Json = False,
) -> None:
    """Start a failed link again; resources that use it stay. With --wait until it waits for acceptance or runs."""
    there = the_deployment(client, deployment)
    link = client.reconnect_link(there, key, **({"service_name": service} if service else {}))
    if wait:
        link = wait_for(lambda: client.link(there, link.id), lambda seen: seen.status in DONE, wait)
    show(link, COLUMNS, as_json)
    if wait and link.status not in (LinkStatus.RUNNING, LinkStatus.WAITING_ACCEPTANCE):
        raise typer.Exit(1)


@app.command()
@supplied(connect)
def delete(
    client: Client,
    key: Key,
    deployment: DeploymentKey = "",
    cascade: Cascade = False,
    wait: Wait = 0,
    as_json: Json = False,
) -> None:
    """Delete a private link in any state; refused while resources use it, unless --cascade."""
    there = the_deployment(client, deployment)
    link = client.delete_link(there, key, cascade)
    gone = bool(wait) and wait_for(lambda: _gone(client, there, link.id), bool, wait)
    show(link, COLUMNS, as_json)
    if wait and not gone:
        raise typer.Exit(1)


def _tell(health: LinkHealth) -> None:
    """What `running` does not say: whether backends are healthy, and whether a connection comes about."""
    probe = health.probe
    reached = "unknown" if probe.reached is None else "reached" if probe.reached else "not reached"
    told = f"{reached} at {probe.at}{f': {probe.cause}' if probe.cause else ''}"
    hint = " (the provider's account tells: tieline doctor --profile …)" if health.backend == "unknown" else ""
    out.print(Text.assemble(("backends  ", "bold"), f"{health.backend}{hint}"))
    out.print(Text.assemble(("probe     ", "bold"), told))
    out.print(Text.assemble(("last hour ", "bold"), "; ".join(carried(health.figures))))
    for port, numbers in health.figures.ports.items():
        line = "; ".join(carried(LinkFigures(totals=numbers)))
        out.print(Text.assemble((f"{port:<10}", "bold"), line))
    if health.changed is not None:
        last = health.changed
        out.print(Text.assemble(("changed   ", "bold"), f"{last.at} {last.action} by {last.who} ({last.operation})"))


def carried(figures: LinkFigures) -> list[str]:
    """What a link carried and refused, in words: what AWS does not tell is left out."""
    if figures.error or not figures.totals:
        return [figures.error or "nothing is known"]
    known = figures.totals
    told = [f"{known[ACTIVE]:,.0f} flows open"] if ACTIVE in known else []
    told += [f"{known['NewConnections']:,.0f} new"] if "NewConnections" in known else []
    for way, word in (("Sent", "sent"), ("Received", "received"), ("Processed", "both ways")):
        if (size := known.get(f"Bytes{way}")) is not None and not (way == "Processed" and "BytesSent" in known):
            packets = known.get(f"Packets{way}")
            told.append(f"{size:,.0f} bytes {word}" + ("" if packets is None else f" in {packets:,.0f} packets"))
    told += [f"{known[name]:,.0f} resets {word}" for name, word in RESETS.items() if known.get(name)]
    return told + [f"{known[name]:,.0f} refused: {why}" for name, why in REFUSALS.items() if known.get(name)]


def _final(link: PrivateLinkView) -> bool:
    return link.status in (LinkStatus.RUNNING, LinkStatus.FAILED)


def _gone(client: Client, deployment: str, id: str) -> bool:
    try:
        client.link(deployment, id)
    except ClientError as error:
        if error.status == 404:
            return True
        raise
    return False
