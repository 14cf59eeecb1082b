"""`tieline aws`: what an AWS account must allow, for the platform's side and for the provider's."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from tieline.cli.connection import connect
from tieline.cli.output import print_json
from tieline.cli.supplied import supplied
from tieline.client.provider.policies import platform_policy, provider_policy, trust_policy
from tieline.client.rest import Client

app = typer.Typer(no_args_is_help=True, help="IAM policies of least privilege.")


class Side(StrEnum):
    """Whose account it is for."""

    PLATFORM = "platform"
    PROVIDER = "provider"


POLICIES = {Side.PLATFORM: platform_policy, Side.PROVIDER: provider_policy}


@app.command()
def policy(
    side: Annotated[Side | None, typer.Option(help="One side's policy alone, ready for aws iam create-policy.")] = None,
    region: Annotated[str, typer.Option(help="Allow this region only.")] = "*",
) -> None:
    """Print the policies: the platform's, in the account of a deployment's VPC; the provider's, of tieline expose."""
    print_json(POLICIES[side](region) if side else {name.value: made(region) for name, made in POLICIES.items()})


@app.command()
@supplied(connect)
def trust(
    client: Client,
    project: Annotated[str, typer.Option(help="The project whose deployments use the role.")] = "default",
) -> None:
    """Print the trust policy of a role that the platform assumes for a project's deployments."""
    access = client.aws_access(project)
    print_json(trust_policy(access.principal, access.external_id))
