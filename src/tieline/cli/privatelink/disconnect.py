"""`tieline disconnect`: takes back what `tieline connect` made, the link first and then the provider's half."""

from __future__ import annotations

from typing import Annotated

import typer

from tieline.cli import connection
from tieline.cli.connection import ApiKey, Cascade, DeploymentKey, Json, State, Url, the_deployment
from tieline.cli.output import out, print_json, wait_for
from tieline.cli.privatelink.expose import Name, show_steps
from tieline.cli.progress import Progress
from tieline.cli.provider import Credentials, Endpoint, Profile, Region, account, run
from tieline.client.connect.expose import conceal, preview_concealing
from tieline.client.rest import Client, ClientError
from tieline.cloud.resources.dependants import goes_through


def disconnect(
    name: Name = "default",
    deployment: DeploymentKey = "",
    cascade: Cascade = False,
    link_only: Annotated[bool, typer.Option("--link-only", help="Leave the provider's half as it is.")] = False,
    only_plan: Annotated[bool, typer.Option("--plan", help="Print what would be deleted, and do nothing.")] = False,
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait for the end of the link.")] = 60,
    as_json: Json = False,
    profile: Profile = "",
    credentials: Credentials = None,
    endpoint: Endpoint = "",
    region: Region = "",
    url: Url = "",
    api_key: ApiKey = "",
    state: State = None,
) -> None:
    """Delete a link, and what was exposed for it; refused while resources use the link, unless --cascade."""
    aws = None if link_only else account(profile, credentials, endpoint, region, state)
    with Progress(as_json) as progress, connection.connect(url, api_key, state) as client:
        there = the_deployment(client, deployment)
        if only_plan:
            steps = [*_preview(client, there, name, cascade), *(run(preview_concealing(aws, name)) if aws else ())]
            show_steps(steps, as_json)
            return
        progress.begin("link", f"delete private link {name}")
        linked = _delete(client, there, name, cascade)
        if linked and not wait_for(lambda: _gone(client, there, name), bool, wait):
            message = f"private link {name!r} is not gone after {wait:.0f} s"
            raise ClientError("NOT_GONE", message, "run it again: it goes on where it is")
        removed = run(conceal(aws, name, lambda doing: progress.begin("remove", doing))) if aws else 0
    if as_json:
        print_json({"name": name, "link": linked, "removed": removed})
    elif not linked and not removed:
        out.print(f"nothing is connected as {name}")


def _preview(client: Client, deployment: str, name: str, cascade: bool) -> list[str]:
    """What would be deleted on the platform, in order; raises ClientError where it would be refused."""
    link = next((one for one in client.links(deployment) if one.name == name), None)
    if link is None:
        return []
    resources = [one.name for one in client.resources(deployment) if goes_through(one.server, link)]
    rules = [one.name for one in client.rules(deployment) if {act.resource for act in one.actions} & set(resources)]
    if resources and not cascade:
        used = ", ".join([*(f"resource {each}" for each in resources), *(f"rule {each}" for each in rules)])
        raise ClientError("IN_USE", f"private link {name!r} is used by {used}", "delete these first, or give --cascade")
    steps = [("rule", each) for each in rules] + [("resource", each) for each in resources] + [("private link", name)]
    return [f"delete {kind} {each}" for kind, each in steps]


def _delete(client: Client, deployment: str, name: str, cascade: bool) -> bool:
    """Whether there was a link."""
    try:
        client.delete_link(deployment, name, cascade)
    except ClientError as error:
        if error.status == 404:
            return False
        raise
    return True


def _gone(client: Client, deployment: str, name: str) -> bool:
    return name not in [link.name for link in client.links(deployment)]
