"""`tieline expose`: the provider's half, in the provider's own account and with nothing but AWS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from tieline.cli.connection import Json
from tieline.cli.output import out, print_json
from tieline.cli.progress import Progress
from tieline.cli.provider import account, run
from tieline.cli.supplied import supplied
from tieline.client.connect.expose import conceal, preview_concealing
from tieline.client.connect.expose import expose as make
from tieline.client.connect.plan import plan
from tieline.client.provider.exposure import Exposure, exposure
from tieline.client.provider.observe import observe
from tieline.client.rest import ClientError
from tieline.cloud.aws.client import Aws
from tieline.cloud.model.problems import PlatformError

To = Annotated[
    list[str], typer.Option("--to", help="HOST:PORT, HOST an address or instance id; or LISTEN=HOST:PORT. Repeatable.")
]
Vpc = Annotated[str, typer.Option("--vpc", help="The VPC that the backends are in.")]
Name = Annotated[str, typer.Option("--name", help="Name of the exposure, and of the link to it.")]
HealthPort = Annotated[int, typer.Option("--health-port", help="Port of the health check; 0 is the backend's own.")]


def wanted_exposure(
    name: str, vpc: str, to: list[str], zones: str = "", allow: list[str] | None = None, health_port: int = 0
) -> Exposure:
    """The exposure that the options describe; raises ClientError."""
    chosen = tuple(zone.strip() for zone in zones.split(",") if zone.strip())
    try:
        return exposure(name, vpc, tuple(to), chosen, tuple(allow or ()), health_port)
    except PlatformError as error:
        raise ClientError(error.code, error.message, error.hint) from error


@supplied(account)
def expose(
    aws: Aws,
    to: To = [],  # noqa: B006  typer reads it, nobody changes it
    vpc: Vpc = "",
    allow: Annotated[list[str] | None, typer.Option("--allow", help="ARN to allow; repeatable.")] = None,
    zones: Annotated[str, typer.Option("--zones", help="AZ ids of the consumer, with commas; none: every zone.")] = "",
    name: Name = "default",
    health_port: HealthPort = 0,
    remove: Annotated[bool, typer.Option("--remove", help="Delete what was exposed under this name.")] = False,
    only_plan: Annotated[bool, typer.Option("--plan", help="Print what would be done, and do nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Expose backends of a VPC as an endpoint service; run again it changes only what is missing."""
    if remove and only_plan:
        show_steps(run(preview_concealing(aws, name)), as_json)
        return
    if remove:
        _remove(aws, name, as_json)
        return
    if not vpc:
        raise ClientError("NO_VPC", "which VPC are the backends in?", "give --vpc vpc-…")
    wanted = wanted_exposure(name, vpc, to, zones, allow, health_port)
    if only_plan:
        show_steps([str(step) for step in run(_plan(aws, wanted))], as_json)
        return
    with Progress(as_json) as progress:
        service = run(make(aws, wanted, lambda doing: progress.begin("expose", doing)))
    if as_json:
        told = {"name": name, "service_name": service.name, "service_id": service.id, "ports": wanted.ports}
        print_json({**told, "zones": sorted(service.zones), "principals": sorted(service.principals)})
    else:
        out.print(service.name)


def show_steps(steps: Sequence[str], as_json: bool) -> None:
    """Print what would be done."""
    if as_json:
        print_json({"steps": list(steps)})
        return
    for number, step in enumerate(steps, 1):
        out.print(f"{number:>2} {step}")
    if not steps:
        out.print("nothing is to be done")


async def _plan(aws: Aws, wanted: Exposure) -> tuple[object, ...]:
    return plan(wanted, await observe(aws, wanted.name, wanted.vpc))


def _remove(aws: Aws, name: str, as_json: bool) -> None:
    with Progress(as_json) as progress:
        number = run(conceal(aws, name, lambda doing: progress.begin("remove", doing)))
    if as_json:
        print_json({"name": name, "removed": number})
    elif not number:
        out.print(f"nothing is exposed as {name}")
