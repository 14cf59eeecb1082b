"""`tieline accept`: the provider's yes to a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from tieline.cli.connection import Json
from tieline.cli.output import out, print_json
from tieline.cli.provider import account, run
from tieline.cli.supplied import supplied
from tieline.client.provider import consent
from tieline.cloud.aws.client import Aws

Service = Annotated[str, typer.Argument(help="Name of the exposure, service name, or service id.")]
Endpoints = Annotated[
    list[str] | None, typer.Option("--id", help="Endpoint to decide about; repeatable. None: the only one that waits.")
]
OnlyPlan = Annotated[bool, typer.Option("--plan", help="Print whom it would be said to, and say nothing.")]
All = Annotated[bool, typer.Option("--all", help="Every endpoint that waits.")]


@supplied(account)
def accept(
    aws: Aws,
    service: Service = "default",
    endpoints: Endpoints = None,
    everyone: All = False,
    only_plan: OnlyPlan = False,
    as_json: Json = False,
) -> None:
    """Accept the connection that waits for consent; run again it changes nothing."""
    told = run(decide(aws, service, endpoints or [], everyone, "accept", only_plan))
    tell(told, "would accept" if only_plan else "accepted", as_json)


async def decide(
    aws: Aws, key: str, endpoints: Sequence[str], everyone: bool, verb: str, only_plan: bool
) -> list[consent.Connection]:
    """Say yes or no; the connections that it was, or would be, said to. Raises PlatformError or AwsError."""
    service = await consent.service_id(aws, key)
    found = await consent.connections(aws, service)
    if everyone:
        endpoints = [one.endpoint for one in found if one.state == consent.PENDING]
    accepting = verb == "accept"
    fitting = consent.ACCEPTABLE if accepting else {one.state for one in found if one.present}
    chosen = consent.chosen(found, endpoints, verb, fitting) if endpoints or not everyone else []
    if only_plan:
        return [one for one in found if one.endpoint in chosen]
    await (consent.accept if accepting else consent.reject)(aws, service, chosen)
    return [one for one in await consent.connections(aws, service) if one.endpoint in chosen]


def tell(decided: list[consent.Connection], word: str, as_json: bool) -> None:
    """Print what was decided."""
    if as_json:
        print_json([one.model_dump() for one in decided])
        return
    for one in decided:
        out.print(f"{word} {one.endpoint} of account {one.owner}")
    if not decided:
        out.print("no connection waits")
