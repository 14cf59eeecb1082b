"""Which AWS account a command acts in, from options or a state directory, and what its refusals mean to a person."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from tieline.cli.connection import State
from tieline.client.rest import ClientError
from tieline.cloud.aws.client import Aws, AwsError, AwsRefused, AwsSettings
from tieline.cloud.model.problems import PlatformError

T = TypeVar("T")

Profile = Annotated[
    str,
    typer.Option("--profile", envvar="AWS_PROFILE", help="Profile of the provider's account.", show_default=False),
]
Credentials = Annotated[
    Path | None, typer.Option("--credentials", help="AWS credentials file, where it is not ~/.aws/credentials.")
]
Endpoint = Annotated[
    str,
    typer.Option("--endpoint-url", "--endpoint", envvar="AWS_ENDPOINT_URL", help="Where AWS is, if not AWS itself."),
]
Region = Annotated[str, typer.Option("--region", envvar="AWS_REGION", help="AWS region.", show_default=False)]

DEFAULT_REGION = "us-east-1"
DENIED = {
    *("AuthFailure", "InvalidClientTokenId", "SignatureDoesNotMatch", "UnauthorizedOperation", "AccessDenied"),
    *("ConfigParseError", "ProfileNotFound"),  # botocore's, for the files that it reads
}


def account(
    profile: Profile = "",
    credentials: Credentials = None,
    endpoint: Endpoint = "",
    region: Region = "",
    state: State = None,
) -> Aws:
    """The account; what no option tells comes from the state directory of `tieline up`. Raises ClientError."""
    known = _known(state)
    if state is not None and credentials is None and (state / "credentials").exists():
        credentials = state / "credentials"
    if credentials is not None and not credentials.exists():
        raise ClientError("NO_CREDENTIALS", f"there is no credentials file {credentials}", "check --credentials")
    if credentials is not None and not profile:
        hint = "give --profile, for example --profile customer"
        raise ClientError("WHICH_PROFILE", f"{credentials} has several accounts", hint)
    where = region or known.get("region") or DEFAULT_REGION
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise ClientError("INVALID_URL", f"{endpoint!r} is no URL", "for example --endpoint-url http://127.0.0.1:4566")
    return Aws(AwsSettings(where, endpoint or known.get("endpoint") or None, credentials, profile or None))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; raises ClientError for what AWS or the plan refuses."""
    try:
        return asyncio.run(work)
    except PlatformError as error:
        raise ClientError(error.code, error.message, error.hint, error.status, error.extra) from error
    except AwsError as error:
        raise ClientError(*_words(error)) from error


def _words(error: AwsError) -> tuple[str, str, str]:
    if not isinstance(error, AwsRefused):
        return (
            "AWS_UNREACHABLE",
            f"AWS does not answer: {error}",
            "check --endpoint-url and --region, and run it again",
        )
    if error.code in DENIED:
        return "CREDENTIALS", f"AWS refused: {error}", "check --profile, --credentials, the account's rights, the clock"
    return "AWS_REFUSED", f"AWS refused: {error}", "nothing is lost: mend it, and run the same command again"


def _known(state: Path | None) -> dict[str, str]:
    """What the platform of a state directory says of AWS."""
    if state is None:
        return {}
    try:
        found: dict[str, str] = json.loads((state / "aws.json").read_text())
    except (OSError, ValueError) as error:
        hint = "is this the directory that was given to tieline up --state?"
        raise ClientError("NO_STATE", f"cannot read {state / 'aws.json'}: {error}", hint) from error
    return found
