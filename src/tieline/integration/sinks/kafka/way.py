"""Where Kafka's client connects to: to brokers that the resource names, by addresses that may be connected to."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tieline.integration.sinks.base import tls
from tieline.integration.sinks.base.kind import Resource, driver
from tieline.integration.sinks.base.network import agreed, announced
from tieline.integration.sinks.base.reach import Forbidden, resolved

if TYPE_CHECKING:
    import aiokafka.client
else:
    aiokafka = driver("aiokafka")


class Stray(str):
    """The host of a broker that nobody agreed to, and why there is no connection to it."""

    why: Forbidden


def lead(cluster: Any, resource: Resource) -> None:
    """Let the client reach each broker where the resource says, whatever address the broker advertises, and none that
    it does not name.
    """
    advertised = cluster.broker_metadata

    def reached(node: Any) -> Any:
        broker = advertised(node)
        if not broker:
            return broker
        host, port = announced(resource, (broker.host, broker.port))
        try:
            agreed(resource, (host, port))
        except Forbidden as why:
            host = Stray(host)
            host.why = why
        return broker._replace(host=host, port=port)

    cluster.broker_metadata = reached


def guard() -> None:
    """Have the library connect by our own judgement from now on: it has no other place for it."""
    if not isinstance(aiokafka.client.create_conn, _Guarded):
        aiokafka.client.create_conn = _Guarded(aiokafka.client.create_conn)


class _Guarded:
    """The library's way to connect, to the first of a host's addresses that takes a connection."""

    def __init__(self, connect: Any) -> None:
        self._connect = connect
        functools.update_wrapper(self, connect)

    async def __call__(self, host: str, port: int, **settings: Any) -> Any:
        if isinstance(host, Stray):
            raise host.why
        last: OSError = OSError(f"{host} has no address")
        for address in await resolved(host, port):
            tls.note(settings.get("ssl_context"), address, host)
            try:
                return await self._connect(address, port, **settings)
            except OSError as error:
                last = error
        raise last
