"""The AWS SDK, called from threads, with its errors sorted into refused and unreachable."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.literals import ResourceTypeType
    from mypy_boto3_ec2.type_defs import TagSpecificationTypeDef
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client

T = TypeVar("T")

TIMEOUTS = Config(connect_timeout=3, read_timeout=20, retries={"mode": "standard", "max_attempts": 2})
WITHOUT_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, ProfileNotFound)
WITHOUT_ANSWER = (ConnectionError, HTTPClientError, ResponseParserError)
SESSION_NAME = "tieline"  # of an assumed role, for the other account's CloudTrail
CONCURRENT = 8  # calls at a time for each account: one that does not answer holds up no other
THROTTLED = {"RequestLimitExceeded", "Throttling", "ThrottlingException", "RequestThrottled"}


class AwsError(Exception):
    """Base of what a call to AWS can end in."""


class AwsRefused(AwsError):
    """AWS answered no: the same request will be refused again. `code` and `message` are AWS's own."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(f"{operation}: {code}: {message}")
        self.operation, self.code, self.message = operation, code, message


class AwsUnreachable(AwsError):
    """AWS did not answer, or not now: trying again later may help."""


@dataclass(frozen=True)
class AwsSettings:
    """Where AWS is and who we are there; None leaves the choice to the SDK's own settings."""

    region: str
    endpoint: str | None = None
    credentials: Path | None = None
    profile: str | None = None
    role: str | None = None  # to assume with these credentials
    external_id: str = ""  # what the role's trust policy may demand


@dataclass(frozen=True)
class Identity:
    """Who we are: the account, and the ARN that a provider allows."""

    account: str
    principal: str


def tagged(resource: ResourceTypeType, tags: dict[str, str]) -> TagSpecificationTypeDef:
    """Tags for a thing that is being created, so that it never exists without them."""
    return {"ResourceType": resource, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


class Aws:
    """One account of one region. Clients are made at first use, and shared: they are safe between threads."""

    def __init__(self, settings: AwsSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(CONCURRENT, "aws")
        self._clients: dict[str, Any] = {}
        self._identity: Identity | None = None

    async def ec2(self, call: Callable[[EC2Client], T]) -> T:
        """Run a call with the EC2 client in a thread; raises AwsRefused or AwsUnreachable."""
        return await self._later("ec2", call)

    async def elb(self, call: Callable[[ElasticLoadBalancingv2Client], T]) -> T:
        """Run a call with the ELBv2 client in a thread; raises AwsRefused or AwsUnreachable."""
        return await self._later("elbv2", call)

    async def cloudwatch(self, call: Callable[[Any], T]) -> T:
        """Run a call with the CloudWatch client in a thread; raises AwsRefused or AwsUnreachable."""
        return await self._later("cloudwatch", call)

    def close(self) -> None:
        """Give the connections back; a later call makes new ones."""
        with self._lock:
            clients, self._clients = self._clients, {}
            threads, self._threads = self._threads, ThreadPoolExecutor(CONCURRENT, "aws")
        threads.shutdown(wait=False)
        for client in clients.values():
            client.close()

    async def identity(self) -> Identity:
        """Who we are, asked once."""
        if self._identity is None:
            caller = await self._later("sts", lambda sts: sts.get_caller_identity())
            partition = caller["Arn"].split(":")[1]
            self._identity = Identity(caller["Account"], f"arn:{partition}:iam::{caller['Account']}:root")
        return self._identity

    async def _later(self, service: str, call: Callable[[Any], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._call, service, call)

    def _call(self, service: str, call: Callable[[Any], T]) -> T:
        try:
            return call(self._client(service))
        except ClientError as error:
            detail = error.response["Error"]
            status = error.response["ResponseMetadata"].get("HTTPStatusCode", 500)
            if status >= 500 or detail["Code"] in THROTTLED:
                raise AwsUnreachable(str(error)) from error
            raise AwsRefused(error.operation_name, detail["Code"], detail["Message"]) from error
        except WITHOUT_CREDENTIALS as error:
            raise AwsRefused(service, "AuthFailure", str(error)) from error
        except WITHOUT_ANSWER as error:
            raise AwsUnreachable(str(error)) from error
        except BotoCoreError as error:
            raise AwsRefused(service, type(error).__name__, str(error)) from error

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._connect(service)
            return self._clients[service]

    def _connect(self, service: str) -> Any:
        settings = self.settings
        core = _session(settings)
        verify = False if (settings.endpoint or "").startswith("http://") else None  # no certificate to verify
        where = {"endpoint_url": settings.endpoint, "config": TIMEOUTS, "verify": verify}
        if settings.role:
            core = _assuming(core, settings, where)
        session = boto3.Session(botocore_session=core, region_name=settings.region)
        return session.client(service, **where)  # type: ignore[call-overload]


def _session(settings: AwsSettings) -> Any:
    found = botocore.session.Session(profile=settings.profile)
    if settings.credentials:
        found.set_config_variable("credentials_file", str(settings.credentials))
    return found


def _assuming(core: Any, settings: AwsSettings, where: dict[str, Any]) -> Any:
    """A session that acts as the role, and assumes it again before its credentials expire."""
    demanded = {"RoleSessionName": SESSION_NAME}
    if settings.external_id:
        demanded["ExternalId"] = settings.external_id
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=partial(core.create_client, region_name=settings.region, **where),
        source_credentials=core.get_credentials(),
        role_arn=settings.role or "",
        extra_args=demanded,
    )
    credentials = DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)
    assumed = _session(settings)
    assumed.register_component("credential_provider", SimpleNamespace(load_credentials=lambda: credentials))
    return assumed
