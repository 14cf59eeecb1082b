"""`tieline reject`: the provider's no to a connection, also to one that is live."""

from __future__ import annotations

from tieline.cli.connection import Json
from tieline.cli.privatelink.accept import All, Endpoints, OnlyPlan, Service, decide, tell
from tieline.cli.provider import account, run
from tieline.cli.supplied import supplied
from tieline.cloud.aws.client import Aws


@supplied(account)
def reject(
    aws: Aws,
    service: Service = "default",
    endpoints: Endpoints = None,
    everyone: All = False,
    only_plan: OnlyPlan = False,
    as_json: Json = False,
) -> None:
    """Reject a connection that waits, or with --id one that is live: its flows end at once."""
    told = run(decide(aws, service, endpoints or [], everyone, "reject", only_plan))
    tell(told, "would reject" if only_plan else "rejected", as_json)
