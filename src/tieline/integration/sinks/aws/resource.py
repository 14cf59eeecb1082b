"""What AWS hosts, as places to write to: how a resource reaches a service, and the threads that wait for its answers.

The AWS SDK blocks, so each call takes one of a few threads; a request carries many rows, so few are enough.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Protocol

from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.aws.errors import translated
from tieline.integration.sinks.aws.way import guarded_pools
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.base.kind import Action, Resource, Secret, Writer, driver, label

if TYPE_CHECKING:
    import boto3
    import botocore.config
else:
    boto3 = driver("boto3")
    botocore = driver("botocore")

USER_AGENT: Final = "tieline"
DEFAULT_REGION: Final = "us-east-1"
_REGION: Final = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d+)\.")


class Aws(Resource, frozen=True, kw_only=True):
    """Base of the resources that AWS hosts. Without an access key the agent's own credentials are used: those of its
    environment, of a profile in its AWS configuration, or of the role of the machine that it runs on.
    """

    ADDRESS: ClassVar[str] = "endpoint_url"
    FORM: ClassVar[Literal["server", "servers", "url"]] = "url"
    SERVICE: ClassVar[str]  # in the SDK's name for it

    endpoint_url: Annotated[str, label("Endpoint URL")]  # such as https://kinesis.eu-central-1.amazonaws.com
    region: Annotated[str, label("Region, where the endpoint does not name it")] = ""
    aws_access_key_id: Annotated[str, label("Access key id; without one the agent's own credentials are used")] = ""
    aws_secret_access_key: Annotated[Secret, label("Secret access key")] = ""
    profile: Annotated[str, label("Profile in the agent's AWS configuration")] = ""
    pool_size: Annotated[int, label("Requests at a time")] = 8

    @property
    def tls(self) -> bool:
        return self.endpoint_url.lower().startswith("https:")

    @property
    def region_name(self) -> str:
        """The region to sign for."""
        named = _REGION.search(self.endpoint_url)
        return self.region or (named[1] if named else DEFAULT_REGION)


class Client:
    """One client of a service. `call` makes a request in one of `pool_size` threads."""

    def __init__(self, resource: Aws) -> None:
        self.resource = resource
        self._threads = ThreadPoolExecutor(resource.pool_size, thread_name_prefix=f"sink-{resource.id}")
        self._making = threading.Lock()
        self._made: Any = None
        self._files: list[int] = []

    async def call(self, operation: str, what: str, **parameters: Any) -> dict[str, Any]:
        """The answer to an operation on `what`, a destination in words; raises Unavailable or Rejected."""
        loop = asyncio.get_running_loop()
        try:
            answer: dict[str, Any] = await loop.run_in_executor(self._threads, self._call, operation, parameters)
        except Unavailable:
            raise
        except Exception as error:
            raise translated(error, self.resource.address, operation, what) from error
        return answer

    def _call(self, operation: str, parameters: dict[str, Any]) -> Any:
        with self._making:
            if self._made is None:
                self._made = self._make()
        return getattr(self._made, operation)(**parameters)

    def _make(self) -> Any:
        resource = self.resource
        session = boto3.Session(
            aws_access_key_id=resource.aws_access_key_id or None,
            aws_secret_access_key=resource.aws_secret_access_key or None,
            profile_name=resource.profile or None,
            region_name=resource.region_name,
        )
        settings: dict[str, Any] = {
            "connect_timeout": resource.connect_timeout,
            "read_timeout": resource.write_timeout,
            "max_pool_connections": resource.pool_size,
            "retries": {"total_max_attempts": 1, "mode": "standard"},  # rows are tried again by their batch
            "user_agent_extra": USER_AGENT,
        }
        if resource.ssl.cert:
            settings["client_cert"] = (self._file(resource.ssl.cert), self._file(resource.ssl.key))
        config = botocore.config.Config(**settings)
        made: Any = session.client(
            resource.SERVICE,  # type: ignore[call-overload]
            endpoint_url=resource.endpoint_url,
            verify=self._verify(),
            config=config,
        )
        made._endpoint.http_session._manager.pool_classes_by_scheme = guarded_pools()
        return made

    def _verify(self) -> bool | str | None:
        """What the SDK takes as `verify`: a file of authorities, False for none, None for the usual ones."""
        settings = self.resource.ssl
        if settings.server_name and self.resource.tls:
            hint = "leave the server name empty, and use an address that is in the certificate"
            raise Unavailable(
                "tls", "AWS's client verifies the name in the URL and no other", hint, "server_name is set"
            )
        if not settings.verify:
            return False
        return self._file(settings.cacert) if settings.cacert else None

    def _file(self, text: str) -> str:
        """A file for a PEM text, in memory: the SDK takes nothing else. It lives as long as the client."""
        descriptor = os.memfd_create("pem")
        self._files.append(descriptor)
        os.write(descriptor, text.encode())
        return f"/proc/self/fd/{descriptor}"

    async def close(self) -> None:
        """Let go of the threads; a request that is on its way ends by itself, within its time."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._made is not None:
            self._made.close()
        for descriptor in self._files:
            os.close(descriptor)
        self._files = []


class AwsWriter(Writer, Protocol):
    """One action's way to a destination that AWS hosts."""

    async def check(self) -> None:
        """See that the destination is there and takes what the action writes; raises Unavailable."""
        ...


class AwsSink:
    """A resource that AWS hosts; `ping` is an operation that changes nothing and shows whether the login is good."""

    def __init__(
        self,
        resource: Aws,
        writers: Mapping[type[Action], Callable[[Client, Any], AwsWriter]],
        ping: tuple[str, Mapping[str, Any]],
    ) -> None:
        self._client = Client(resource)
        self._writers = writers
        self._ping = ping

    def writer(self, action: Action) -> AwsWriter:
        make = self._writers.get(type(action))
        if make is None:
            raise TemplateError(f"{type(action).__name__} cannot write to {self._client.resource.SERVICE}")
        return make(self._client, action)

    async def check(self, actions: Sequence[Action]) -> None:
        writers = [self.writer(action) for action in actions]
        operation, parameters = self._ping
        try:
            await self._client.call(operation, "the service", **parameters)
        except Unavailable as error:
            if error.hop != "statement":  # whoever may write need not have the right to list
                raise
        for writer in writers:
            await writer.check()

    async def close(self) -> None:
        await self._client.close()
