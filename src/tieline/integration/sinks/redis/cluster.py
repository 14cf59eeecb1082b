"""Commands to a Redis cluster: redis-py knows which node has a key, and follows keys that move."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from tieline.integration.sinks.base import tls
from tieline.integration.sinks.base.network import addresses, announced
from tieline.integration.sinks.redis.checks import judge, refusals, whole
from tieline.integration.sinks.redis.client import Command, connection_class, options
from tieline.integration.sinks.redis.errors import translated
from tieline.integration.sinks.redis.servers import Redis


class ClusterClient:
    """The nodes of a cluster; each command goes to the node that has its key."""

    def __init__(self, resource: Redis) -> None:
        self._resource = resource
        self._cluster: RedisCluster | None = None

    def _connected(self) -> RedisCluster:
        if self._cluster is None:
            resource = self._resource
            made = connection_class(resource, tls.context(resource.ssl))
            nodes = [ClusterNode(host, port) for host, port in addresses(resource.servers, resource.PORT)]
            cluster = RedisCluster(
                startup_nodes=nodes,
                address_remap=lambda place: announced(resource, place),
                max_connections=resource.pool_size,
                **{**options(resource, resource.username, resource.password), "retry": Retry(NoBackoff(), 1)},
            )
            cluster.connection_kwargs["connection_class"] = made
            for node in cluster.startup_nodes:
                node.connection_class = made
            self._cluster = cluster
        return self._cluster

    async def execute(self, commands: Sequence[Command]) -> dict[int, str]:
        try:
            pipeline = self._connected().pipeline()
            for command in commands:
                pipeline.execute_command(*command)
            answers = await pipeline.execute(raise_on_error=False)
        except Exception as error:
            raise translated(error, self._resource.servers, connecting=False) from error
        written = [place for place, answer in enumerate(answers) if not isinstance(answer, Exception)]
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, ResponseError):
                trouble = translated(answer, self._resource.servers, connecting=False)
                trouble.written = written
                raise trouble
        return refusals(answers)

    async def check(self, templates: Sequence[Sequence[str]]) -> None:
        try:
            cluster = self._connected()
            await cluster.initialize()
            whole(await cluster.execute_command("CLUSTER INFO", target_nodes=cluster.get_random_node()))
            for words in templates:
                node = cluster.get_random_node()
                info = await cluster.execute_command("COMMAND INFO", words[0], target_nodes=node)
                allowed: Any = None
                with contextlib.suppress(ResponseError):
                    user = self._resource.username or "default"
                    allowed = await cluster.execute_command("ACL DRYRUN", user, *words, target_nodes=node)
                judge(words, info, allowed)
        except Exception as error:
            raise translated(error, self._resource.servers, connecting=True, encrypted=self._resource.tls) from error

    async def close(self) -> None:
        if self._cluster is not None:
            await self._cluster.aclose()
