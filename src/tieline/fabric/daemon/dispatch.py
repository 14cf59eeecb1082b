"""From a verified request to an operation: one transaction each, undone when it raises or is a dry run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from tieline.fabric.aws import catalogue
from tieline.fabric.aws.protocol import errors
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.protocol.signature import Credential
from tieline.fabric.aws.service.calls import Call, refuse_unsupported
from tieline.fabric.aws.service.endpoint import Request
from tieline.fabric.core import sessions
from tieline.fabric.core.figures import Book
from tieline.fabric.core.ids import Ids
from tieline.fabric.core.records import AccessKey, Account
from tieline.fabric.core.world import World


def dispatcher(
    world: World,
    region: str,
    ids: Ids,
    clock: Callable[[], datetime],
    console: Callable[[str], str],
    book: Book | None = None,
    switched_off: Collection[str] = (),
) -> Callable[[Request], Mapping[str, Any]]:
    """The function that the wire calls for each request; operations that are `switched_off` are refused."""
    table, book = catalogue.served(), book or Book()

    def dispatch(request: Request) -> Mapping[str, Any]:
        served = table.get((request.service, request.operation))
        if served is None:
            message = f"tieline does not serve {request.operation}. docs/aws-actions.md lists what it serves."
            raise AwsError("UnsupportedOperation" if request.service == "ec2" else "InvalidAction", message)
        if request.operation in switched_off:
            message = f"{request.operation} is switched off on this fabric (tieline up --no-instances)."
            raise AwsError("UnsupportedOperation", message, 403)
        if request.region != region:
            message = f"This fabric is the region {region}; the request was signed for {request.region}."
            raise AwsError("AuthFailure" if request.service == "ec2" else "SignatureDoesNotMatch", message, 403)
        refuse_unsupported(request.service, request.operation, served, request.parameters)
        call = Call(world, region, request.caller, clock(), ids, request.parameters, console, book)
        with world.transaction():
            answer = served.run(call)
            if request.parameters.get("DryRun"):
                raise errors.dry_run()
        return answer

    return dispatch


def key_lookup(world: World) -> Callable[[str], Credential | None]:
    """Finds the credential behind an access key id."""

    def lookup(id: str) -> Credential | None:
        key = world.get(AccessKey, id)
        account = world.get(Account, key.owner) if key else None
        if key is None or account is None:
            return None
        return Credential(
            access_key=key.id,
            secret=key.secret,
            account=key.owner,
            arn=key.arn,
            user_id=key.user_id,
            name=account.name,
            session_token=key.token,
            expires=sessions.end(world, key),
        )

    return lookup


def now() -> datetime:
    """The present, in UTC, to the millisecond that AWS shows."""
    present = datetime.now(UTC)
    return present.replace(microsecond=present.microsecond // 1000 * 1000)
