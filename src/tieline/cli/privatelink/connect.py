"""`tieline connect`: the whole guide as one command, from a backend's address to the first answer behind a link."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from tieline.cli import connection
from tieline.cli.connection import ApiKey, DeploymentKey, Json, State, Url, the_deployment
from tieline.cli.output import err, out, print_json
from tieline.cli.privatelink.diagnosis import show_diagnosis
from tieline.cli.privatelink.expose import HealthPort, Name, To, Vpc, wanted_exposure
from tieline.cli.progress import Progress
from tieline.cli.provider import Credentials, Endpoint, Profile, Region, account, run
from tieline.client.connect.connect import Connected, Connecting, NotReached, Phase, Preview
from tieline.cloud.model.records import LinkStatus

WAITS = 3  # exit status: everything is done that is ours to do, and the provider is to consent


def connect(
    to: To,
    vpc: Vpc,
    name: Name = "default",
    accept: Annotated[bool, typer.Option("--accept", help="Also give the provider's consent.")] = False,
    only_plan: Annotated[bool, typer.Option("--plan", help="Print what was found and would be done.")] = False,
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait at most for each of link and answer.")] = 60,
    health_port: HealthPort = 0,
    deployment: DeploymentKey = "",
    as_json: Json = False,
    profile: Profile = "",
    credentials: Credentials = None,
    endpoint: Endpoint = "",
    region: Region = "",
    url: Url = "",
    api_key: ApiKey = "",
    state: State = None,
) -> None:
    """Connect a deployment to backends of another VPC: expose, link, consent, wait, and try every port.

    Run it again after any interruption. Exit status 0: reached; 1: not, with the hop that fails; 3: the provider is to
    consent.
    """
    wanted = wanted_exposure(name, vpc, to, health_port=health_port)
    aws = account(profile, credentials, endpoint, region, state)
    with connection.connect(url, api_key, state) as client:
        there = the_deployment(client, deployment)
        if only_plan:
            _preview(run(Connecting(client, aws, there, wanted, lambda _: None).preview(accept)), as_json)
            return
        with Progress(as_json) as progress:

            def tell(phase: Phase) -> None:
                if phase.seconds is None:
                    progress.begin(phase.phase, phase.detail)

            try:
                done = run(Connecting(client, aws, there, wanted, tell).run(accept, wait))
            except NotReached as error:
                progress.end(failed=True)
                show_diagnosis(error.diagnosis, as_json)
                raise typer.Exit(1) from None
    _tell(done, as_json)
    if done.link.status is not LinkStatus.RUNNING:
        raise typer.Exit(WAITS)


def _preview(found: Preview, as_json: bool) -> None:
    if as_json:
        print_json(found.model_dump())
        return
    out.print(Text.assemble(("zones      ", "bold"), ", ".join(found.common_zones), " in common"))
    out.print(f"           deployment {', '.join(found.deployment_zones)}; VPC {', '.join(found.provider_zones)}")
    out.print(Text.assemble(("principal  ", "bold"), found.principal))
    out.print(Text.assemble(("service    ", "bold"), found.service_name or "to be made"))
    for number, step in enumerate(found.steps, 1):
        out.print(f"{number:>2} {step}")


def _tell(done: Connected, as_json: bool) -> None:
    if as_json:
        print_json(done.model_dump(mode="json"))
    elif done.link.status is LinkStatus.RUNNING:
        for address in done.link.addresses:
            out.print(address)
        for port in done.link.ports:
            err.print(Text(f"a resource's server: link:{done.link.name}:{port}", "dim"))
    else:
        out.print(Text.assemble((done.link.status, "yellow"), f": {done.link.endpoint} of {done.service_name}"))
        err.print(Text.assemble(("next:  ", "bold"), f"tieline accept {done.link.name} --id {done.link.endpoint}"))
