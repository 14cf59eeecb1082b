"""`tieline reject`: the provider's no to a connection, also to one that is live."""

from __future__ import annotations

from tieline.cli.accept import All, Endpoints, OnlyPlan, Service, decide, tell
from tieline.cli.connection import Json, State
from tieline.cli.provider import Credentials, Endpoint, Profile, Region, account, run


def reject(
    service: Service = "default",
    endpoints: Endpoints = None,
    everyone: All = False,
    only_plan: OnlyPlan = False,
    as_json: Json = False,
    profile: Profile = "",
    credentials: Credentials = None,
    endpoint: Endpoint = "",
    region: Region = "",
    state: State = None,
) -> None:
    """Reject a connection that waits, or with --id one that is live: its flows end at once."""
    aws = account(profile, credentials, endpoint, region, state)
    told = run(decide(aws, service, endpoints or [], everyone, "reject", only_plan))
    tell(told, "would reject" if only_plan else "rejected", as_json)
